"""Schedules: entries, what they enqueued, and how operators control them."""

import pytest

from pyasynq import Inspector
from pyasynq.broker import Broker
from tests.dashboard.browser.shop import Shop
from tests.support.addresses import ON_ONE
from tests.terminal.view import LARGE, audit_of, dashboard


@ON_ONE
@pytest.mark.usefixtures("stage")
async def test_entries_are_shown(address: str) -> None:
    async with dashboard(address, size=LARGE) as view:
        await view.press("g", "s")
        await view.see("@every 1m", "queue=low", "Last runs", "none is known")


@ON_ONE
async def test_without_entries_it_says_how_to_start_a_scheduler(address: str) -> None:
    async with dashboard(address) as view:
        await view.press("g", "s")
        await view.see("No scheduler has reported itself: pyasynq scheduler module:app")


@pytest.mark.usefixtures("stage")
async def test_an_entry_is_run_now(address: str, inspector: Inspector) -> None:
    async with dashboard(address) as view:
        await view.press("g", "s")
        await view.see("@every 1m", "none is known")
        await view.press("r")
        await view.agree("Run t at @every 1m now?")
        await view.see("enqueued: t at @every 1m")
        await view.see_no("none is known")
    assert len(await inspector.scheduler_events("e")) == 1
    assert (await inspector.queue_info("low")).pending == 1


async def test_an_entry_is_paused_and_resumed(
    address: str, shop: Shop, broker: Broker, inspector: Inspector
) -> None:
    async with dashboard(address) as view:
        await view.press("g", "s")
        await view.see("shop:tick")
        await view.press("p")
        await view.agree("Pause shop:tick at 30 9 * * 1-5?")
        await view.see("30 9 * * 1-5 shop:tick paused")
        assert [it.paused for it in await inspector.scheduler_entries()] == [True]
        await view.press("p")
        await view.agree("Resume shop:tick at 30 9 * * 1-5?")
        await view.see("30 9 * * 1-5 shop:tick in ")
    (entry,) = await inspector.scheduler_entries()
    assert not entry.paused
    actions = [(it.action, it.target) for it in await audit_of(broker)]
    assert actions == [("entry.pause", entry.id), ("entry.resume", entry.id)]
