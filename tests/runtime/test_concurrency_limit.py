"""A few blocks run at once, and blocks that take long do not delay the others for long."""

import asyncio

import pytest

from pyasynq.runtime.concurrency_limit import ConcurrencyLimit
from tests.support.waiting import wait_until


class Doing:
    """What takes limit, and lasts until `end` is set."""

    def __init__(self, limit: ConcurrencyLimit) -> None:
        self.now = self.most = 0
        self.end = asyncio.Event()
        self._limit = limit

    async def __call__(self) -> None:
        async with self._limit.slot():
            self.now += 1
            self.most = max(self.most, self.now)
            await self.end.wait()
            self.now -= 1


async def test_no_more_blocks_than_slots_begin_at_once() -> None:
    doing = Doing(ConcurrencyLimit(2))
    jobs = asyncio.gather(*(doing() for _ in range(10)))
    await asyncio.sleep(0)
    doing.end.set()
    await jobs
    assert doing.most == 2


async def test_waiting_blocks_begin_when_the_others_take_long() -> None:
    doing = Doing(ConcurrencyLimit(1))
    begun = asyncio.gather(*(doing() for _ in range(3)))
    await wait_until(lambda: doing.now == 3)
    doing.end.set()
    await begun


async def test_a_block_that_fails_frees_its_slot() -> None:
    limit = ConcurrencyLimit(1)

    async def fail() -> None:
        async with limit.slot():
            msg = "boom"
            raise ValueError(msg)

    with pytest.raises(ValueError, match="boom"):
        await fail()
    assert not limit._slots.locked()


async def test_a_block_that_is_cancelled_while_it_waits_takes_no_slot() -> None:
    doing = Doing(ConcurrencyLimit(1))
    first, waiting, last = (asyncio.ensure_future(doing()) for _ in range(3))
    await wait_until(lambda: doing.now == 1)
    waiting.cancel()
    doing.end.set()
    await asyncio.gather(first, last)
    assert waiting.cancelled()


async def test_a_slot_that_was_held_for_too_long_is_released_once() -> None:
    limit = ConcurrencyLimit(1)
    doing = Doing(limit)
    jobs = asyncio.gather(doing(), doing())
    await wait_until(lambda: doing.now == 2)
    doing.end.set()
    await jobs
    await wait_until(lambda: not limit._slots.locked())
    assert limit._slots._value == 1


async def test_a_limit_grows_and_does_not_shrink(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pyasynq.runtime.concurrency_limit.LONGEST_S", 60)
    limit = ConcurrencyLimit(1)
    limit.grow(3)
    limit.grow(2)
    doing = Doing(limit)
    jobs = asyncio.gather(*(doing() for _ in range(10)))
    await asyncio.sleep(0)
    doing.end.set()
    await jobs
    assert doing.most == 3
