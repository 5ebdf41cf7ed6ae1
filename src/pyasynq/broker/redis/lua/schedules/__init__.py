"""Keep the entries of schedulers."""

from pyasynq.broker.redis.scripts import Script

begin = Script("schedules/begin", repeatable=True)
entries = Script("schedules/entries")
event = Script("schedules/event")
shown = Script("schedules/shown", repeatable=True)
