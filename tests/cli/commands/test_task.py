"""``pyasynq task`` shows tasks, moves and changes them."""

import io
from contextlib import closing
from datetime import UTC, datetime, timedelta
from typing import cast

import pytest

from pyasynq import Attempt, SyncClient, Task
from pyasynq.core.attempts import record_attempt
from pyasynq.core.message import TaskMessage
from tests.cli.command_runner import CommandResult, CommandRunner
from tests.cli.redis_records import (
    enqueue_one_of_each,
    put_active_task,
    put_active_worker,
    put_task,
)
from tests.support.codecs import Zlib
from tests.support.servers import RedisServer
from tests.support.waiting import Lapse

HOUR = timedelta(hours=1)
STATES = ["pending", "aggregating", "scheduled", "retry", "archived", "completed"]


@pytest.fixture(autouse=True)
def filled(sync_client: SyncClient, redis_server: RedisServer) -> None:
    """Fill the queue ``q``."""
    enqueue_one_of_each(sync_client, redis_server)


def group_of(state: str) -> list[str]:
    """Return the flag that aggregating tasks need."""
    return ["-g", "g"] if state == "aggregating" else []


def state_of(run_cli: CommandRunner, task_id: str) -> str:
    """Return the state of a task."""
    return str(run_cli("task", "inspect", "-q", "q", "-i", task_id, "-o", "json").json["state"])


# -- look ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("state", STATES)
def test_tasks_are_listed_by_state(run_cli: CommandRunner, state: str) -> None:
    args = ("task", "list", "-q", "q", "-s", state, *group_of(state))
    result = run_cli(*args)
    [headings, row] = result.lines
    assert headings[:3] == ["ID", "Type", "Payload"]
    assert row[:3] == [state, "t", "p"]
    [task] = run_cli(*args, "-o", "json").json
    assert (task["id"], task["state"], task["payload"]) == (state, state, "p")


@pytest.mark.parametrize(
    ("state", "headings", "cells"),
    [
        ("scheduled", "Process In", ["in"]),
        ("retry", "Next Retry Last Error Last Failed Retried Max Retry", ["no route", "3", "25"]),
        ("archived", "Last Failed Last Error", ["1m", "s ago", "no route to host"]),
        ("completed", "CompletedAt Result", ["1m", "s ago", "result"]),
        ("aggregating", "Group", ["g"]),
    ],
)
def test_each_state_has_columns_of_its_own(
    run_cli: CommandRunner, state: str, headings: str, cells: list[str]
) -> None:
    result = run_cli("task", "ls", "--queue", "q", "--state", state, *group_of(state))
    first, second = result.out.splitlines()
    assert " ".join(first.split()) == f"ID Type Payload {headings}"
    assert all(cell in second for cell in cells)


def test_no_tasks_are_told(run_cli: CommandRunner) -> None:
    result = run_cli("task", "list", "-q", "q", "-s", "active")
    assert result == CommandResult(0, "", 'No active tasks in "q" queue\n')
    assert run_cli("task", "list", "-q", "q", "-s", "active", "-o", "json").json == []


def test_tasks_are_listed_page_by_page(run_cli: CommandRunner, redis_server: RedisServer) -> None:
    for n in range(5):
        put_task(redis_server, "archived", n + 1, f"{n}")
    args = ("task", "list", "-q", "q", "-s", "archived", "--size", "2", "-o", "json")
    assert [task["id"] for task in run_cli(*args, "--page", "2").json] == ["2", "3"]


@pytest.mark.parametrize("args", [("--page", "0"), ("--size", "0"), ("--size", "x")])
def test_a_page_that_is_none_is_a_usage_error(
    run_cli: CommandRunner, args: tuple[str, str]
) -> None:
    assert run_cli("task", "list", "-q", "q", "-s", "retry", *args).code == 2


@pytest.mark.parametrize(
    "args",
    [
        ("-q", "q"),
        ("-s", "pending"),
        ("-q", "q", "-s", "lost"),
        ("-q", "q", "-s", "aggregating"),
        ("-q", "q", "-s", "pending", "-g", "g"),
    ],
    ids=" ".join,
)
def test_a_list_needs_a_queue_a_state_and_sometimes_a_group(
    run_cli: CommandRunner, args: tuple[str, ...]
) -> None:
    result = run_cli("task", "list", *args)
    assert (result.code, result.out) == (2, "")


