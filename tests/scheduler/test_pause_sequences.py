"""Whatever happens around pauses, each tick outside them is enqueued once, and none inside."""

import random
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from datetime import datetime, timedelta

import pytest

from pyasynq import Inspector, Scheduler, Task
from pyasynq.broker import Broker
from pyasynq.broker.sqlite import in_memory
from tests.scheduler.steps import ticker_of
from tests.support.clocks import SteeredClock

PERIODS = {"* * * * *": 60, "@every 1m": 60, "@every 90s": 90}
SEEDS = range(8)
STEPS = 60


class Model:
    """Two schedulers of one entry that catch up, an operator, and the ticks that are expected."""

    def __init__(self, broker: Broker, clock: SteeredClock, spec: str) -> None:
        self.expected: set[datetime] = set()
        self._broker = broker
        self._clock = clock
        self._spec = spec
        self._inspector = Inspector(broker)
        self._schedulers = [self._make(), self._make()]
        self._id = next(iter(self._schedulers[0]._entries))
        self._start = self._floor = clock.now()
        self._paused = False

    def _make(self) -> Scheduler:
        scheduler = Scheduler(self._broker, clock=self._clock, catch_up="all")
        scheduler.register(self._spec, Task("t"))
        return scheduler

    async def step(self, number: int) -> None:
        """Let one scheduler work: it catches up with all ticks since the last resumption."""
        await ticker_of(self._schedulers[number]).step()
        if not self._paused:
            period = timedelta(seconds=PERIODS[self._spec])
            count = (self._clock.now() - self._start) // period
            ticks = (self._start + n * period for n in range(1, count + 1))
            self.expected |= {tick for tick in ticks if tick > self._floor}

    def restart(self, number: int) -> None:
        """Replace one scheduler by a new one."""
        self._schedulers[number] = self._make()

    async def switch(self) -> None:
        """Pause the entry, or resume it."""
        if self._paused:
            await self._inspector.resume_entry(self._id)
            self._floor = self._clock.now()
        else:
            await self._inspector.pause_entry(self._id)
        self._paused = not self._paused

    async def enqueued(self) -> list[str]:
        """Return the ids of all enqueued tasks."""
        tasks = await self._inspector.list_tasks("default", "pending", size=1000)
        return sorted(task.id for task in tasks)

    def expected_ids(self) -> list[str]:
        """Return the ids of the tasks of all expected ticks."""
        entry = self._schedulers[0]._entries[self._id]
        return sorted(entry.task_id(tick) for tick in self.expected)


@asynccontextmanager
async def model_of(spec: str) -> AsyncGenerator[tuple[Model, SteeredClock]]:
    """Yield a model whose schedulers have begun, and its clock."""
    clock = SteeredClock()
    broker = in_memory(clock)
    model = Model(broker, clock, spec)
    await model.step(0)
    await model.step(1)
    yield model, clock
    await broker.aclose()


async def act(model: Model, clock: SteeredClock, chance: random.Random) -> None:
    """Do one thing at random."""
    match chance.choice(["advance", "advance", "step", "step", "switch", "restart"]):
        case "advance":
            clock.advance(seconds=chance.choice([1, 20, 60, 130, 400]))
        case "step":
            await model.step(chance.randrange(2))
        case "switch":
            await model.switch()
        case _:
            model.restart(chance.randrange(2))


@pytest.mark.parametrize("spec", PERIODS)
@pytest.mark.parametrize("seed", SEEDS)
async def test_ticks_are_enqueued_once_outside_pauses(seed: int, spec: str) -> None:
    chance = random.Random(seed)
    async with model_of(spec) as (model, clock):
        for _ in range(STEPS):
            await act(model, clock, chance)
        assert await model.enqueued() == model.expected_ids()
