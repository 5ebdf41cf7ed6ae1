"""Workers and operators who act on the same flows at the same time, at random."""

import asyncio
import random
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Sequence
from typing import TypeAlias

from pyasynq import Clock
from pyasynq.broker import Broker
from pyasynq.client.flow_control import FlowControl
from pyasynq.runtime.actor import OutageLog
from pyasynq.server.upkeep.flow_recoverer import FlowRecoverer
from tests.support.flows import deliver_all

Act: TypeAlias = Callable[[], Awaitable[object]]


class Crowd(ABC):
    """Workers, operators, and two recoverers for each home of flows."""

    def __init__(
        self, broker: Broker, chance: random.Random, *, homes: Sequence[str], queues: Sequence[str]
    ) -> None:
        """Act on flows of *homes*, which have tasks in *queues*, as *chance* decides."""
        self._broker = broker
        self._chance = chance
        self._queues = queues
        self._control = FlowControl(broker)
        self._recoverers = [
            FlowRecoverer(broker, queue, clock=Clock(), outages=OutageLog("the broker"))
            for queue in (*homes, *homes)
        ]

    async def act(self, rounds: int) -> None:
        """Let some of them act at once, again and again."""
        acts: Sequence[Act] = [
            *[self._work] * 5,
            *[self._operate] * 2,
            lambda: self._chance.choice(self._recoverers).step(),
            lambda: deliver_all(self._broker, [self._chance.choice(self._queues)]),
        ]
        for _ in range(rounds):
            count = self._chance.randint(1, 6)
            await asyncio.gather(*(self._chance.choice(acts)() for _ in range(count)))

    async def _recover(self) -> None:
        for recoverer in self._recoverers:
            await recoverer.step()

    @abstractmethod
    async def _work(self) -> None:
        """Run some tasks."""

    @abstractmethod
    async def _operate(self) -> None:
        """Do what an operator may do."""
