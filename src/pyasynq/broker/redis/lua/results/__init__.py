"""Wait for results."""

from typing import Final

from pyasynq.broker.redis.scripts import Script

await_result: Final = Script("results/await_result", repeatable=True)
