"""Look at queues and tasks, and move them by hand."""

from typing import Final

from pyasynq.broker.redis.scripts import Script

groups: Final = Script("inspection/groups", repeatable=True)
look: Final = Script("inspection/look", repeatable=True)
memory: Final = Script("inspection/memory", repeatable=True)
page: Final = Script("inspection/page", repeatable=True)
staged: Final = Script("inspection/staged", repeatable=True)
task: Final = Script("inspection/task", repeatable=True)
workers: Final = Script("inspection/workers", repeatable=True)
delete: Final = Script("inspection/delete")
reschedule: Final = Script("inspection/reschedule")
run_tasks: Final = Script("inspection/run")
shelve: Final = Script("inspection/shelve")
update: Final = Script("inspection/update")
close: Final = Script("inspection/close")
orphans: Final = Script("inspection/orphans")
register_groups: Final = Script("inspection/register_groups")
remove: Final = Script("inspection/remove")