def test_aggregating_tasks_without_a_group_name_the_command_that_lists_groups(
    run_cli: CommandRunner,
) -> None:
    result = run_cli("task", "list", "-q", "q", "-s", "aggregating")
    assert "needs --group; pyasynq group list -q q shows the groups" in result.err


def test_a_group_of_tasks_in_another_state_names_the_option(run_cli: CommandRunner) -> None:
    result = run_cli("task", "list", "-q", "q", "-s", "pending", "-g", "g")
    assert "--group is for -s aggregating only" in result.err


def test_a_queue_that_is_not_there_is_not_found(run_cli: CommandRunner) -> None:
    assert run_cli("task", "list", "-q", "nothing", "-s", "pending").code == 3


def test_one_task_is_shown(run_cli: CommandRunner) -> None:
    result = run_cli("task", "inspect", "-q", "q", "-i", "retry")
    assert result.code == 0
    assert result.out.startswith("Queue: q\nID: retry\nType: t\nState: retry\n")
    assert "Retried: 3/25\n" in result.out
    assert "(in " in result.out
    assert "Last Failure\n" in result.out
    assert "Error message: no route to host\n" in result.out


def test_a_pending_task_runs_now(run_cli: CommandRunner) -> None:
    result = run_cli("task", "inspect", "--queue", "q", "--id", "pending")
    assert "Next process time: now\n" in result.out
    assert "Headers: trace=1\n" in result.out
    assert "Last Failure" not in result.out


def test_a_completed_task_never_runs(run_cli: CommandRunner) -> None:
    result = run_cli("task", "inspect", "-q", "q", "-i", "completed")
    assert "Next process time: n/a\n" in result.out
    assert "Result: result\n" in result.out


def test_a_task_that_is_not_there_is_not_found(run_cli: CommandRunner) -> None:
    result = run_cli("task", "inspect", "-q", "q", "-i", "nothing")
    assert (result.code, result.out) == (3, "")
    assert result.err == "pyasynq: task not found: 'nothing' is not in 'q'\n"


@pytest.mark.parametrize(
    ("args", "found"),
    [
        (("-s", "archived", "--error", "no route"), ["archived"]),
        (("-s", "archived", "--error", "timeout"), []),
        (("-s", "retry", "--payload", "p", "--type", "t"), ["retry"]),
        (("-s", "retry", "-t", "other"), []),
        (("-s", "retry", "--limit", "1"), ["retry"]),
    ],
)
def test_tasks_are_found_by_what_they_say(
    run_cli: CommandRunner, args: tuple[str, ...], found: list[str]
) -> None:
    result = run_cli("task", "find", "-q", "q", *args, "-o", "json")
    assert [task["id"] for task in result.json] == found


def test_a_payload_that_is_no_utf8_is_found(
    run_cli: CommandRunner, sync_client: SyncClient
) -> None:
    sync_client.enqueue(Task("t", b"a\xffb"), queue="q", task_id="bytes")
    args = ("task", "find", "-q", "q", "-s", "pending", "--payload", "\udcff", "-o", "json")
    assert [task["id"] for task in run_cli(*args).json] == ["bytes"]


# -- move ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("state", ["scheduled", "retry", "archived", "aggregating"])
def test_a_task_is_run(run_cli: CommandRunner, state: str) -> None:
    result = run_cli("task", "run", "-q", "q", "-i", state)
    assert result == CommandResult(0, "", "task is now pending\n")
    assert state_of(run_cli, state) == "pending"


def test_a_pending_task_cannot_be_run(run_cli: CommandRunner) -> None:
    result = run_cli("task", "run", "-q", "q", "-i", "pending")
    assert (result.code, "it is pending" in result.err) == (5, True)


