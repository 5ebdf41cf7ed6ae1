"""Read queues and tasks, and act on them by hand."""

from typing import Final

from pyasynq.broker.redis.scripts import Script

queue_stats: Final = Script("inspection/queue_stats", repeatable=True)
memory_usage: Final = Script("inspection/memory_usage", repeatable=True)
list_tasks: Final = Script("inspection/list_tasks", repeatable=True)
find_errors: Final = Script("inspection/find_errors", repeatable=True)
find_staged: Final = Script("inspection/find_staged", repeatable=True)
get_task: Final = Script("inspection/get_task", repeatable=True)
delete_errors: Final = Script("inspection/delete_errors")
delete_tasks: Final = Script("inspection/delete_tasks")
pause_queue: Final = Script("inspection/pause_queue")
reschedule_task: Final = Script("inspection/reschedule_task")
run_tasks: Final = Script("inspection/run_tasks")
archive_tasks: Final = Script("inspection/archive_tasks")
update_task: Final = Script("inspection/update_task")
delete_queue_keys: Final = Script("inspection/delete_queue_keys")
