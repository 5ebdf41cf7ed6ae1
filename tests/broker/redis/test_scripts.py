"""A script is called by the names in its header, and sent again when Redis has forgotten it."""

import asyncio
import re
from pathlib import Path
from typing import cast

import msgspec
import pytest
from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from pyasynq.broker.redis import RedisBroker, lua, pipeline, scripts
from pyasynq.broker.redis.lua import inspection, upkeep, work
from pyasynq.broker.redis.scripts import Script
from pyasynq.core.errors import BrokerError, BrokerUnavailableError
from pyasynq.core.policy import MAX_BYTES, MAX_TASKS
from tests.broker.redis.stored_keys import SCRIPTS
from tests.support.factories import (
    a_pending,
    a_scheduled,
    dequeue,
    enqueue,
    ids,
    many_large,
    retried,
    settle,
    take,
)

LUA = Path(lua.__path__[0])
SHARED = sorted(file.name.removesuffix(".lua") for file in (LUA / "shared").iterdir())

_LUA = """and break do else elseif end false for function if in local nil not or repeat return then
true until while assert cjson cmsgpack error ipairs math pairs pcall redis string table tonumber
tostring type
unpack"""
_COMMENT_OR_TEXT = re.compile(r'--.*|"[^"]*"')
_DECLARATIONS = (
    re.compile(r"\blocal (?:function )?([\w, ]+)"),
    re.compile(r"\bfor ([\w, ]+?) (?:in|=)"),
    re.compile(r"\bfunction *[\w.]*\(([\w, ]+)"),
)
# Neither a field nor a key of a table. Redis itself refuses an assignment to an undeclared name.
_NAME = re.compile(r"(?<![\w.:])[A-Za-z_]\w*\b(?! = )")

every_script = pytest.mark.parametrize("script", SCRIPTS, ids=lambda script: script.name)


def values(script: Script) -> dict[str, str]:
    return {name: name for name in [*script.keys, *script.args]}


async def script_calls(r: Redis) -> int:
    """Return how often Redis has run a script."""
    statistics = cast("dict[str, dict[str, int]]", await r.info("commandstats"))
    return statistics["cmdstat_evalsha"]["calls"]


# -- the header ------------------------------------------------------------------------------------


def outside_names(code: str) -> set[str]:
    """Return the names that *code* uses and does not declare."""
    bare = _COMMENT_OR_TEXT.sub("", code)
    declared = " ".join(part for pattern in _DECLARATIONS for part in pattern.findall(bare))
    return {*_NAME.findall(bare)} - {*_NAME.findall(declared)} - {*_LUA.split()}


def test_every_file_is_a_script_or_shared() -> None:
    files = {file.relative_to(LUA).with_suffix("").as_posix() for file in LUA.rglob("*.lua")}
    used = [file for script in SCRIPTS for file in script.files]
    assert files == {*used, *(f"shared/{name}" for name in SHARED)}


@pytest.mark.parametrize("name", SHARED)
def test_a_shared_file_names_what_it_needs_and_gives(name: str) -> None:
    text = (LUA / "shared" / f"{name}.lua").read_text("utf-8")
    header, code = scripts._sections(text), scripts._code(text)
    assert outside_names(code) == {*header.get("NEEDS", "").split()}
    top_level = re.findall(r"^local (?:function )?([\w, ]+)", code, re.MULTILINE)
    assert {*header["GIVES"].split()} <= {*_NAME.findall(" ".join(top_level))}


@every_script
def test_a_script_uses_no_name_that_nobody_gives(script: Script) -> None:
    texts = [(LUA / f"{file}.lua").read_text("utf-8") for file in script.files]
    each = ("each", "stride") if script.each else ()
    before = ("answers",) if len(script.files) > 1 else ()
    named = {*script.keys, *script.args, *each, *script.more, *before}
    used = {name for text in texts for name in outside_names(scripts._code(text))}
    assert used <= named.union(*map(given_to, texts))


def given_to(text: str) -> set[str]:
    """Return the names that the shared files of a script give it."""
    used = scripts._sections(text).get("USES", "").split()
    texts = ((LUA / "shared" / f"{name}.lua").read_text("utf-8") for name in used)
    return {name for text in texts for name in scripts._sections(text)["GIVES"].split()}


