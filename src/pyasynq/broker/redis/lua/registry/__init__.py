"""Show servers and schedulers."""

from pyasynq.broker.redis.scripts import Script

beat = Script("registry/beat", repeatable=True)
present = Script("registry/present", repeatable=True)
living = Script("registry/living", repeatable=True)
