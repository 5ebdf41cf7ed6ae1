"""`wait_until` returns when the predicate holds, and names the predicate at a timeout."""

import pytest

from tests.support.waiting import wait_until


async def test_waiting_ends_when_the_predicate_holds() -> None:
    answers = iter([False, False, True])
    await wait_until(lambda: next(answers))
    assert next(answers, "not asked again") == "not asked again"


async def test_an_async_predicate_is_awaited() -> None:
    answers = iter([False, True])

    async def predicate() -> bool:
        return next(answers)

    await wait_until(predicate)


async def test_waiting_in_vain_names_the_place_of_the_predicate() -> None:
    with pytest.raises(TimeoutError, match=r"waited 0\.01 s for .*test_waiting\.py"):
        await wait_until(lambda: False, 0.01)