@pytest.mark.parametrize("state", ["pending", "scheduled", "retry", "aggregating"])
def test_a_task_is_archived(run_cli: CommandRunner, state: str) -> None:
    result = run_cli("task", "archive", "-q", "q", "-i", state)
    assert result == CommandResult(0, "", "task archived\n")
    assert state_of(run_cli, state) == "archived"


@pytest.mark.parametrize("verb", ["delete", "remove", "rm"])
def test_a_task_is_deleted(run_cli: CommandRunner, verb: str) -> None:
    result = run_cli("task", verb, "-q", "q", "-i", "archived", "--yes")
    assert result == CommandResult(0, "", "task deleted\n")
    assert run_cli("task", "inspect", "-q", "q", "-i", "archived").code == 3


@pytest.mark.parametrize(
    "args",
    [("delete", "-q", "q", "-i", "archived"), ("deleteall", "-q", "q", "-s", "archived")],
    ids=["delete", "deleteall"],
)
def test_nothing_is_deleted_where_nobody_can_be_asked(
    run_cli: CommandRunner, monkeypatch: pytest.MonkeyPatch, args: tuple[str, ...]
) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO())
    assert run_cli("task", *args).code == 2
    assert state_of(run_cli, "archived") == "archived"


@pytest.mark.parametrize(("verb", "state"), [("run", "pending"), ("archive", "archived")])
def test_an_order_is_for_every_id_that_is_given(
    run_cli: CommandRunner, verb: str, state: str
) -> None:
    result = run_cli("task", verb, "-q", "q", "-i", "scheduled", "--id", "retry")
    assert (result.code, result.out) == (0, "")
    assert [line.partition(":")[0] for line in result.err.splitlines()] == ["scheduled", "retry"]
    assert [state_of(run_cli, task_id) for task_id in ("scheduled", "retry")] == [state, state]


def test_all_ids_that_are_given_are_deleted(run_cli: CommandRunner) -> None:
    result = run_cli("task", "delete", "-q", "q", "-i", "scheduled", "-i", "retry", "-y")
    assert result == CommandResult(0, "", "scheduled: task deleted\nretry: task deleted\n")


def test_an_id_that_is_not_there_does_not_save_the_others(run_cli: CommandRunner) -> None:
    result = run_cli("task", "archive", "-q", "q", "-i", "nothing", "-i", "retry")
    assert (result.code, state_of(run_cli, "retry")) == (3, "archived")
    assert result.err.splitlines() == [
        "pyasynq: task not found: 'nothing' is not in 'q'",
        "retry: task archived",
    ]


def test_several_tasks_are_shown(run_cli: CommandRunner) -> None:
    args = ("task", "inspect", "-q", "q", "-i", "retry", "-i", "pending")
    assert run_cli(*args).out.count("Queue: q\nID: ") == 2
    assert [task["id"] for task in run_cli(*args, "-o", "json").json] == ["retry", "pending"]


@pytest.mark.parametrize("args", [("update", "-l", "new"), ("reschedule", "--process-in", "1m")])
def test_a_change_is_of_one_task(run_cli: CommandRunner, args: tuple[str, ...]) -> None:
    result = run_cli("task", *args, "-q", "q", "-i", "retry", "-i", "scheduled")
    assert (result.code, "-i is given twice: this command takes one task" in result.err) == (
        2,
        True,
    )


@pytest.mark.parametrize(
    ("variable", "args"),
    [
        ("PYASYNQ_YES", ("task", "delete", "-q", "q", "-i", "retry")),
        ("PYASYNQ_YES", ("queue", "remove", "q", "--force")),
        ("PYASYNQ_FORCE", ("queue", "remove", "q", "--yes")),
    ],
    ids=["task", "queue", "force"],
)
def test_no_variable_lets_a_command_destroy(
    run_cli: CommandRunner, monkeypatch: pytest.MonkeyPatch, variable: str, args: tuple[str, ...]
) -> None:
    monkeypatch.setenv(variable, "1")
    monkeypatch.setattr("sys.stdin", io.StringIO())
    assert run_cli(*args).code != 0
    assert state_of(run_cli, "retry") == "retry"


