"""A look at what a scheduler does by the clock that a test steers."""

from pyasynq import Scheduler
from pyasynq.scheduler.heartbeater import Heartbeater
from pyasynq.scheduler.ticker import Ticker
from tests.support.clocks import SteeredClock


def ticker_of(scheduler: Scheduler) -> Ticker:
    """Return the actor that enqueues."""
    return scheduler._ticker


def heartbeater_of(scheduler: Scheduler) -> Heartbeater:
    """Return the actor that shows the entries."""
    return scheduler._heartbeater


async def later(scheduler: Scheduler, clock: SteeredClock, **span: float) -> float:
    """Move the clock on, let the scheduler enqueue what is due, return how long it would wait."""
    clock.advance(**span)
    return await ticker_of(scheduler).step()
