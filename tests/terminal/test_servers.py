"""Workers: what they run, and how operators control them."""

import pytest

from pyasynq import Inspector
from pyasynq.broker import Broker
from tests.dashboard.browser.shop import Shop
from tests.support.factories import a_server
from tests.terminal.view import LARGE, audit_of, dashboard


@pytest.mark.usefixtures("stage")
async def test_servers_are_shown_with_what_they_run(address: str) -> None:
    async with dashboard(address, size=LARGE) as view:
        await view.press("g", "w")
        await view.see("stage:7", "works", "1/4", "q:2", "0.1.0")
        assert view.line("  t ")[:2] == ["t", "q"]


async def test_without_workers_it_says_how_to_start_one(address: str) -> None:
    async with dashboard(address) as view:
        await view.press("g", "w")
        await view.see("No worker runs: pyasynq worker module:app", "No task is running.")


async def test_a_worker_is_quieted_and_resumed(
    address: str, shop: Shop, broker: Broker, inspector: Inspector
) -> None:
    async with dashboard(address) as view:
        await view.press("g", "w")
        await view.see("works")
        await view.press("p")
        await view.agree("Quiet worker ", "It takes no more tasks")
        await view.see("quiet was sent to")
        await view.see("takes no tasks")
        await view.press("p")
        await view.agree("Resume worker ")
        await view.see("resume was sent to")
        await view.see("works")
    assert [it.action for it in await audit_of(broker)] == ["server.quiet", "server.resume"]


async def test_a_worker_is_stopped(address: str, shop: Shop, inspector: Inspector) -> None:
    async with dashboard(address) as view:
        await view.press("g", "w")
        await view.see("works")
        await view.press("S")
        await view.agree("Stop worker ", "It runs 1 task now")
        await view.see("stop was sent to")
    assert [it.state for it in await inspector.controls()] == ["stop"]


async def test_a_run_is_opened_and_cancelled(address: str, shop: Shop) -> None:
    async with dashboard(address, size=LARGE) as view:
        await view.press("g", "w")
        await view.see("shop:run")
        await view.press("tab", "enter")
        await view.see("this run must end")
        await view.press("escape")
        await view.see("Running now")
        await view.press("c")
        await view.agree("Cancel shop:run")
        await view.see("asked to stop:")
        await view.see("No task is running.")


async def test_a_worker_of_go_cannot_be_controlled(address: str, broker: Broker) -> None:
    server = a_server("go", host="gopher", pid=7, version=None)
    await broker.registry.write_server(server, ttl_s=60)
    async with dashboard(address) as view:
        await view.press("g", "w")
        await view.see("gopher:7")
        await view.press("p")
        await view.see("gopher:7 cannot be controlled")
        await view.see_no("y yes")
