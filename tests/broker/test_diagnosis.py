"""A broker with this port reports its servers, permissions and heartbeats."""

import pytest

from pyasynq.broker import Broker
from tests.support.factories import a_server

pytestmark = pytest.mark.needs("diagnosis")


async def test_each_server_of_the_broker_reports(broker: Broker) -> None:
    for node in await broker.diagnosis.nodes():
        assert node.info
        assert node.offset_s is not None
        assert abs(node.offset_s) <= 1 + node.round_trip_s


async def test_nothing_is_forbidden_to_a_user_who_may_do_all(broker: Broker) -> None:
    assert await broker.diagnosis.forbidden() == {}


async def test_a_server_that_shows_itself_has_a_heartbeat(broker: Broker) -> None:
    await broker.registry.write_server(a_server(host="h", pid=1), ttl_s=10)
    [heartbeat] = await broker.diagnosis.heartbeats()
    assert heartbeat.server.startswith("h:1:")
    assert heartbeat.left_s <= 11  # whole seconds, rounded up


async def test_without_servers_there_are_no_heartbeats(broker: Broker) -> None:
    assert await broker.diagnosis.heartbeats() == []


async def test_slow_commands_are_those_of_its_servers(broker: Broker) -> None:
    logs = await broker.diagnosis.slow_logs(5)
    servers = [node.address for node in await broker.diagnosis.nodes()]
    assert [log.address for log in logs] in (servers, [])
