"""``pyasynq cron`` shows and controls what schedulers enqueue."""

import asyncio
from typing import Unpack

import pytest

from pyasynq import Inspector, Scheduler, Task
from pyasynq.scheduler import SchedulerOptions
from tests.cli.command_runner import CommandResult, CommandRunner
from tests.cli.redis_records import put_entry
from tests.support.codecs import Zlib
from tests.support.servers import RedisServer


@pytest.mark.parametrize("verb", ["list", "ls"])
def test_entries_are_listed_by_their_specs(
    run_cli: CommandRunner, redis_server: RedisServer, verb: str
) -> None:
    put_entry(redis_server, "b", "@hourly")
    put_entry(redis_server, "a", "*/5 * * * *")
    headings, first, second = run_cli("cron", verb).out.splitlines()
    assert headings.split() == [
        *("EntryID", "Spec", "Type", "Payload", "Options", "Next", "Prev", "Paused")
    ]
    assert first.split()[:6] == ["a", "*/5", "*", "*", "*", "*"]
    assert second.split()[:6] == ["b", "@hourly", "t", "p", "queue=q", "max_retry=3"]
    assert second.split()[-2:] == ["ago", "false"]


def test_entries_can_be_json(run_cli: CommandRunner, redis_server: RedisServer) -> None:
    put_entry(redis_server)
    [entry] = run_cli("cron", "list", "-o", "json").json
    assert (entry["id"], entry["spec"], entry["type"]) == ("e", "@every 1h", "t")
    assert (entry["payload"], entry["payload_base64"]) == ("p", "cA==")
    assert entry["options"] == {"queue": "q", "max_retry": 3}
    assert entry["paused"] is False


def test_no_entries_are_told(run_cli: CommandRunner) -> None:
    assert run_cli("cron", "list") == CommandResult(0, "", "No scheduler entries\n")
    assert run_cli("cron", "list", "-o", "json").json == []


def test_the_history_of_an_entry_is_shown_newest_first(
    run_cli: CommandRunner, redis_server: RedisServer
) -> None:
    put_entry(redis_server)
    result = run_cli("cron", "history", "e")
    assert result.out.startswith("Entry: e\n")
    assert [line[:2] for line in result.lines if line[:1] == ["task"]] == [
        ["task", "2"],
        ["task", "1"],
    ]
    assert [
        event["task_id"] for event in run_cli("cron", "history", "e", "-o", "json").json["e"]
    ] == [
        "task 2",
        "task 1",
    ]


def test_the_history_comes_page_by_page(run_cli: CommandRunner, redis_server: RedisServer) -> None:
    put_entry(redis_server)
    result = run_cli("cron", "history", "e", "--page", "2", "--size", "1", "-o", "json")
    assert [event["task_id"] for event in result.json["e"]] == ["task 1"]


def test_a_history_needs_an_entry(run_cli: CommandRunner) -> None:
    assert run_cli("cron", "history").code == 2


@pytest.mark.parametrize("form", ["table", "json"])
def test_an_entry_that_is_not_there_is_not_found(run_cli: CommandRunner, form: str) -> None:
    result = run_cli("cron", "history", "nosuch", "-o", form)
    assert (result.code, "nosuch" in result.err) == (3, True)


def test_a_page_behind_the_last_is_empty(run_cli: CommandRunner, redis_server: RedisServer) -> None:
    put_entry(redis_server)
    assert run_cli("cron", "history", "e", "--page", "9", "-o", "json").json == {"e": []}


# -- control ---------------------------------------------------------------------------------------


def schedule(
    server: RedisServer, spec: str = "@hourly", **options: Unpack[SchedulerOptions]
) -> str:
    """Let a scheduler have an entry for a moment; return its id."""

    async def register() -> str:
        scheduler = Scheduler(server.url, **options)
        entry_id = scheduler.register(spec, Task("t", b"p", queue="low"))
        async with scheduler.running():
            await scheduler.tick()
        return entry_id

    return asyncio.run(register())


