"""Create tasks."""

from pyasynq.broker.redis.scripts import Script

create = Script("create/create")
shorten = Script("create/shorten", repeatable=True)