@pytest.mark.parametrize(
    "args", [("run", "-q", "q"), ("run", "-i", "retry"), ("runall", "-q", "q")], ids=" ".join
)
def test_no_variable_says_what_a_command_is_for(
    run_cli: CommandRunner, monkeypatch: pytest.MonkeyPatch, args: tuple[str, ...]
) -> None:
    monkeypatch.setenv("PYASYNQ_QUEUE", "q")
    monkeypatch.setenv("PYASYNQ_STATE", "retry")
    monkeypatch.setenv("PYASYNQ_ID", "retry")
    assert run_cli("task", *args).code == 2


def test_a_cancelation_is_sent_for_each_task_that_runs(
    run_cli: CommandRunner, redis_server: RedisServer
) -> None:
    put_active_task(redis_server, "1")
    put_active_worker(redis_server, "2")
    with closing(redis_server.client()) as client, client.pubsub() as heard:
        heard.subscribe("asynq:cancel")
        heard.get_message(timeout=60)
        result = run_cli("task", "cancel", "1", "nonsense", "2")
        notes = [cast("dict[str, object]", heard.get_message(timeout=60)) for _ in range(2)]
    assert [note["data"] for note in notes] == [b"1", b"2"]
    assert result.err.startswith("Sent cancelation signal for task 1\n")
    assert (result.code, result.out) == (3, "")


def test_a_task_that_runs_is_canceled(run_cli: CommandRunner, redis_server: RedisServer) -> None:
    put_active_task(redis_server, "1")
    assert run_cli("task", "cancel", "1") == CommandResult(
        0, "", "Sent cancelation signal for task 1\n"
    )


@pytest.mark.parametrize(
    ("task_id", "code", "why"),
    [("nonsense", 3, "no queue has it"), ("scheduled", 5, "it is scheduled")],
)
def test_a_task_that_does_not_run_is_not_canceled(
    run_cli: CommandRunner, task_id: str, code: int, why: str
) -> None:
    text = f"pyasynq: task {task_id} is not running: {why}\n"
    assert run_cli("task", "cancel", task_id) == CommandResult(code, "", text)


@pytest.mark.parametrize("state", ["scheduled", "retry", "archived", "completed", "aggregating"])
def test_all_tasks_in_a_state_are_run(run_cli: CommandRunner, state: str) -> None:
    result = run_cli("task", "runall", "-q", "q", "-s", state, *group_of(state))
    assert result == CommandResult(0, "1 task is now pending\n", "")


@pytest.mark.parametrize("state", ["pending", "scheduled", "retry", "completed", "aggregating"])
def test_all_tasks_in_a_state_are_archived(run_cli: CommandRunner, state: str) -> None:
    result = run_cli("task", "archiveall", "-q", "q", "-s", state, *group_of(state))
    assert result == CommandResult(0, "1 task archived\n", "")


@pytest.mark.parametrize("state", STATES)
def test_all_tasks_in_a_state_are_deleted(run_cli: CommandRunner, state: str) -> None:
    result = run_cli("task", "deleteall", "-q", "q", "-s", state, *group_of(state), "-y")
    assert result == CommandResult(0, "1 task deleted\n", "")


def test_the_count_can_be_json(run_cli: CommandRunner) -> None:
    assert run_cli("task", "runall", "-q", "q", "-s", "retry", "-o", "json").json == {"count": 1}


@pytest.mark.parametrize(
    ("verb", "state"), [("runall", "pending"), ("archiveall", "archived"), ("deleteall", "active")]
)
def test_a_state_that_cannot_be_left_so_is_a_usage_error(
    run_cli: CommandRunner, verb: str, state: str
) -> None:
    assert run_cli("task", verb, "-q", "q", "-s", state).code == 2


# -- change ----------------------------------------------------------------------------------------


def test_a_task_is_changed(run_cli: CommandRunner, redis_server: RedisServer) -> None:
    result = run_cli(
        *("task", "update", "-q", "q", "-i", "scheduled", "-l", "new", "-H", "a=b"),
        *("--retry", "1", "--timeout", "5s", "--retention", "1h"),
        *("--deadline", "2040-01-02T03:04:05Z"),
    )
    assert result == CommandResult(0, "", "task updated\n")
    with closing(redis_server.client()) as client:
        data = cast("bytes", client.hget("asynq:{q}:t:scheduled", "msg"))
    message = TaskMessage.FromString(data)
    assert (message.payload, message.retry, message.timeout) == (b"new", 1, 5)
    assert (message.retention, message.deadline) == (3600, 2_209_086_245)
    assert dict(message.headers) == {"a": "b"}


