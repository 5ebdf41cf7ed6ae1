"""Keep the entries of schedulers."""

from typing import Final

from pyasynq.broker.redis.scripts import Script

begin: Final = Script("schedules/begin", repeatable=True)
entries: Final = Script("schedules/entries")
event: Final = Script("schedules/event")
shown: Final = Script("schedules/shown", repeatable=True)
