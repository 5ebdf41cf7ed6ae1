"""A Redis that is full refuses what a script would write, all of it, or lets the script finish.

Each script is called by a story. Before each of its calls Redis gets full; the call must either be
refused and change nothing, or do what it does in a Redis with room.
"""

from collections.abc import AsyncIterator
from typing import Any, cast

import pytest
from redis.asyncio import Redis

from pyasynq.broker.redis import RedisBroker, pipeline
from pyasynq.broker.redis.connection import Driver
from pyasynq.broker.redis.scripts import Call
from pyasynq.core.errors import BrokerFullError
from tests.broker.redis.every_call import replace_runs
from tests.broker.redis.script_uses import USE_OF
from tests.broker.redis.stored_keys import SCRIPTS, everything

NAMES = sorted(script.name for script in SCRIPTS)

REFUSED = """
    batches/commit_batch batches/reserve_members batches/stage_tasks batches/start_batch
    control/write_settings create/create flows/open_flow inspection/update_task registry/add_queues
    registry/write_server schedules/begin_entry transfers/write_copies work/write_result
"""
"""The scripts that bring something new. All others must go on, so that tasks end and make room."""


class Fullness:
    """Has the calls of a script meet a Redis that is full, before they meet one with room."""

    def __init__(self, r: Redis, script: str) -> None:
        self._r = r
        self._script = script
        self._run = pipeline.run
        self.refusals: list[bool] = []
        """For each call, whether a full Redis refuses it."""

    async def run(self, driver: Driver, call: Call) -> object:
        """Run *call*, in place of `pipeline.run`."""
        if call.script.name == self._script:
            await self._meet(driver, call)
        return await self._run(driver, call)

    async def _meet(self, driver: Driver, call: Call) -> None:
        """Compare what *call* does in a full Redis with what it does in another; undo it."""
        before = await self._stored()
        await self._r.config_set("maxmemory", "1")
        try:
            reply = await self._run(driver, call)
        except BrokerFullError:
            assert await self._stored() == before
            self.refusals.append(True)
            return
        finally:
            await self._r.config_set("maxmemory", "0")
        in_full = form_of(reply), await self._sizes()
        await self._restore(before)
        assert in_full == (form_of(await self._run(driver, call)), await self._sizes())
        await self._restore(before)
        self.refusals.append(False)

    async def _stored(self) -> dict[bytes, bytes]:
        return await everything(self._r)

    async def _sizes(self) -> dict[bytes, object]:
        """Return the number of elements of each key; contents may have the time."""
        kinds = {"hash": "HLEN", "list": "LLEN", "set": "SCARD", "zset": "ZCARD"}
        sizes: dict[bytes, object] = {}
        for key in cast("list[bytes]", await self._r.keys()):
            kind = cast("bytes", await self._r.type(key)).decode()
            command = kinds.get(kind, "STRLEN")
            sizes[key] = await self._r.execute_command(command, key)
        return sizes

    async def _restore(self, stored: dict[bytes, bytes]) -> None:
        await self._r.flushall()
        for key, content in stored.items():
            await self._r.restore(key, 0, content)


def form_of(reply: object) -> object:
    """Return *reply* without what depends on the time, or on how much memory there is."""
    if isinstance(reply, list):
        return [form_of(it) for it in cast("list[Any]", reply)]
    return reply if isinstance(reply, int) and reply < 10 else type(reply)


@pytest.fixture
async def fullness(
    request: pytest.FixtureRequest, r: Redis, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Fullness]:
    fullness = Fullness(r, request.getfixturevalue("name"))
    replace_runs(monkeypatch, fullness.run)
    yield fullness
    await r.flushall()


@pytest.mark.parametrize("name", NAMES)
async def test_a_script_is_refused_by_a_full_redis_as_a_whole_or_goes_on(
    name: str, broker: RedisBroker, r: Redis, fullness: Fullness
) -> None:
    await USE_OF[name](broker, r)
    assert {*fullness.refusals} == {name in REFUSED.split()}


def test_every_script_has_a_use_and_every_use_a_script() -> None:
    assert {*USE_OF} == {*NAMES}