def test_a_payload_becomes_what_is_no_utf8(
    run_cli: CommandRunner, redis_server: RedisServer
) -> None:
    assert run_cli("task", "update", "-q", "q", "-i", "scheduled", "-l", "a\udcff").code == 0
    with closing(redis_server.client()) as client:
        data = cast("bytes", client.hget("asynq:{q}:t:scheduled", "msg"))
    assert TaskMessage.FromString(data).payload == b"a\xff"


def test_a_change_without_change_is_a_usage_error(run_cli: CommandRunner) -> None:
    assert run_cli("task", "update", "-q", "q", "-i", "scheduled").code == 2


def test_a_pending_task_cannot_be_changed(run_cli: CommandRunner) -> None:
    assert run_cli("task", "update", "-q", "q", "-i", "pending", "-l", "new").code == 5


def test_a_task_is_rescheduled_from_now(
    run_cli: CommandRunner, redis_server: RedisServer, lapse: Lapse
) -> None:
    assert (
        run_cli("task", "reschedule", "-q", "q", "-i", "scheduled", "--process-in", "5m").code == 0
    )
    with closing(redis_server.client()) as client:
        due = cast("float", client.zscore("asynq:{q}:scheduled", "scheduled"))
    assert due - 300 in lapse


def test_a_task_is_rescheduled_to_an_instant(
    run_cli: CommandRunner, redis_server: RedisServer
) -> None:
    args = ("--process_at", "2040-01-02T03:04:05Z")
    result = run_cli("task", "reschedule", "-q", "q", "-i", "retry", *args)
    assert result == CommandResult(0, "", "task runs Mon Jan  2 03:04:05 UTC 2040\n")
    with closing(redis_server.client()) as client:
        assert client.zscore("asynq:{q}:retry", "retry") == 2_209_086_245


@pytest.mark.parametrize(
    "args", [(), ("--process-in", "1m", "--process-at", "2040-01-02T03:04:05Z")], ids=["no", "two"]
)
def test_a_task_is_rescheduled_to_one_time(run_cli: CommandRunner, args: tuple[str, ...]) -> None:
    assert run_cli("task", "reschedule", "-q", "q", "-i", "retry", *args).code == 2


def test_a_task_that_is_rescheduled_to_the_past_runs_now(run_cli: CommandRunner) -> None:
    args = ("--process-at", "2001-01-01T00:00:00Z")
    result = run_cli("task", "reschedule", "-q", "q", "-i", "retry", *args)
    assert result == CommandResult(0, "", "task runs now\n")


def test_names_that_would_steer_a_terminal_are_shown(
    run_cli: CommandRunner, sync_client: SyncClient
) -> None:
    sync_client.enqueue(Task("\x1b[31mred"), queue="escapes")
    result = run_cli("task", "list", "-q", "escapes", "-s", "pending")
    assert "\x1b" not in result.out
    assert "\\x1b[31mred" in result.out


# -- sealed ----------------------------------------------------------------------------------------


def test_a_sealed_task_is_shown_with_its_codecs(
    run_cli: CommandRunner, redis_server: RedisServer
) -> None:
    with SyncClient(redis_server.url, codecs=[Zlib()]) as client:
        info = client.enqueue(Task("t", b"p"), queue="sealed", process_in=HOUR)
    task = ("-q", "sealed", "-i", info.id)
    [_, row] = run_cli("task", "list", "-q", "sealed", "-s", "scheduled").lines
    assert " ".join(row[2:5]) == "sealed by zlib"
    assert "Payload: sealed by zlib" in run_cli("task", "inspect", *task).out
    assert run_cli("task", "inspect", *task, "-o", "json").json["sealed"] == "zlib"
    result = run_cli("task", "update", *task, "--payload", "new")
    assert result.code != 0
    assert "codec 'zlib' cannot seal the payload" in result.err


