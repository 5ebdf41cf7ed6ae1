"""Workers: what they run, and how operators control them."""

import pytest

from pyasynq import Inspector
from pyasynq.broker import Broker
from tests.dashboard.browser.shop import Shop
from tests.support.addresses import ON_ONE
from tests.support.factories import a_server
from tests.terminal.view import LARGE, audit_of, dashboard


@pytest.mark.usefixtures("stage")
async def test_servers_are_shown_with_what_they_run(address: str) -> None:
    async with dashboard(address, size=LARGE) as view:
        await view.press("g", "w")
        await view.see("stage:7", "works", "1/4", "q:2", "0.1.0")
        assert view.line("  t ")[:2] == ["t", "q"]


@ON_ONE
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


async def test_the_slots_of_a_worker_are_changed(
    address: str, shop: Shop, broker: Broker, inspector: Inspector
) -> None:
    (server,) = await inspector.servers()
    async with dashboard(address) as view:
        await view.press("g", "w")
        await view.see("1/5")
        await view.press("e")
        await view.see("Slots of worker ", "Tasks that it runs at once.")
        await view.write("0")
        await view.see("0 is no number of slots")
        await view.press("e")
        await view.see("Slots of worker ")
        await view.write("7")
        await view.agree("Change the slots of worker ", "from 5 to 7?", "those go on.")
        await view.see("7 slots are wanted of", "1/7")
    (entry,) = await audit_of(broker)
    place = f"{server.host}:{server.pid}"
    assert (entry.action, entry.target, entry.detail) == ("server.set", place, "concurrency 7")


async def test_all_workers_are_quieted_and_use_their_own_options_again(
    address: str, shop: Shop, broker: Broker, inspector: Inspector
) -> None:
    async with dashboard(address) as view:
        await view.press("g", "w")
        await view.see("works")
        await view.press("a")
        await view.see("What are all workers to do?", "p  quiet all workers", "o  let all workers")
        await view.press("p")
        await view.agree("Quiet all workers?", "holds for those that start later.")
        await view.see("quiet was sent to all workers", "takes no tasks")
        await view.see("wanted of all workers: take none")
        await view.press("a", "o")
        await view.agree("Let all workers use their own options?")
        await view.see("reset was sent to all workers", "works")
        await view.see_no("wanted of all workers")
    actions = [(it.action, it.target) for it in await audit_of(broker)]
    assert actions == [("server.quiet", "*"), ("server.reset", "*")]
    assert await inspector.controls() == []


@ON_ONE
@pytest.mark.usefixtures("stage")
async def test_all_workers_are_stopped_and_resumed(address: str, inspector: Inspector) -> None:
    async with dashboard(address) as view:
        await view.press("g", "w")
        await view.see("stage:7")
        await view.press("a")
        await view.see("S  stop all workers")
        await view.press("S")
        await view.agree("Stop all workers?", "once their running tasks have ended.")
        await view.see("wanted of all workers: end")
        assert [(it.target, it.state) for it in await inspector.controls()] == [("*", "stop")]
        await view.press("a", "r")
        await view.agree("Resume all workers?", "They take tasks again.")
        await view.see("wanted of all workers: take tasks")


@ON_ONE
async def test_what_is_wanted_of_a_deployment_is_shown(address: str, inspector: Inspector) -> None:
    await inspector.control("blue", concurrency=20, queues={"low": 1, "high": 3})
    async with dashboard(address) as view:
        await view.press("g", "w")
        await view.see("wanted of blue: 20 slots, high:3 low:1")


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


@ON_ONE
async def test_a_worker_of_go_cannot_be_controlled(address: str, broker: Broker) -> None:
    server = a_server("go", host="gopher", pid=7, version=None)
    await broker.registry.write_server(server, ttl_s=60)
    async with dashboard(address) as view:
        await view.press("g", "w")
        await view.see("gopher:7")
        await view.press("p")
        await view.see("gopher:7 cannot be controlled")
        await view.press("e")
        await view.see_no("y yes", "Slots of worker")
