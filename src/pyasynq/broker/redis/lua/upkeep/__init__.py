"""Keep queues in order."""

from typing import Final

from pyasynq.broker.redis.scripts import Script

forward: Final = Script("upkeep/forward")
expired: Final = Script("upkeep/expired", repeatable=True)
repair: Final = Script("upkeep/repair", repeatable=True)
end_leases: Final = Script("upkeep/end_leases", repeatable=True)
expire: Final = Script("upkeep/expire")
trim: Final = Script("upkeep/trim")
