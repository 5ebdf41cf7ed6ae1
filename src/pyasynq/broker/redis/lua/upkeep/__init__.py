"""Keep queues in order."""

from pyasynq.broker.redis.scripts import Script

forward = Script("upkeep/forward")
expired = Script("upkeep/expired", repeatable=True)
repair = Script("upkeep/repair", repeatable=True)
end_leases = Script("upkeep/end_leases", repeatable=True)
expire = Script("upkeep/expire")
trim = Script("upkeep/trim")
