"""Call the steps of a scheduler's actors, by the clock of a test."""

from pyasynq import Scheduler
from pyasynq.scheduler.heartbeater import Heartbeater
from pyasynq.scheduler.ticker import Ticker
from tests.support.clocks import SteeredClock


def ticker_of(scheduler: Scheduler) -> Ticker:
    """Return the actor that enqueues."""
    return scheduler._ticker


def heartbeater_of(scheduler: Scheduler) -> Heartbeater:
    """Return the actor that lists the entries."""
    return scheduler._heartbeater


async def advance_and_step(scheduler: Scheduler, clock: SteeredClock, **span: float) -> float:
    """Advance the clock, take a step of the ticker, and return the seconds that it would wait."""
    clock.advance(**span)
    return await ticker_of(scheduler).step()
