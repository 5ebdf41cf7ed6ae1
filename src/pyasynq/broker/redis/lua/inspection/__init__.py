"""Look at queues and tasks, and move them by hand."""

from typing import Final

from pyasynq.broker.redis.scripts import Script

look: Final = Script("inspection/look", repeatable=True)
memory: Final = Script("inspection/memory", repeatable=True)
page: Final = Script("inspection/page", repeatable=True)
staged: Final = Script("inspection/staged", repeatable=True)
task: Final = Script("inspection/task", repeatable=True)
delete: Final = Script("inspection/delete")
pause: Final = Script("inspection/pause")
reschedule: Final = Script("inspection/reschedule")
run_tasks: Final = Script("inspection/run")
shelve: Final = Script("inspection/shelve")
update: Final = Script("inspection/update")
remove: Final = Script("inspection/remove")
