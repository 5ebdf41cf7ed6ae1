"""Store the last ticks, entries and histories of schedulers."""

from typing import Final

from pyasynq.broker.redis.scripts import Script

begin_entry: Final = Script("schedules/begin_entry", repeatable=True)
write_entries: Final = Script("schedules/write_entries")
record_event: Final = Script("schedules/record_event")
read_entries: Final = Script("schedules/read_entries", repeatable=True)
