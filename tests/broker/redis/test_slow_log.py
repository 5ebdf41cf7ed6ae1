"""The slow log is read without the arguments of commands."""

from collections.abc import AsyncIterator, Iterator
from datetime import timedelta

import pytest
from redis.asyncio import Redis

from pyasynq.broker.ports.diagnosis import SlowLog
from pyasynq.broker.redis import RedisBroker, connect
from pyasynq.broker.redis.slow_log import read_entries
from tests.support.factories import a_pending, enqueue
from tests.support.servers import RedisCluster, RedisServer, free_port


@pytest.fixture
def server() -> Iterator[RedisServer]:
    """Yield a Redis that takes every command for a slow one."""
    with RedisServer(port=free_port(), slowlog_log_slower_than="0") as server:
        yield server


@pytest.fixture
async def broker(server: RedisServer) -> AsyncIterator[RedisBroker]:
    broker = connect(server.url)
    yield broker
    await broker.aclose()


@pytest.fixture
async def r(server: RedisServer) -> AsyncIterator[Redis]:
    async with Redis.from_url(server.url, client_name="till") as r:
        yield r


async def only_log(broker: RedisBroker) -> SlowLog:
    [log] = await broker.diagnosis.slow_logs(50)
    return log


async def test_a_script_of_ours_has_its_name_and_the_key_of_its_queue(broker: RedisBroker) -> None:
    await enqueue(broker, a_pending("1"))
    log = await only_log(broker)
    assert log.limit == timedelta(0)
    assert log.commands
    [script] = [it for it in log.commands if it.command == "create/create"]
    assert script.key.startswith("asynq:{q}:")


def test_what_a_script_has_called_has_no_client() -> None:
    [command] = read_entries([[7, 0, 12_000, [b"zadd", b"asynq:{q}:lease"], b"?:0", b""]])
    assert (command.command, command.key, command.client) == ("ZADD", "asynq:{q}:lease", "")


async def test_commands_of_other_programs_show_neither_keys_nor_arguments(
    broker: RedisBroker, r: Redis
) -> None:
    await r.set("secret", "password")
    await r.eval("return ARGV[1]", 0, "password")
    log = await only_log(broker)
    assert log.commands
    shown = [(it.command, it.key, it.client) for it in log.commands]
    assert ("SET", "", "till") in shown
    assert ("EVAL", "", "till") in shown
    assert "password" not in repr(log)
    assert "secret" not in repr(log)


async def test_a_script_that_is_not_ours_shows_how_its_hash_begins(
    broker: RedisBroker, r: Redis
) -> None:
    sha = await r.script_load("return redis.call('LLEN', KEYS[1])")
    await r.evalsha(sha, 1, "asynq:{q}:pending")
    log = await only_log(broker)
    assert log.commands
    shown = [(it.command, it.key) for it in log.commands]
    assert (f"EVALSHA {sha[:8]}", "asynq:{q}:pending") in shown


async def test_a_user_who_may_not_read_it_gets_none(server: RedisServer, r: Redis) -> None:
    rules = ("on", ">pw", "~asynq:*", "+@all", "-slowlog", "-config")
    await r.execute_command("ACL", "SETUSER", "weak", *rules)
    weak = connect(server.url.replace("://", "://weak:pw@"))
    log = await only_log(weak)
    await weak.aclose()
    assert log == SlowLog(address="", limit=None, commands=None)


async def test_a_cluster_has_one_for_each_primary(redis_cluster: RedisCluster) -> None:
    broker = connect(redis_cluster.url)
    logs = await broker.diagnosis.slow_logs(5)
    await broker.aclose()
    ports = {int(log.address.rpartition(":")[2]) for log in logs}
    assert ports == {node.port for node in redis_cluster.nodes}
    assert all(log.commands is not None for log in logs)


async def test_at_most_as_many_are_read_as_wanted(broker: RedisBroker) -> None:
    for _ in range(3):
        await broker.ping()
    [log] = await broker.diagnosis.slow_logs(2)
    assert log.commands
    assert len(log.commands) == 2
