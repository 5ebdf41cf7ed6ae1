"""The first of several waits counts, and the others are cancelled."""

import asyncio

import pytest

from pyasynq.runtime.waiting import wait_for_first
from tests.support.waiting import wait_until


async def never() -> None:
    await asyncio.Event().wait()


async def at_once() -> None: ...


async def test_the_wait_that_is_named_first_may_be_the_first_to_end() -> None:
    assert await wait_for_first(at_once(), never())


async def test_another_wait_may_end_before_the_one_that_is_named_first() -> None:
    assert not await wait_for_first(never(), at_once())


async def test_a_wait_ends_after_the_given_time() -> None:
    assert not await wait_for_first(never(), never(), within_s=0.01)


async def test_waits_that_were_not_the_first_are_cancelled() -> None:
    before = len(asyncio.all_tasks())
    await wait_for_first(at_once(), never(), never())
    await wait_until(lambda: len(asyncio.all_tasks()) <= before)


async def test_waits_end_with_their_caller() -> None:
    before = len(asyncio.all_tasks())
    waiting = asyncio.create_task(wait_for_first(never(), never()))
    await wait_until(lambda: len(asyncio.all_tasks()) == before + 3)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    await wait_until(lambda: len(asyncio.all_tasks()) <= before)
