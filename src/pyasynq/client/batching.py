"""Let calls that are in flight together share a round trip."""

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
"""Queues of a cluster that are written at the same time; more if some take long."""


class Batcher:
    """Lets calls that are in flight together share a round trip.

    The waiting plans are written as soon as the previous write has returned, without any timer. If
    queues are on different machines, each queue is written separately, so that an unreachable
    machine does not delay the others.
    """

    def __init__(self, port: CreationPort) -> None:
        """Write to *port*."""
        self._port = port
        self._waiting: dict[str, list[tuple[Plan, asyncio.Future[Answer]]]] = {}
        self._writers: dict[str, asyncio.Task[None]] = {}
        self._slot = ConcurrencyLimit(QUEUES_AT_ONCE).slot if port.apart else nullcontext

    async def enqueue(self, plan: Plan) -> Answer:
        """Enqueue *plan* together with other waiting plans; return the error, None if accepted."""
        answer: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        queue = plan.message.queue if self._port.apart else ALL_QUEUES
        self._waiting.setdefault(queue, []).append((plan, answer))
        if queue not in self._writers:
            self._writers[queue] = asyncio.create_task(self._write(queue), name="pyasynq enqueue")
        return await answer

    async def drain(self) -> None:
        """Return when all waiting plans are written."""
        if self._writers:
            await asyncio.wait(self._writers.values())

    async def _write(self, queue: str) -> None:
        try:
            while self._waiting[queue]:
                async with self._slot():
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
                if not future.done():  # its caller may have been cancelled
                    future.set_result(answer)
        finally:
            for _, future in batch:
                future.cancel()  # has no effect on answered ones

    async def _answers(self, plans: Sequence[Plan]) -> Sequence[Answer]:
        try:
            return cast("list[Answer]", await self._port.create([NewTask(plan) for plan in plans]))
        except Exception as error:  # noqa: BLE001 - the waiting callers raise it
            return [error] * len(plans)
