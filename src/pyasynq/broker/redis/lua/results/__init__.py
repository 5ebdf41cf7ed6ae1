"""Wait for results."""

from pyasynq.broker.redis.scripts import Script

await_result = Script("results/await", repeatable=True)
