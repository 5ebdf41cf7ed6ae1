"""The diagnosis port: what the servers of Redis report, and which commands they permit."""

import uuid
from collections.abc import Mapping, Sequence
from contextlib import aclosing
from datetime import timedelta
from typing import Any, Final, cast

from redis.asyncio import RedisCluster

from pyasynq.broker.ports.diagnosis import Heartbeat, NodeReport, SlowLog
from pyasynq.broker.records import decode_name
from pyasynq.broker.redis import pipeline, shared_keys
from pyasynq.broker.redis.connection import ANSWER_S, CommandArg, Driver, broker_errors, execute
from pyasynq.broker.redis.lua import diagnosis as scripts
from pyasynq.broker.redis.slow_log import read_entries
from pyasynq.core.errors import BrokerAuthError, BrokerError, BrokerUnavailableError
from pyasynq.runtime.clock import Clock

SETTINGS: Final = ("save", "appendfsync")
SLOW_LIMIT: Final = "slowlog-log-slower-than"
PROBE_S: Final = 60
"""TTL of the key on which commands are tried, in case it is not deleted."""

DENIALS: Final = ("NOPERM", "The user executing the script can't")

NOT_IN_SCRIPTS: Final[tuple[tuple[str, ...], ...]] = (
    ("EVALSHA", "0" * 40, "1", "KEY"),  # no script, but Redis looks at the rights first
    ("EVAL", "return 0", "1", "KEY"),
    ("BLMOVE", "KEY", "KEY", "RIGHT", "RIGHT", "0.01"),
    ("BLPOP", "KEY", "0.01"),
)
"""Commands that a script cannot try."""

COMMANDS: Final[tuple[tuple[str, ...], ...]] = (
    ("SET", "KEY", "probe", "EX", str(PROBE_S)),
    # From here on the key holds a text, so a command for another type changes nothing. Without SET,
    # each type of key is created and emptied again.
    ("TIME",),
    ("SCAN", "0", "COUNT", "1"),
    ("PUBLISH", shared_keys.CANCEL, ""),
    ("PUBLISH", shared_keys.CONTROL_CHANNEL, ""),
    ("MEMORY", "USAGE", "KEY"),
    ("EXISTS", "KEY"),
    ("GET", "KEY"),
    ("MGET", "KEY"),
    ("PTTL", "KEY"),
    ("RENAME", "KEY", "KEY"),
    ("RENAMENX", "KEY", "KEY"),
    ("HEXISTS", "KEY", "f"),
    ("HGETALL", "KEY"),
    ("HGET", "KEY", "f"),
    ("HGETALL", "KEY"),
    ("HINCRBY", "KEY", "f", "1"),
    ("HKEYS", "KEY"),
    ("HLEN", "KEY"),
    ("HMGET", "KEY", "f"),
    ("HVALS", "KEY"),
    ("HSET", "KEY", "f", "v"),
    ("HSETNX", "KEY", "f", "v"),
    ("HDEL", "KEY", "f"),
    ("LINDEX", "KEY", "0"),
    ("LLEN", "KEY"),
    ("LPOS", "KEY", "v"),
    ("LPUSH", "KEY", "v"),
    ("RPUSH", "KEY", "v"),
    ("LRANGE", "KEY", "0", "0"),
    ("LTRIM", "KEY", "0", "0"),
    ("LREM", "KEY", "0", "v"),
    ("SADD", "KEY", "v"),
    ("SCARD", "KEY"),
    ("SISMEMBER", "KEY", "v"),
    ("SMEMBERS", "KEY"),
    ("SMISMEMBER", "KEY", "v"),
    ("SREM", "KEY", "v"),
    ("SSCAN", "KEY", "0"),
    ("ZADD", "KEY", "1", "v"),
    ("ZCARD", "KEY"),
    ("ZMSCORE", "KEY", "v"),
    ("ZRANGE", "KEY", "0", "0"),
    ("ZRANGEBYSCORE", "KEY", "0", "0"),
    ("ZREM", "KEY", "v"),
    ("ZREMRANGEBYRANK", "KEY", "0", "0"),
    ("ZREMRANGEBYSCORE", "KEY", "0", "0"),
    ("ZREVRANGE", "KEY", "0", "0"),
    ("ZSCORE", "KEY", "v"),
    ("XADD", "KEY", "NOMKSTREAM", "*", "f", "v"),
    ("XREVRANGE", "KEY", "+", "-", "COUNT", "1"),
    ("INCRBY", "KEY", "1"),
    ("STRLEN", "KEY"),
    ("GETRANGE", "KEY", "0", "0"),
    ("SETBIT", "KEY", "0", "0"),
    ("PERSIST", "KEY"),
    ("EXPIRE", "KEY", str(PROBE_S)),
    ("UNLINK", "KEY"),
    ("DEL", "KEY"),
    ("EXPIREAT", "KEY", "1"),  # deletes, as the time is past
)
"""Every other command that scripts and ports use, with as many arguments as it needs."""


