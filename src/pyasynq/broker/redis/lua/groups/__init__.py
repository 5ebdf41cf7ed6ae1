"""Combine the tasks of groups."""

from pyasynq.broker.redis.scripts import Script

archive_members = Script("groups/archive_members")
find_groups = Script("groups/find_groups")
hold_set = Script("groups/hold_set", repeatable=True)
members = Script("groups/members", repeatable=True)
postpone = Script("groups/postpone")
put_back = Script("groups/put_back")
reclaim = Script("groups/reclaim")
ripe_groups = Script("groups/ripe_groups", repeatable=True)
stage = Script("groups/stage")