def test_every_shared_file_is_used() -> None:
    files = {file for script in SCRIPTS for file in script.files}
    texts = [(LUA / f"{file}.lua").read_text("utf-8") for file in files]
    used = [name for text in texts for name in scripts._sections(text).get("USES", "").split()]
    assert sorted({*used}) == SHARED


def test_a_script_that_does_not_have_what_a_shared_file_needs_is_refused() -> None:
    with pytest.raises(
        ValueError, match=r"x\.lua uses check_held\.lua, which needs each, owns, str"
    ):
        scripts._shared_code("x", ["check_held"], {"active", "lease"})


@every_script
def test_a_call_carries_its_values_in_the_order_of_the_header(script: Script) -> None:
    arguments = script(**values(script)).arguments
    count = 1 + len(script.keys) + len(script.args)
    assert arguments[:count] == [len(script.keys), *script.keys, *script.args]


@every_script
def test_a_name_that_is_not_in_the_header_is_refused(script: Script) -> None:
    with pytest.raises(TypeError, match=rf"^{script.name}\.lua takes \['.*got \[.*'wrong'"):
        script(**values(script), wrong="x")


@every_script
def test_a_missing_name_is_refused(script: Script) -> None:
    given = values(script)
    del given[script.keys[0]]
    with pytest.raises(TypeError, match=rf"{script.name}\.lua takes"):
        script(**given)


def test_values_for_each_task_are_refused_by_a_script_that_takes_none() -> None:
    with pytest.raises(TypeError, match=r"forward\.lua takes"):
        upkeep.forward(["1"], **values(upkeep.forward))


def test_values_for_each_task_travel_as_one_argument() -> None:
    call = work.requeue(["1", "me"], active="a", lease="l", pending="p", task_prefix="t:")
    *named, each = call.arguments
    assert named == [3, "a", "l", "p", "t:"]
    assert msgspec.msgpack.decode(cast("bytes", each)) == ["1", "me"]


