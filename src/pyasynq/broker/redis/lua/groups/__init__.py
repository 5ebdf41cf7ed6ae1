"""Combine the tasks of groups."""

from typing import Final

from pyasynq.broker.redis.scripts import Script

archive_members: Final = Script("groups/archive_members")
find_groups: Final = Script("groups/find_groups")
hold_set: Final = Script("groups/hold_set", repeatable=True)
members: Final = Script("groups/members", repeatable=True)
postpone: Final = Script("groups/postpone")
put_back: Final = Script("groups/put_back")
register: Final = Script("groups/register")
reclaim: Final = Script("groups/reclaim")
ripe_groups: Final = Script("groups/ripe_groups", repeatable=True)
sizes: Final = Script("groups/sizes", repeatable=True)
stage: Final = Script("groups/stage")
