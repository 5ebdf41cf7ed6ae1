"""Write how many tasks have run, and for how long, for inspectors."""

from typing import Final

from pyasynq.broker import HistoryPort
from pyasynq.core.errors import BrokerError
from pyasynq.runtime.actor import Actor, OutageLog
from pyasynq.runtime.clock import Clock
from pyasynq.server.run.run_counter import RunCounter

PERIOD_S: Final = 5.0


class Historian(Actor):
    """Writes every 5 s what has run since; nothing if nothing has."""

    name = "historian"

    def __init__(
        self, port: HistoryPort, counter: RunCounter, *, clock: Clock, outages: OutageLog
    ) -> None:
        """Write to *port* what *counter* counts."""
        super().__init__(clock=clock, outages=outages)
        self._port = port
        self._counter = counter

    async def step(self) -> float:
        """Write the counts of all queues; those that cannot be written are written next time."""
        failure: BrokerError | None = None
        left = dict(self._counter.take())
        try:
            for queue, types in tuple(left.items()):
                try:
                    await self._port.add(queue, types)
                    del left[queue]
                except BrokerError as error:
                    failure = error
        finally:  # after a cancellation, too; if only the answer is lost, they are counted twice
            for queue, types in left.items():
                self._counter.put_back(queue, types)
        if failure is not None:
            raise failure
        return PERIOD_S
