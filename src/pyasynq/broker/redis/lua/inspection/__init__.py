"""Look at queues and tasks, and move them by hand."""

from pyasynq.broker.redis.scripts import Script

groups = Script("inspection/groups", repeatable=True)
look = Script("inspection/look", repeatable=True)
memory = Script("inspection/memory", repeatable=True)
page = Script("inspection/page", repeatable=True)
staged = Script("inspection/staged", repeatable=True)
task = Script("inspection/task", repeatable=True)
workers = Script("inspection/workers", repeatable=True)
delete = Script("inspection/delete")
reschedule = Script("inspection/reschedule")
run_tasks = Script("inspection/run")
shelve = Script("inspection/shelve")
update = Script("inspection/update")
close = Script("inspection/close")
orphans = Script("inspection/orphans")
register_groups = Script("inspection/register_groups")
remove = Script("inspection/remove")
