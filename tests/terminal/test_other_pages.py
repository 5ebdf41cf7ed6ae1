"""Groups, the broker, and the audit."""

import pytest

from pyasynq import Client, Inspector, Task
from pyasynq.broker import Broker
from tests.support.addresses import ON_ONE
from tests.support.clusters import queue_of_cluster
from tests.support.servers import RedisCluster
from tests.terminal.view import LARGE, audit_of, dashboard

__all__ = ["queue_of_cluster"]


@pytest.fixture
async def group(client: Client) -> None:
    """Have a group of two tasks."""
    for payload in (b"1", b"2"):
        await client.enqueue(Task("change", payload), queue="q", group="shop 7")


@ON_ONE
@pytest.mark.usefixtures("group")
async def test_groups_are_listed_and_lead_to_their_tasks(address: str) -> None:
    async with dashboard(address) as view:
        await view.press("g", "p")
        await view.see("shop 7")
        assert view.line("shop 7")[:2] == ["2", "q"]
        await view.press("enter")
        await view.see("2 tasks match", 'group:"shop 7"')


@pytest.mark.usefixtures("group")
async def test_all_tasks_of_a_group_are_run(
    address: str, broker: Broker, inspector: Inspector
) -> None:
    async with dashboard(address) as view:
        await view.press("g", "p")
        await view.see("shop 7")
        await view.press("r")
        await view.agree("Run 2 tasks that match")
        await view.see("pending now: 2 tasks", "No task waits in a group")
    assert (await inspector.queue_info("q")).pending == 2
    assert [it.outcome for it in await audit_of(broker)] == ["begun", "done"]


async def test_the_broker_shows_what_is_wrong_with_it_and_what_it_reports(
    address: str, broker: Broker
) -> None:
    async with dashboard(address, size=LARGE) as view:
        await view.press("g", "r")
        reported = {"Redis": "redis_version", "SQLite": "size"}[broker.name]
        await view.see("Checks", reported, f" {broker.name} ")
        slow = {"Redis": "Slow commands  from 10ms on", "SQLite": "SQLite keeps no list"}[
            broker.name
        ]
        await view.see(slow)


@pytest.mark.usefixtures("queue_of_cluster")
async def test_a_cluster_shows_where_its_queues_are(redis_cluster: RedisCluster) -> None:
    async with dashboard(redis_cluster.url, size=LARGE) as view:
        await view.press("g", "r")
        await view.see("Checks", "cluster")
        await view.press(*["space"] * 9)
        await view.see("Queues of the cluster", f"127.0.0.1:{redis_cluster.nodes[2].port}")
        assert view.line("11958")[0] == "q"


@ON_ONE
async def test_the_audit_shows_who_did_what(
    address: str, client: Client, inspector: Inspector
) -> None:
    await client.enqueue(Task("t"), queue="q")
    async with dashboard(address, size=LARGE) as view:
        await view.see("  q ")
        await view.press("p")
        await view.agree("Pause queue q?")
        await view.see("q is paused")
        await view.press("g", "a")
        await view.see("queue.pause")
        words = view.line("queue.pause")
        assert words[3:7] == ["queue.pause", "1", "done", "q"]
        await view.press("m")
        await view.see("queue.pause")
