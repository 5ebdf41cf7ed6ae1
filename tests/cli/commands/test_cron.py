"""``pyasynq cron`` shows what schedulers enqueue."""

import pytest

from tests.cli.command_runner import CommandResult, CommandRunner
from tests.cli.redis_records import put_entry
from tests.support.servers import RedisServer


@pytest.mark.parametrize("verb", ["list", "ls"])
def test_entries_are_listed_by_their_specs(
    run_cli: CommandRunner, redis_server: RedisServer, verb: str
) -> None:
    put_entry(redis_server, "b", "@hourly")
    put_entry(redis_server, "a", "*/5 * * * *")
    headings, first, second = run_cli("cron", verb).out.splitlines()
    assert headings.split() == ["EntryID", "Spec", "Type", "Payload", "Options", "Next", "Prev"]
    assert first.split()[:6] == ["a", "*/5", "*", "*", "*", "*"]
    assert second.split()[:6] == ["b", "@hourly", "t", "p", "queue=q", "max_retry=3"]
    assert "ago" in second


def test_entries_can_be_json(run_cli: CommandRunner, redis_server: RedisServer) -> None:
    put_entry(redis_server)
    [entry] = run_cli("cron", "list", "-o", "json").json
    assert (entry["id"], entry["spec"], entry["type"]) == ("e", "@every 1h", "t")
    assert (entry["payload"], entry["payload_base64"]) == ("p", "cA==")
    assert entry["options"] == {"queue": "q", "max_retry": 3}


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