def test_a_sealed_task_is_read_and_changed_with_the_codecs_of_its_app(
    run_cli: CommandRunner, redis_server: RedisServer
) -> None:
    with SyncClient(redis_server.url, codecs=[Zlib()]) as client:
        info = client.enqueue(Task("t", b"p"), queue="sealed", process_in=HOUR)
    app = ("--app", "tests.cli.apps:sealing", "-u", redis_server.url)
    place, task = ("-q", "sealed", "-s", "scheduled"), ("-q", "sealed", "-i", info.id)
    assert run_cli("task", "list", *place, *app).lines[1][2] == "p"
    assert run_cli("task", "find", *place, "--payload", "p", *app).lines[1][2] == "p"
    assert run_cli("task", "update", *task, "--payload", "new", *app).code == 0
    assert "Payload: new\n" in run_cli("task", "inspect", *task, *app).out
    assert "Payload: sealed by zlib" in run_cli("task", "inspect", *task).out


# -- failed tries ----------------------------------------------------------------------------------


def test_the_failed_tries_of_a_task_are_shown_with_their_tracebacks(
    run_cli: CommandRunner, redis_server: RedisServer
) -> None:
    trace = "Traceback (most recent call last):\n  …\nValueError: boom\n"
    at = datetime(2026, 1, 1, tzinfo=UTC)
    attempt = Attempt(
        retried=0, failed_at=at, error="ValueError: boom", traceback=trace, worker="h:7"
    )
    with closing(redis_server.client()) as r:
        r.hset("asynq:{q}:t:archived", "attempt:0", record_attempt(attempt, 5).data)
    shown = run_cli("task", "inspect", "-q", "q", "-i", "archived").out
    assert " on h:7: ValueError: boom\nTraceback (most recent call last):\n  …\n" in shown
    assert run_cli("task", "inspect", "-q", "q", "-i", "archived", "-o", "json").json[
        "attempts"
    ] == [
        {
            "retried": 0,
            "failed_at": "2026-01-01T00:00:00Z",
            "error": "ValueError: boom",
            "traceback": trace,
            "worker": "h:7",
        }
    ]


# -- kinds of failures -----------------------------------------------------------------------------


def test_failures_are_counted_by_type_and_error(run_cli: CommandRunner) -> None:
    [headings, *rows] = run_cli("task", "errors", "-q", "q").lines
    assert headings == ["Count", "Type", "Error", "Last", "Failed", "Example"]
    assert [row[:3] for row in rows] == [["2", "t", "no"]]
    [found] = run_cli("task", "errors", "-q", "q", "-s", "retry", "-o", "json").json
    assert (found["type"], found["error"], found["count"]) == ("t", "no route to host", 1)
    assert found["task_id"] == "retry"


def test_a_queue_without_failures_says_so(run_cli: CommandRunner) -> None:
    run_cli("task", "deleteall", "-q", "q", "-s", "archived", "-y")
    result = run_cli("task", "errors", "-q", "q", "-s", "archived")
    assert (result.code, result.err) == (0, 'No failed tasks in "q" queue\n')


def test_only_tasks_that_meet_all_criteria_are_moved(run_cli: CommandRunner) -> None:
    place = ("-q", "q", "-s", "retry")
    for criteria in (["-t", "u"], ["--error", "other"], ["--older", "24h"], ["--payload", "z"]):
        assert run_cli("task", "runall", *place, *criteria).out == "0 tasks are now pending\n"
    criteria = ["-t", "t", "--error", "no", "--payload", "p"]
    assert run_cli("task", "runall", *place, *criteria).out == "1 task is now pending\n"


def test_the_question_names_the_criteria(
    run_cli: CommandRunner, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO())
    args = ("task", "deleteall", "-q", "q", "-s", "retry", "--error", "no", "-t", "t")
    result = run_cli(*args)
    assert 'delete the retry tasks of queue "q" that meet --type and --error' in result.err.lower()
    assert state_of(run_cli, "retry") == "retry"
