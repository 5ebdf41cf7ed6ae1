"""Keep queues in order."""

from typing import Final

from pyasynq.broker.redis.scripts import Script

look: Final = Script("upkeep/look", repeatable=True)
release: Final = Script("upkeep/release", repeatable=True)
forward: Final = Script("upkeep/forward")
list_expired: Final = Script("upkeep/list_expired", repeatable=True)
repair_leases: Final = Script("upkeep/repair_leases", repeatable=True)
end_leases: Final = Script("upkeep/end_leases", repeatable=True)
delete_completed: Final = Script("upkeep/delete_completed")
trim_archive: Final = Script("upkeep/trim_archive")
