"""Deliver mail: tasks that a verdict has created for other queues.

Some brokers can write to one queue only in the step that settles a task. They store tasks for other
queues as mail beside it. The server that has stored mail delivers it at once, and another one if
that server dies.
"""

import math
from typing import Final

from pyasynq.broker import Delivery, MailPort
from pyasynq.runtime.actor import OnCall, OutageLog
from pyasynq.runtime.clock import Clock
from pyasynq.runtime.loggers import get_logger

log: Final = get_logger("pyasynq.server")


class Courier(OnCall):
    """Delivers the mail of one queue."""

    def __init__(self, port: MailPort, queue: str, *, clock: Clock, outages: OutageLog) -> None:
        """Deliver the mail of *queue* to other queues."""
        super().__init__(clock=clock, outages=outages)
        self.name: str = f"courier of {queue!r}"
        self._port = port
        self._queue = queue
        self._has_mail = False
        self._fails = False

    def wake(self) -> None:
        """Deliver now."""
        self._has_mail = True
        super().wake()

    async def step(self) -> float:
        """Deliver all mail that is due; return the seconds until the next, infinite without it."""
        self._has_mail = False
        while True:
            delivery = await self._port.deliver(self._queue)
            self._report(delivery)
            if not delivery.more:
                return math.inf if delivery.next_in_s is None else delivery.next_in_s

    async def deliver_own(self) -> None:
        """Return when the mail that this server has stored was sent once.

        Raises:
            BrokerError: If the mail could not be read; it stays.
        """
        async with self._stepping:
            if self._has_mail:
                await self.step()

    def _report(self, delivery: Delivery) -> None:
        """Log once that mail cannot be delivered, and once that it can."""
        if delivery.error is not None and not self._fails:
            log.error("mail of %r cannot be delivered, and waits: %s", self._queue, delivery.error)
            self._fails = True
        elif delivery.delivered and delivery.error is None and self._fails:
            log.info("mail of %r is delivered again", self._queue)
            self._fails = False
