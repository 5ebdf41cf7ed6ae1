"""Calls that are in flight together share a round trip."""

import asyncio
from collections.abc import Sequence
from contextlib import nullcontext
from typing import Final, TypeAlias, cast

from pyasynq.broker import CreationPort, NewTask
from pyasynq.core.compose import Plan
from pyasynq.runtime.concurrency_limit import ConcurrencyLimit

Answer: TypeAlias = Exception | None

ALL_QUEUES: Final = ""

QUEUES_AT_ONCE: Final = 16
"""Queues that are written to side by side where they live apart; more if some take long."""


class Batcher:
    """Lets calls that are in flight together share a round trip.

    Whatever has gathered goes out as soon as the previous write has returned: no timer, no delay.
    Where queues live apart each has a write of its own, so that one whose machine is away keeps no
    other waiting.
    """

    def __init__(self, port: CreationPort) -> None:
        """Write to *port*."""
        self._port = port
        self._waiting: dict[str, list[tuple[Plan, asyncio.Future[Answer]]]] = {}
        self._writers: dict[str, asyncio.Task[None]] = {}
        self._turn = ConcurrencyLimit(QUEUES_AT_ONCE).slot if port.apart else nullcontext

    async def enqueue(self, plan: Plan) -> Answer:
        """Enqueue *plan* with what is under way meanwhile; return why not, if so."""
        answer: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        queue = plan.message.queue if self._port.apart else ALL_QUEUES
        self._waiting.setdefault(queue, []).append((plan, answer))
        if queue not in self._writers:
            self._writers[queue] = asyncio.create_task(self._write(queue), name="pyasynq enqueue")
        return await answer

    async def finished(self) -> None:
        """Return when all that has gathered is written."""
        if self._writers:
            await asyncio.wait(self._writers.values())

    async def _write(self, queue: str) -> None:
        try:
            while self._waiting[queue]:
                async with self._turn():
                    batch, self._waiting[queue] = self._waiting[queue], []
                    await self._write_batch(batch)
        finally:
            del self._writers[queue]
            if not self._waiting[queue]:
                del self._waiting[queue]

    async def _write_batch(self, batch: Sequence[tuple[Plan, "asyncio.Future[Answer]"]]) -> None:
        try:
            answers = await self._answers([plan for plan, _ in batch])
            for (_, future), answer in zip(batch, answers, strict=True):
                if not future.done():  # a caller may have given up waiting
                    future.set_result(answer)
        finally:
            for _, future in batch:
                future.cancel()  # does nothing to those that were answered

    async def _answers(self, plans: Sequence[Plan]) -> Sequence[Answer]:
        try:
            return cast("list[Answer]", await self._port.create([NewTask(plan) for plan in plans]))
        except Exception as error:  # noqa: BLE001 - a defect is told to the callers, who wait
            return [error] * len(plans)
