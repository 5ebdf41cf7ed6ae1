"""Show servers and schedulers."""

from typing import Final

from pyasynq.broker.redis.scripts import Script

beat: Final = Script("registry/beat", repeatable=True)
present: Final = Script("registry/present", repeatable=True)
living: Final = Script("registry/living", repeatable=True)
workers: Final = Script("registry/workers", repeatable=True)
