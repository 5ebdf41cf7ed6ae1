"""Create tasks."""

from typing import Final

from pyasynq.broker.redis.scripts import Script

create: Final = Script("create/create")
