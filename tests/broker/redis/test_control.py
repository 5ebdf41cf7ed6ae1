"""What other programs may have written into the hash of controls does no harm."""

import pytest
from redis.asyncio import Redis

from pyasynq import BrokerError
from pyasynq.broker import open_broker
from pyasynq.broker.redis import shared_keys

LATE_US = 9_000_000_000_000_000


async def test_a_setting_that_cannot_be_read_is_left_out(redis_url: str, r: Redis) -> None:
    broker = open_broker(redis_url)
    await broker.control.write("s", {"concurrency": "5"}, for_server=True)
    spoiled = {
        "state:s": "x",
        "queues:s": f"{LATE_US} {{",
        "colour:s": '1 {"value":1,"for_server":true}',
        "none": "",
        b"state:\xff": b"\xff",
    }
    await r.hset(shared_keys.CONTROL, mapping=spoiled)  # type: ignore[misc]
    (setting,) = await broker.control.read(["s"])
    assert (setting.name, setting.value) == ("concurrency", "5")
    assert await broker.control.read() == [setting]
    await broker.aclose()


async def test_the_newest_setting_is_the_newest_if_the_clock_was_set_back(
    redis_url: str, r: Redis
) -> None:
    broker = open_broker(redis_url)
    early = f'{LATE_US} {{"value":1,"for_server":false}}'
    await r.hset(shared_keys.CONTROL, "concurrency:*", early)
    await broker.control.write("s", {"concurrency": "5"}, for_server=True)
    (setting,) = await broker.control.read(["s"])
    assert setting.at_us == LATE_US + 1
    await broker.aclose()


async def test_a_key_of_another_type_is_an_error(redis_url: str, r: Redis) -> None:
    await r.set(shared_keys.CONTROL, "x")
    broker = open_broker(redis_url)
    with pytest.raises(BrokerError):
        await broker.control.read(["s"])
    with pytest.raises(BrokerError):
        await broker.control.write("s", {"concurrency": "5"}, for_server=True)
    await r.delete(shared_keys.CONTROL)
    await broker.aclose()
