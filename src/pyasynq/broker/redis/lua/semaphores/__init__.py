"""Take and give back tokens."""

from pyasynq.broker.redis.scripts import Script

acquire = Script("semaphores/acquire", repeatable=True)
renew = Script("semaphores/renew", repeatable=True)
release = Script("semaphores/release")
