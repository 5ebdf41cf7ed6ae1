"""Take tasks, and write what became of them."""

from typing import Final

from pyasynq.broker.redis.scripts import Script

dequeue: Final = Script("work/dequeue")
done: Final = Script("work/done")
complete: Final = Script("work/complete")
retry: Final = Script("work/retry")
archive: Final = Script("work/archive")
requeue: Final = Script("work/requeue")
give_back: Final = Script("work/give_back", repeatable=True)
start: Final = Script("work/start", repeatable=True)
extend: Final = Script("work/extend", repeatable=True)
result: Final = Script("work/result", repeatable=True)