@pytest.mark.parametrize("size", [0, 1, 31, 32, 255, 256, 65_535, 65_536, 1_000_000])
async def test_bytes_of_any_length_arrive_as_they_are(
    size: int, broker: RedisBroker, r: Redis
) -> None:
    data = bytes(range(256)) * (size // 256 + 1)
    await enqueue(broker, a_pending(payload=data[:size]))
    (lease,) = await take(broker)
    assert lease.message.payload == data[:size]


@every_script
async def test_redis_understands_the_script(script: Script, r: Redis) -> None:
    await r.script_load(script.lua)
    assert await r.script_exists(script.sha) == [True]


@every_script
def test_every_name_in_the_header_is_used(script: Script) -> None:
    primary, _, body = script.lua.partition("\n")
    names = [name for name in [*script.keys, *script.args] if name not in body]
    assert [name for name in names if f'{name}, ""' not in primary] == []


@every_script
def test_a_script_says_what_it_returns_and_where_it_comes_from(script: Script) -> None:
    file = LUA / f"{script.files[-1]}.lua"
    header = file.read_text("utf-8").partition("\n\n")[0]
    assert "-- RETURNS\n" in header


# -- scripts that Redis has lost -------------------------------------------------------------------


async def test_a_script_that_redis_has_forgotten_is_sent_again(
    broker: RedisBroker, r: Redis
) -> None:
    await enqueue(broker, a_pending("1"))
    await r.script_flush()
    await enqueue(broker, a_pending("2"))
    assert ids(await take(broker, 2)) == ["1", "2"]


async def test_scripts_that_redis_has_forgotten_are_sent_again_from_a_pipeline(
    broker: RedisBroker, r: Redis
) -> None:
    await enqueue(broker, a_pending("1", queue="q"), a_pending("2", queue="r"))
    await r.script_flush()
    results = await dequeue(broker, {"q": 1, "r": 1})
    assert [ids(answer.leases) for answer in results] == [["1"], ["2"]]


async def test_a_pipeline_on_a_redis_that_never_saw_the_scripts_is_answered(
    broker: RedisBroker, r: Redis
) -> None:
    await r.script_flush()
    await enqueue(broker, a_pending("1"), a_scheduled("2"))
    assert await r.exists("asynq:{q}:t:1", "asynq:{q}:t:2") == 2


async def test_a_known_script_is_called_by_its_digest_alone(broker: RedisBroker, r: Redis) -> None:
    await take(broker)
    await r.config_resetstat()
    await take(broker)
    assert "cmdstat_eval" not in await r.info("commandstats")


# -- failures --------------------------------------------------------------------------------------


async def test_a_call_that_fails_raises_ours_with_the_drivers_error_as_cause(r: Redis) -> None:
    await r.set("asynq:{q}:completed", "wrong type")
    call = upkeep.delete_completed(
        completed="asynq:{q}:completed", task_prefix="asynq:{q}:t:", limit=1
    )
    with pytest.raises(BrokerError, match="WRONGTYPE") as failure:
        await pipeline.run(r, call)
    assert failure.value.__cause__ is not None
    await r.delete("asynq:{q}:completed")


async def test_in_a_pipeline_a_call_that_fails_leaves_the_others_their_answers(r: Redis) -> None:
    await r.set("asynq:{q}:completed", "wrong type")
    calls = [
        upkeep.delete_completed(
            completed=f"asynq:{{{q}}}:completed", task_prefix="asynq:{q}:t:", limit=1
        )
        for q in ("p", "q", "r")
    ]
    before, failed, after = await pipeline.run_all(r, calls)
    assert (before, after) == (0, 0)
    assert isinstance(failed, BrokerError)
    await r.delete("asynq:{q}:completed")


async def test_no_calls_have_no_answers(r: Redis) -> None:
    assert await pipeline.run_all(r, []) == []


# -- batches and round trips -----------------------------------------------------------------------


def test_tasks_of_one_path_go_out_in_one_call() -> None:
    assert pipeline.batches(["a", "b", "a"]) == [[0, 2], [1]]


def test_a_call_carries_a_bounded_number_of_tasks() -> None:
    many = ["a"] * (2 * MAX_TASKS + 1)
    assert [len(places) for places in pipeline.batches(many)] == [MAX_TASKS, MAX_TASKS, 1]


def test_a_call_without_a_batch_carries_its_message() -> None:
    call = inspection.update_task(
        task="t", id="1", state="retry", message=b"12345", revised=b"678", lock="", new_lock=""
    )
    assert call.size == 8


def test_a_call_that_brings_messages_counts_as_the_bytes_it_may_bring() -> None:
    call = work.dequeue(
        pending="p",
        active="a",
        lease="l",
        paused="x",
        task_prefix="t",
        count=1,
        max_bytes=MAX_BYTES,
        owner="s/1",
        lease_s=30,
    )
    assert call.size == MAX_BYTES


def test_a_call_carries_bounded_bytes_and_one_task_at_least() -> None:
    sizes = [MAX_BYTES - 1, 1, 3 * MAX_BYTES, 1]
    assert pipeline.batches(["a"] * 4, sizes) == [[0, 1], [2], [3]]


async def test_large_tasks_are_enqueued_in_several_calls(broker: RedisBroker, r: Redis) -> None:
    await enqueue(broker, a_pending("small"))
    await r.config_resetstat()
    await enqueue(broker, *many_large(4))
    assert await script_calls(r) == 2


async def test_verdicts_with_large_messages_go_out_in_several_calls(
    broker: RedisBroker, r: Redis
) -> None:
    await enqueue(broker, *many_large(4))
    leases = [*await take(broker, 4), *await take(broker, 4)]
    await settle(broker, leases[0], retried(leases[0]))
    await r.config_resetstat()
    await broker.work.settle([(lease, retried(lease)) for lease in leases[1:]])
    assert await script_calls(r) == 2


async def test_after_a_round_trip_without_answer_the_rest_is_not_sent() -> None:
    calls: list[str] = []

    def hang_up(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        calls.append("a call")
        writer.close()

    server = await asyncio.start_server(hang_up, "127.0.0.1", 0)
    never = Retry(NoBackoff(), 0)
    async with server, Redis(port=server.sockets[0].getsockname()[1], retry=never) as driver:
        call = work.requeue(
            ["1", "x" * MAX_BYTES], active="a", lease="l", pending="p", task_prefix="t:"
        )
        answers = await pipeline.run_all(driver, [call] * 3)
    assert [type(answer) for answer in answers] == [BrokerUnavailableError] * 3
    assert calls == ["a call"]
