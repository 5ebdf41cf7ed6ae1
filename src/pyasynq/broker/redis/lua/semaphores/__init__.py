"""Take and give back tokens."""

from typing import Final

from pyasynq.broker.redis.scripts import Script

acquire: Final = Script("semaphores/acquire", repeatable=True)
renew: Final = Script("semaphores/renew", repeatable=True)
release: Final = Script("semaphores/release")