def pauses(server: RedisServer, entry_id: str) -> bool:
    """Return whether an entry is paused."""

    async def read() -> bool:
        async with Inspector(server.url) as inspector:
            return await inspector._broker.entries.pauses() == {entry_id: float("inf")}

    return asyncio.run(read())


@pytest.mark.parametrize("verb", ["resume", "unpause"])
def test_an_entry_is_paused_and_resumed(
    run_cli: CommandRunner, redis_server: RedisServer, verb: str
) -> None:
    entry = schedule(redis_server)
    done = CommandResult(0, "", f'Successfully paused entry "{entry}"\n')
    assert run_cli("cron", "pause", entry) == done
    assert pauses(redis_server, entry)
    done = CommandResult(0, "", f'Successfully resumed entry "{entry}"\n')
    assert run_cli("cron", verb, entry) == done
    assert not pauses(redis_server, entry)


def test_the_first_error_decides_the_exit_code(
    run_cli: CommandRunner, redis_server: RedisServer
) -> None:
    entry = schedule(redis_server)
    put_entry(redis_server, "go")
    result = run_cli("cron", "pause", "nosuch", entry, "go", entry)
    assert (result.code, result.err.splitlines()) == (
        3,
        [
            "pyasynq: no scheduler entry found: 'nosuch'",
            f'Successfully paused entry "{entry}"',
            "pyasynq: scheduler entry 'go' cannot be paused: it has no scheduler that obeys a"
            " pause; those of Go and of earlier versions do not",
            f"pyasynq: scheduler entry '{entry}' is already paused",
        ],
    )


@pytest.mark.parametrize("verb", ["pause", "resume"])
def test_what_is_so_already_is_a_conflict(
    run_cli: CommandRunner, redis_server: RedisServer, verb: str
) -> None:
    entry = schedule(redis_server)
    run_cli("cron", verb, entry)
    assert run_cli("cron", verb, entry).code == 5


def test_a_paused_entry_is_listed_as_paused(
    run_cli: CommandRunner, redis_server: RedisServer
) -> None:
    entry = schedule(redis_server)
    put_entry(redis_server, entry)
    run_cli("cron", "pause", entry)
    assert run_cli("cron", "list").lines[1][-1] == "true"
    assert run_cli("cron", "list", "-o", "json").json[0]["paused"] is True


def test_an_entry_is_run(run_cli: CommandRunner, redis_server: RedisServer) -> None:
    entry = schedule(redis_server)
    result = run_cli("cron", "run", entry, entry)
    first, second = run_cli("cron", "history", entry, "-o", "json").json[entry]
    ids = {first["task_id"], second["task_id"]}
    assert set(result.out.splitlines()) == {f"Enqueued task {id} to queue low" for id in ids}


def test_runs_can_be_json(run_cli: CommandRunner, redis_server: RedisServer) -> None:
    entry = schedule(redis_server)
    [info] = run_cli("cron", "run", entry, "-q", "high", "-o", "json").json
    assert (info["queue"], info["type"], info["state"]) == ("high", "t", "pending")


def test_an_unknown_entry_cannot_be_run(run_cli: CommandRunner) -> None:
    result = run_cli("cron", "run", "nosuch", "-o", "json")
    assert (result.code, result.json) == (3, [])


def test_a_sealed_entry_is_run_with_the_codecs_of_its_app(
    run_cli: CommandRunner, redis_server: RedisServer
) -> None:
    entry = schedule(redis_server, codecs=[Zlib()])
    result = run_cli("cron", "run", entry)
    assert (result.code, "zlib" in result.err) == (1, True)
    app = ("--app", "tests.cli.apps:sealing", "-u", redis_server.url)
    [info] = run_cli("cron", "run", entry, *app, "-o", "json").json
    assert (info["payload"], info["queue"]) == ("p", "low")


@pytest.mark.parametrize("verb", ["pause", "resume", "run"])
def test_control_needs_an_entry(run_cli: CommandRunner, verb: str) -> None:
    assert run_cli("cron", verb).code == 2
