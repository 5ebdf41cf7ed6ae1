"""Combine the tasks of groups."""

from typing import Final

from pyasynq.broker.redis.scripts import Script

archive_grouped: Final = Script("groups/archive_grouped")
find_groups: Final = Script("groups/find_groups")
hold_set: Final = Script("groups/hold_set", repeatable=True)
read_set: Final = Script("groups/read_set", repeatable=True)
postpone_set: Final = Script("groups/postpone_set")
unstage_set: Final = Script("groups/unstage_set")
register_groups: Final = Script("groups/register_groups")
reclaim_sets: Final = Script("groups/reclaim_sets")
ready_groups: Final = Script("groups/ready_groups", repeatable=True)
group_sizes: Final = Script("groups/group_sizes", repeatable=True)
stage_set: Final = Script("groups/stage_set")
