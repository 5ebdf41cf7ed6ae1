"""Create tasks all together."""

from typing import Final

from pyasynq.broker.redis.scripts import Script

stage_tasks: Final = Script("batches/stage_tasks", repeatable=True)
commit_batch: Final = Script("batches/commit_batch", repeatable=True)
release_tasks: Final = Script("batches/release_tasks", repeatable=True)
discard_batch: Final = Script("batches/discard_batch", repeatable=True)
idle_batches: Final = Script("batches/idle_batches", repeatable=True)
