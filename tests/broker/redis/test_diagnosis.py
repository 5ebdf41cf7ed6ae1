"""Commands are tried, and leave nothing."""

import re
from pathlib import Path

import pytest
from redis.asyncio import Redis

from pyasynq.broker.redis import RedisBroker, connect, lua
from pyasynq.broker.redis.diagnosis import COMMANDS
from tests.support.servers import RedisServer, free_port

LUA = Path(lua.__path__[0])
IN_LUA = {
    command
    for file in LUA.rglob("*.lua")
    for command in re.findall(r'redis\.p?call\("([A-Z]+)"', file.read_text())
}


@pytest.mark.parametrize("command", sorted(IN_LUA))
def test_every_command_of_a_script_is_tried(command: str) -> None:
    assert command in {words[0] for words in COMMANDS}


async def test_the_commands_leave_no_key(broker: RedisBroker, r: Redis) -> None:
    await broker.diagnosis.forbidden()
    assert await r.keys() == []


@pytest.mark.parametrize(
    ("rule", "denied"),
    [
        ("-zadd", {"ZADD"}),
        (
            "-@hash",
            {
                *("HDEL", "HEXISTS", "HGET", "HGETALL", "HINCRBY", "HKEYS", "HLEN", "HMGET"),
                *("HSET", "HSETNX", "HVALS"),
            },
        ),
        ("-subscribe", {"SUBSCRIBE"}),
        ("resetchannels", {"PUBLISH", "SUBSCRIBE"}),
        ("-evalsha", {"EVALSHA"}),
        ("-@scripting", {"EVAL", "EVALSHA"}),
        ("-eval", {"EVAL"}),
        ("-blmove", {"BLMOVE"}),
        ("-set", {"SET"}),
        ("-set -expire -del -unlink", {"DEL", "EXPIRE", "SET", "UNLINK"}),
        ("-expire -del -unlink", {"DEL", "EXPIRE", "UNLINK"}),
    ],
)
async def test_a_command_that_a_user_may_not_run_is_named(rule: str, denied: set[str]) -> None:
    with RedisServer(port=free_port()) as server:
        async with Redis.from_url(server.url) as admin:
            rules = ("on", ">pw", "~asynq:*", "&asynq:*", "+@all", *rule.split())
            await admin.execute_command("ACL", "SETUSER", "weak", *rules)
            broker = connect(server.url.replace("://", "://weak:pw@"))
            assert (await broker.diagnosis.forbidden()).keys() == denied
            await broker.aclose()
            assert await admin.keys() == []


async def test_settings_that_are_not_permitted_are_left_out() -> None:
    with RedisServer(port=free_port()) as server:
        async with Redis.from_url(server.url) as admin:
            rules = ("on", ">pw", "~asynq:*", "+@all", "-config", "-info", "-time")
            await admin.execute_command("ACL", "SETUSER", "weak", *rules)
        broker = connect(server.url.replace("://", "://weak:pw@"))
        [node] = await broker.diagnosis.nodes()
        await broker.aclose()
    assert (node.info, node.settings, node.offset_s) == (None, {}, None)
