"""Take, renew and release tokens."""

from typing import Final

from pyasynq.broker.redis.scripts import Script

acquire_token: Final = Script("semaphores/acquire_token", repeatable=True)
renew_tokens: Final = Script("semaphores/renew_tokens", repeatable=True)
release_token: Final = Script("semaphores/release_token")
