"""Take tasks from one broker to another."""

from typing import Final

from pyasynq.broker.redis.scripts import Script

read_copies: Final = Script("transfers/read_copies", repeatable=True)
write_copies: Final = Script("transfers/write_copies")
