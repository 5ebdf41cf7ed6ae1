"""Take tasks, and write what became of them."""

from pyasynq.broker.redis.scripts import Script

dequeue = Script("work/dequeue")
done = Script("work/done")
complete = Script("work/complete")
retry = Script("work/retry")
archive = Script("work/archive")
requeue = Script("work/requeue")
give_back = Script("work/give_back", repeatable=True)
start = Script("work/start", repeatable=True)
extend = Script("work/extend", repeatable=True)
result = Script("work/result", repeatable=True)
