"""Every broker keeps what operators want of servers, and tells the servers when it changes."""

import time

import pytest

from pyasynq.broker import Broker, Notice
from pyasynq.core.wanted_state import Setting
from tests.support.factories import a_server
from tests.support.notices import listening, next_notice

pytestmark = pytest.mark.needs("control")

TARGETS = ["s", "shop", "*"]


async def read(broker: Broker, *targets: str) -> list[tuple[str, str, str]]:
    """Return target, name and value of the settings of *targets*."""
    settings = await broker.control.read(targets or None)
    return [(setting.target, setting.name, setting.value) for setting in settings]


async def test_what_nobody_wants_is_not_there(broker: Broker) -> None:
    assert await broker.control.read(TARGETS) == []
    assert await broker.control.read() == []


async def test_a_setting_is_read_as_it_was_written(broker: Broker) -> None:
    before = time.time()
    await broker.control.write("s", {"queues": '{"a":1}'}, for_server=True)
    (setting,) = await broker.control.read(["s"])
    assert setting == Setting(
        target="s", name="queues", value='{"a":1}', at_us=setting.at_us, for_server=True
    )
    assert before - 1 <= setting.at_us / 1_000_000 <= time.time() + 1


async def test_settings_come_in_the_order_of_the_targets(broker: Broker) -> None:
    for target in ("*", "other", "s", "shop"):
        await broker.control.write(target, {"concurrency": "1"}, for_server=False)
    assert [target for target, _, _ in await read(broker, *TARGETS)] == TARGETS
    assert sorted(target for target, _, _ in await read(broker)) == ["*", "other", "s", "shop"]


async def test_a_later_value_replaces_the_earlier_one_and_no_other(broker: Broker) -> None:
    await broker.control.write("*", {"state": '"quiet"', "concurrency": "1"}, for_server=False)
    await broker.control.write("*", {"concurrency": "2"}, for_server=False)
    assert sorted(await read(broker)) == [("*", "concurrency", "2"), ("*", "state", '"quiet"')]


async def test_a_later_setting_has_a_later_time_whatever_its_target(broker: Broker) -> None:
    for target in ("*", "s", "shop", "*"):
        await broker.control.write(target, {"concurrency": "1"}, for_server=False)
    times = {setting.target: setting.at_us for setting in await broker.control.read()}
    assert times["s"] < times["shop"] < times["*"]


async def test_what_is_cleared_is_gone_for_that_target(broker: Broker) -> None:
    await broker.control.write("s", {"state": '"quiet"', "queues": "{}"}, for_server=True)
    await broker.control.write("*", {"state": '"quiet"'}, for_server=False)
    await broker.control.clear("s")
    await broker.control.clear("nobody")
    assert await read(broker) == [("*", "state", '"quiet"')]


@pytest.mark.parametrize("target", ["a:b", "ein Name", "名", '"', "x" * 200])
async def test_any_name_can_be_a_target(broker: Broker, target: str) -> None:
    await broker.control.write(target, {"state": '"quiet"'}, for_server=False)
    assert await read(broker) == [(target, "state", '"quiet"')]
    assert await read(broker, target) == await read(broker)


async def test_listeners_are_told_of_each_change(broker: Broker) -> None:
    async with listening(broker) as notices:
        await broker.control.write("s", {"state": '"quiet"'}, for_server=True)
        assert await next_notice(notices) is Notice.CONTROL
        await broker.registry.cancel("1")
        assert await next_notice(notices) == "1"
        await broker.control.clear("s")
        assert await next_notice(notices) is Notice.CONTROL


async def test_the_deployment_of_a_server_and_what_it_could_not_apply_are_shown(
    broker: Broker,
) -> None:
    plain = a_server("p")
    server = a_server("s", deployment="shop", not_applied={"concurrency": "too many"})
    for one in (plain, server):
        await broker.registry.write_server(one, ttl_s=10)
    assert await broker.registry.servers() == [plain, server]


async def test_queues_that_a_pattern_has_found_are_not_made_known(broker: Broker) -> None:
    server = a_server(queues={"q": 1, "tenant-1": 1})
    await broker.registry.write_server(server, ttl_s=10, found={"tenant-1"})
    assert await broker.inspection.queues() == ["q"]
    assert await broker.registry.servers() == [server]
