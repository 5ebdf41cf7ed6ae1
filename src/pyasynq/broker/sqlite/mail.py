"""The mail of SQLite, which has none: one transaction reaches all queues."""

from collections.abc import Sequence

from pyasynq.broker.ports.mail import Delivery
from pyasynq.core.info import MailInfo


class SqliteMail:
    """The port for mail; `SqliteWork.settle` creates all tasks itself."""

    async def deliver(self, queue: str) -> Delivery:
        """Return that nothing is to be delivered."""
        return Delivery(delivered=0, more=False, next_in_s=None)

    async def letters(self, queue: str, start: int, count: int) -> Sequence[MailInfo]:
        """Return no letters."""
        return []
