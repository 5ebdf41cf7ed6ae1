"""Every broker lists servers until their records expire, and sends cancelations to all servers."""

from datetime import timedelta

from pyasynq.broker import Broker
from pyasynq.core.info import ProcessInfo
from tests.support.factories import STARTED, a_server, a_worker
from tests.support.notices import listening, next_notice


async def test_servers_are_shown_with_what_they_run(broker: Broker) -> None:
    server = a_server("s", a_worker("1"))
    await broker.registry.write_server(server, ttl_s=10)
    assert await broker.registry.servers() == [server]


async def test_a_server_counts_what_it_runs_and_does_not_show(broker: Broker) -> None:
    server = a_server("s", a_worker("1"), active_worker_count=7)
    await broker.registry.write_server(server, ttl_s=10)
    assert await broker.registry.servers() == [server]


async def test_a_server_shows_what_it_has_measured(broker: Broker) -> None:
    process = ProcessInfo(tasks_per_s=1.25, loop_lag=timedelta(milliseconds=3.5), memory=None)
    await broker.registry.write_server(a_server(process=process), ttl_s=10)
    assert await broker.registry.servers() == [a_server(process=process)]


async def test_a_server_without_work_is_shown(broker: Broker) -> None:
    await broker.registry.write_server(a_server(), ttl_s=10)
    assert await broker.registry.servers() == [a_server()]


async def test_an_earlier_record_of_a_server_is_replaced(broker: Broker) -> None:
    await broker.registry.write_server(a_server("s", a_worker("1")), ttl_s=10)
    stopped = a_server("s", a_worker("2"), status="stopped")
    await broker.registry.write_server(stopped, ttl_s=10)
    assert await broker.registry.servers() == [stopped]


async def test_a_server_that_left_is_not_shown(broker: Broker) -> None:
    await broker.registry.write_server(a_server("s", a_worker("1")), ttl_s=10)
    await broker.registry.write_server(a_server(), ttl_s=0)
    assert await broker.registry.servers() == []


async def test_a_server_that_is_not_shown_leaves_without_error(broker: Broker) -> None:
    await broker.registry.write_server(a_server(), ttl_s=0)
    assert await broker.registry.servers() == []


async def test_many_servers_are_all_shown(broker: Broker) -> None:
    for n in range(20):
        await broker.registry.write_server(a_server(f"{n:02}"), ttl_s=10)
    shown = await broker.registry.servers()
    assert [server.id for server in shown] == [f"{n:02}" for n in range(20)]


async def test_the_server_that_started_first_is_shown_first(broker: Broker) -> None:
    ages = {"a": timedelta(0), "b": timedelta(hours=2), "c": timedelta(hours=1)}
    for name, age in ages.items():
        await broker.registry.write_server(a_server(name, started=STARTED - age), ttl_s=10)
    await broker.registry.write_server(a_server("0", started=None), ttl_s=10)
    assert [server.id for server in await broker.registry.servers()] == ["b", "c", "a", "0"]


async def test_the_queues_of_a_server_are_known_also_after_it_has_left(broker: Broker) -> None:
    server = a_server(queues={"r": 1, "q": 2})
    await broker.registry.write_server(server, ttl_s=10)
    assert await broker.inspection.queues() == ["q", "r"]
    await broker.registry.write_server(server, ttl_s=0)
    assert await broker.inspection.queues() == ["q", "r"]


async def test_a_cancelation_reaches_every_listener(broker: Broker) -> None:
    await broker.ping()
    async with listening(broker) as cancelations:
        await broker.registry.cancel("1")
        assert await next_notice(cancelations) == "1"


async def test_a_broker_answers_a_ping(broker: Broker) -> None:
    await broker.ping()


async def test_a_broker_is_closed_twice(broker: Broker) -> None:
    await broker.ping()
    await broker.aclose()
    await broker.aclose()
