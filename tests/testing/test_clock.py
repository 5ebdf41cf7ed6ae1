"""The clock stands still until the test moves it, and nobody waits longer than in reality."""

import asyncio
from datetime import UTC, datetime, timedelta

import pytest

from pyasynq import App, Clock, OptionError, PyasynqError, TypedTask
from pyasynq.testing import Tasks, TravelClock

NOON = datetime(2026, 3, 4, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)


def test_both_times_move_together() -> None:
    clock = TravelClock(NOON)
    before = clock.monotonic()
    clock.travel_to(NOON + HOUR)
    assert (clock.now(), clock.monotonic() - before) == (NOON + HOUR, pytest.approx(3600))


def test_a_clock_begins_at_a_full_second_that_is_not_over() -> None:
    before = datetime.now(UTC)
    assert before <= (now := TravelClock().now()) <= datetime.now(UTC) + timedelta(seconds=1)
    assert now.microsecond == 0


@pytest.mark.parametrize("instant", [NOON - HOUR, NOON.replace(tzinfo=None), "noon"])
def test_a_clock_goes_forward_only(instant: datetime) -> None:
    with pytest.raises(OptionError, match="instant must be"):
        TravelClock(NOON).travel_to(instant)


async def test_a_sleeper_wakes_when_the_clock_is_moved_past_its_time() -> None:
    clock = TravelClock(NOON)
    sleeping = asyncio.ensure_future(clock.sleep(3600))
    await asyncio.sleep(0)
    clock.travel_to(NOON + HOUR - timedelta(seconds=1))
    await asyncio.sleep(0)
    assert not sleeping.done()
    clock.travel_to(NOON + HOUR)
    await sleeping


async def test_a_real_wait_moves_the_clock() -> None:
    clock = TravelClock(NOON)
    await clock.sleep(0.01)
    assert clock.now() == NOON + timedelta(seconds=0.01)


async def test_a_cancelled_timer_does_not_ring() -> None:
    clock, rung = TravelClock(NOON), list[str]()
    clock.call_later(60, lambda: rung.append("cancelled")).cancel()
    clock.call_later(60, lambda: rung.append("rung"))
    clock.travel_to(NOON + HOUR)
    await asyncio.sleep(0)
    assert rung == ["rung"]


async def test_a_timer_rings_in_its_own_loop() -> None:
    clock = TravelClock(NOON)
    sleeping = asyncio.create_task(clock.sleep(3600))
    await asyncio.sleep(0)
    await asyncio.to_thread(clock.travel_to, NOON + HOUR)
    await sleeping


def test_the_clocks_of_the_program_follow_and_are_their_own_again_afterwards() -> None:
    ours = Clock()
    with TravelClock(NOON).everywhere():
        assert (ours.now(), Clock().now()) == (NOON, NOON)
    assert ours.now() != NOON


def test_a_clock_of_the_user_stays() -> None:
    class Mine(Clock):
        def now(self) -> datetime:
            return NOON - HOUR

    with TravelClock(NOON).everywhere():
        assert Mine().now() == NOON - HOUR


# -- travelling with tasks -------------------------------------------------------------------------


async def test_time_is_told_from_where_the_test_says() -> None:
    async with Tasks(now=NOON) as tasks:
        await tasks.travel_to(NOON + HOUR)
        await tasks.advance(HOUR)
        await tasks.advance(hours=1)
        assert tasks.now == NOON + 3 * HOUR


async def test_a_clock_may_be_handed_over() -> None:
    clock = TravelClock(NOON)
    async with Tasks(clock=clock) as tasks:
        clock.travel_to(NOON + HOUR)
        assert tasks.now == NOON + HOUR


@pytest.mark.parametrize("options", [{"clock": Clock()}, {"clock": TravelClock(), "now": NOON}])
def test_a_clock_that_cannot_be_moved_is_refused(options: dict[str, object]) -> None:
    with pytest.raises(OptionError, match="clock must be"):
        Tasks(**options)  # type: ignore[arg-type]


async def test_a_time_that_is_no_time_is_refused(tasks: Tasks) -> None:
    with pytest.raises(OptionError, match="by must be timedelta"):
        await tasks.advance(10)  # type: ignore[arg-type]
    with pytest.raises(OptionError, match="by must be left out"):
        await tasks.advance(HOUR, hours=1)
    with pytest.raises(TypeError, match="hour"):
        await tasks.advance(hour=1)
    with pytest.raises(OptionError, match="time goes forward only"):
        await tasks.advance(hours=-1)


# -- periodic tasks --------------------------------------------------------------------------------


@pytest.fixture
def report(pyasynq_app: App) -> TypedTask[[], None]:
    """Return a task that is due every 20 minutes."""

    @pyasynq_app.periodic("*/20 * * * *")
    @pyasynq_app.task("report")
    async def report() -> None: ...

    return report


async def test_each_tick_that_was_due_is_enqueued_once(
    pyasynq_app: App, report: TypedTask[[], None]
) -> None:
    async with Tasks(pyasynq_app, now=NOON) as tasks:
        assert await tasks.tick() == []
        await tasks.advance(minutes=50)
        assert [info.type for info in await tasks.tick()] == ["report", "report"]
        assert await tasks.tick() == []
        await tasks.travel_to(NOON + HOUR)
        assert len(await tasks.tick()) == 1
        tasks.assert_enqueued(report, count=3)


async def test_too_many_ticks_are_refused(pyasynq_app: App, report: TypedTask[[], None]) -> None:
    async with Tasks(pyasynq_app, now=NOON) as tasks:
        await tasks.advance(days=30)
        with pytest.raises(PyasynqError, match="more than 1000 ticks are due since 2026-03-04"):
            await tasks.tick()
