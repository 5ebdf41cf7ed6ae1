"""What operators want of servers."""

from typing import Final

from pyasynq.broker.redis.scripts import Script

write_settings: Final = Script("control/write_settings", repeatable=True)
