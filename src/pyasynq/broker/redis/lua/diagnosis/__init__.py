"""Check what may be wrong with Redis."""

from typing import Final

from pyasynq.broker.redis.scripts import Script

probe: Final = Script("diagnosis/probe", repeatable=True)
