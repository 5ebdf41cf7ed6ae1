"""Reports of tasks that have ended, to records of other queues."""

from typing import Final

from pyasynq.broker.redis.scripts import Script

receive_reports: Final = Script("reports/receive_reports", repeatable=True)
