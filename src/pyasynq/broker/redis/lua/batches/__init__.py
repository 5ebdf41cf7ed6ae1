"""Create tasks all together, and count those of batches when they end."""

from typing import Final

from pyasynq.broker.redis.scripts import Script

stage_tasks: Final = Script("batches/stage_tasks", repeatable=True)
commit_batch: Final = Script("batches/commit_batch", repeatable=True)
release_tasks: Final = Script("batches/release_tasks", repeatable=True)
discard_batch: Final = Script("batches/discard_batch", repeatable=True)
idle_batches: Final = Script("batches/idle_batches", repeatable=True)
start_batch: Final = Script("batches/start_batch", repeatable=True)
reserve_members: Final = Script("batches/reserve_members")
sweep_batch: Final = Script("batches/sweep_batch", repeatable=True)
retry_batch: Final = Script("batches/retry_batch")
cancel_batch: Final = Script("batches/cancel_batch", repeatable=True)
drop_staged: Final = Script("batches/drop_staged", repeatable=True)
drop_members: Final = Script("batches/drop_members", repeatable=True)
touch_batch: Final = Script("batches/touch_batch", repeatable=True)
read_batches: Final = Script("batches/read_batches", repeatable=True)
