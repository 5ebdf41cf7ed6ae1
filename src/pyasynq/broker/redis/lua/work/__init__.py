"""Take tasks, extend their leases, and write their verdicts."""

from typing import Final

from pyasynq.broker.redis.scripts import Script

dequeue: Final = Script("work/dequeue")
done: Final = Script("work/done")
complete: Final = Script("work/complete")
retry: Final = Script("work/retry")
archive: Final = Script("work/archive")
done_continued: Final = Script("work/done", then="work/continued")
complete_continued: Final = Script("work/complete", then="work/continued")
archive_continued: Final = Script("work/archive", then="work/continued")
requeue: Final = Script("work/requeue")
undo_dequeue: Final = Script("work/undo_dequeue", repeatable=True)
mark_started: Final = Script("work/mark_started", repeatable=True)
extend_leases: Final = Script("work/extend_leases", repeatable=True)
write_result: Final = Script("work/write_result", repeatable=True)