class RedisDiagnosis:
    """The diagnosis port."""

    def __init__(self, driver: Driver, clock: Clock) -> None:
        """Ask *driver*; its clock is compared with *clock*."""
        self._driver = driver
        self._clock = clock

    async def nodes(self) -> Sequence[NodeReport]:
        """Return what Redis, or each primary of the cluster, reports."""
        return [await self._report(node) for node in await self._servers()]

    async def slow_logs(self, most: int) -> Sequence[SlowLog]:
        """Return the slow commands of Redis, or of each primary of the cluster."""
        return [await self._slow_log(node, most) for node in await self._servers()]

    async def _servers(self) -> Sequence[Any]:
        """Return the primaries of the cluster; without one only None, for the driver's server."""
        if not isinstance(self._driver, RedisCluster):
            return [None]
        async with broker_errors(self._driver):
            await self._driver.initialize()
        return self._driver.get_primaries()

    async def _report(self, node: Any) -> NodeReport:  # noqa: ANN401 - the driver's, if there is one
        info = await self._ask(node, "INFO default")
        settings = {name: await self._ask(node, "CONFIG", "GET", name) for name in SETTINGS}
        before = self._clock.monotonic()
        now = self._clock.now().timestamp()
        time = cast("tuple[object, object] | None", await self._ask(node, "TIME"))
        round_trip_s = self._clock.monotonic() - before
        return NodeReport(
            address=node.name if node else "",
            info=None if info is None else _pairs(cast("bytes", info)),
            settings={
                name: _value(answer) for name, answer in settings.items() if answer is not None
            },
            offset_s=None if time is None else _unix_s(time) - now - round_trip_s / 2,
            round_trip_s=round_trip_s,
        )

    async def _slow_log(self, node: Any, most: int) -> SlowLog:  # noqa: ANN401 - as above
        entries = await self._ask(node, "SLOWLOG", "GET", most)
        limit = await self._ask(node, "CONFIG", "GET", SLOW_LIMIT)
        limit_us = "" if limit is None else _value(limit)
        return SlowLog(
            address=node.name if node else "",
            limit=timedelta(microseconds=int(limit_us)) if limit_us else None,
            commands=None if entries is None else read_entries(cast("Sequence[Any]", entries)),
        )

    async def _ask(self, node: Any, *args: CommandArg) -> object | None:  # noqa: ANN401 - as above
        """Return the answer to a command; None if it is not permitted, or not there."""
        try:
            if node is None:
                return await execute(self._driver, *args)
            async with broker_errors(self._driver):
                return cast("object", await node.execute_command(*args))
        except BrokerUnavailableError:
            raise
        except BrokerError:  # managed services remove commands, or forbid them
            return None

    async def forbidden(self) -> Mapping[str, str]:
        """Return the commands that are needed and not permitted, and the reason for each."""
        probe = shared_keys.probe(str(uuid.uuid4()))
        denied = await self._try_in_script(probe) | await self._try_directly(probe)
        try:
            await self._subscribe()
        except BrokerAuthError as error:
            denied["SUBSCRIBE"] = str(error)
        return denied

    async def _subscribe(self) -> None:
        """Subscribe to cancelations, and await the answer."""
        pubsub: Any = self._driver.pubsub()
        async with aclosing(pubsub), broker_errors(self._driver):
            if isinstance(self._driver, RedisCluster):
                await self._driver.initialize()
            await pubsub.subscribe(shared_keys.CANCEL)
            await pubsub.get_message(timeout=ANSWER_S)

    async def _try_in_script(self, probe: str) -> dict[str, str]:
        try:
            answer = await pipeline.run(self._driver, scripts.probe(COMMANDS, probe=probe))
        except BrokerAuthError:  # no script may be run: see below
            return {}
        errors = [error.decode(errors="replace") for error in cast("list[bytes]", answer)]
        return {
            command[0]: error
            for command, error in zip(COMMANDS, errors, strict=True)
            if any(denial in error for denial in DENIALS)
        }

    async def _try_directly(self, probe: str) -> dict[str, str]:
        denied: dict[str, str] = {}
        for name, *args in NOT_IN_SCRIPTS:
            try:
                await execute(self._driver, name, *(probe if it == "KEY" else it for it in args))
            except BrokerAuthError as error:
                denied[name] = str(error)
            except BrokerUnavailableError:
                raise
            except BrokerError:
                continue  # it is permitted
        return denied

    async def heartbeats(self) -> Sequence[Heartbeat]:
        """Return the records of all servers, in the order in which they expire."""
        return await self._heartbeats(shared_keys.SERVERS)

    async def schedulers(self) -> Sequence[Heartbeat]:
        """Return the records of all schedulers, in the order in which they expire."""
        return await self._heartbeats(shared_keys.SCHEDULERS)

    async def _heartbeats(self, index: str) -> Sequence[Heartbeat]:
        time = cast("tuple[object, object]", await execute(self._driver, "TIME"))
        records = await execute(self._driver, "ZRANGE", index, 0, -1, "WITHSCORES")
        now_s, pairs = _unix_s(time), _scores(records)
        return [
            Heartbeat(
                server=decode_name(key).partition("{")[2].removesuffix("}"), left_s=at_s - now_s
            )
            for key, at_s in pairs
        ]


def _pairs(info: bytes) -> dict[str, str]:
    lines = info.decode(errors="replace").splitlines()
    return {name: value for name, colon, value in (line.partition(":") for line in lines) if colon}


def _value(answer: object) -> str:
    """Return the value in the answer to ``CONFIG GET``: a list, or a mapping from RESP 3 on."""
    if isinstance(answer, dict):
        values = list(cast("dict[bytes, bytes]", answer).values())
    else:
        values = cast("list[bytes]", answer)
    return values[-1].decode(errors="replace") if values else ""


def _unix_s(time: tuple[object, object]) -> float:
    seconds, microseconds = cast("tuple[int, int]", time)
    return int(seconds) + int(microseconds) / 1e6


def _scores(reply: object) -> list[tuple[bytes, float]]:
    """Return members and scores: Redis sends them one after another, in pairs from RESP 3 on."""
    rows = cast("list[bytes | list[Any]]", reply)
    flat: list[Any] = [it for row in rows for it in (row if isinstance(row, list) else [row])]
    return [(key, float(score)) for key, score in zip(flat[::2], flat[1::2], strict=True)]
