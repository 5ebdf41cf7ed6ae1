"""List servers, their running tasks, and schedulers."""

from typing import Final

from pyasynq.broker.redis.scripts import Script

add_queues: Final = Script("registry/add_queues", repeatable=True)
write_server: Final = Script("registry/write_server", repeatable=True)
add_to_index: Final = Script("registry/add_to_index", repeatable=True)
live_keys: Final = Script("registry/live_keys", repeatable=True)
read_workers: Final = Script("registry/read_workers", repeatable=True)
