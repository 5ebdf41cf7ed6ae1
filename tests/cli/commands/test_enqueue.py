"""``pyasynq task enqueue`` has every option of a task that a client has."""

import io
from contextlib import closing
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest

from pyasynq import SyncClient, Task
from pyasynq.core.message import TaskMessage
from tests.cli.command_runner import CommandResult, CommandRunner
from tests.support.servers import RedisServer
from tests.support.waiting import Lapse

MINIMUM = ("task", "enqueue", "-t", "t", "-l", "p")


def read_message(server: RedisServer, task_id: str, queue: str = "default") -> TaskMessage:
    """Return the stored message of a task."""
    with closing(server.client()) as client:
        data = cast("bytes", client.hget(f"asynq:{{{queue}}}:t:{task_id}", "msg"))
    return TaskMessage.FromString(data)


def test_a_task_is_enqueued_and_told(run_cli: CommandRunner, redis_server: RedisServer) -> None:
    result = run_cli(*MINIMUM, "--id", "1")
    assert result == CommandResult(0, "Enqueued task 1 to queue default\n", "")
    assert read_message(redis_server, "1").payload == b"p"


def test_the_enqueued_task_can_be_json(run_cli: CommandRunner) -> None:
    result = run_cli(*MINIMUM, "-o", "json").json
    assert (result["type"], result["state"], result["payload"]) == ("t", "pending", "p")


def test_every_option_reaches_the_task(run_cli: CommandRunner, redis_server: RedisServer) -> None:
    args = "--retry 3 --queue q --id 1 --timeout 90s --deadline 2040-01-02T03:04:05Z --unique 1h"
    result = run_cli(*MINIMUM, *args.split(), "--retention", "24h", "-H", "trace=a=b", "-H", "x=")
    message = read_message(redis_server, "1", "q")
    assert result.code == 0
    assert (message.retry, message.timeout, message.retention) == (3, 90, 86400)
    assert message.deadline == 2_209_086_245
    assert message.unique_key.startswith("asynq:{q}:unique:t:")
    assert dict(message.headers) == {"trace": "a=b", "x": ""}


@pytest.mark.parametrize("flag", ["--process_in", "--process-in"])
def test_a_delayed_task_is_scheduled(
    run_cli: CommandRunner, redis_server: RedisServer, flag: str, lapse: Lapse
) -> None:
    assert run_cli(*MINIMUM, flag, "5m", "--id", "1").code == 0
    with closing(redis_server.client()) as client:
        due = cast("float", client.zscore("asynq:{default}:scheduled", "1"))
    assert due - 300 in lapse


def test_an_instant_is_written_as_go_reads_it(run_cli: CommandRunner) -> None:
    result = run_cli(*MINIMUM, "--process_at", "2040-01-02T03:04:05+01:00", "-o", "json")
    assert result.json["next_process_at"] == "2040-01-02T02:04:05Z"


def test_a_task_can_join_a_group(run_cli: CommandRunner) -> None:
    result = run_cli(*MINIMUM, "--group", "g", "-o", "json").json
    assert (result["state"], result["group"]) == ("aggregating", "g")


def test_gos_spelling_of_the_type_is_understood(run_cli: CommandRunner) -> None:
    assert run_cli("task", "enqueue", "--type_name", "t", "--payload", "p").code == 0


def test_the_payload_can_come_from_a_file(
    run_cli: CommandRunner, tmp_path: Path, redis_server: RedisServer
) -> None:
    (tmp_path / "data").write_bytes(b"\x00\xff")
    path = str(tmp_path / "data")
    assert run_cli("task", "enqueue", "-t", "t", "--payload-file", path, "-i", "1").code == 0
    assert read_message(redis_server, "1").payload == b"\x00\xff"


def test_the_payload_can_come_from_standard_input(
    run_cli: CommandRunner, redis_server: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdin", SimpleNamespace(buffer=io.BytesIO(b"from a pipe")))
    assert run_cli("task", "enqueue", "-t", "t", "--payload-file", "-", "-i", "1").code == 0
    assert read_message(redis_server, "1").payload == b"from a pipe"


def test_a_task_that_is_there_is_a_conflict(
    run_cli: CommandRunner, sync_client: SyncClient
) -> None:
    sync_client.enqueue(Task("t", b"p", task_id="1"))
    result = run_cli(*MINIMUM, "-i", "1")
    assert (result.code, result.out) == (5, "")
    assert "task ID conflicts with another task: '1'" in result.err


def test_a_unique_task_that_is_there_is_a_conflict(run_cli: CommandRunner) -> None:
    assert run_cli(*MINIMUM, "--unique", "1h").code == 0
    assert run_cli(*MINIMUM, "--unique", "1h").code == 5


@pytest.mark.parametrize(
    ("args", "text"),
    [
        (("--timeout", "soon"), "is no duration"),
        (("--deadline", "2040-01-02"), "is no instant"),
        (("--deadline", "tomorrow"), "is no instant"),
        (("--retry", "many"), "is not a valid integer"),
        (("--retry", "-1"), "max_retry must be a whole number from 0"),
        (("--header", "trace"), "write headers as --header key=value"),
        (("--payload-file", "-"), "give either --payload or --payload-file"),
        (("--queue", "{q}"), "without braces"),
    ],
)
def test_what_does_not_fit_is_a_usage_error(
    run_cli: CommandRunner, args: tuple[str, ...], text: str
) -> None:
    result = run_cli(*MINIMUM, *args)
    assert (result.code, result.out) == (2, "")
    assert text in result.err


def test_a_task_needs_a_type_and_a_payload(run_cli: CommandRunner) -> None:
    assert run_cli("task", "enqueue", "-l", "p").code == 2
    assert run_cli("task", "enqueue", "-t", "t").code == 2


def test_a_file_that_is_not_there_is_a_usage_error(run_cli: CommandRunner) -> None:
    result = run_cli("task", "enqueue", "-t", "t", "--payload-file", "/no/such/file")
    assert (result.code, "No such file" in result.err) == (2, True)


@pytest.mark.parametrize("payload", ["-5s", "-q=x", "--", "=", "--tls"])
@pytest.mark.parametrize("before", [(), ("-o", "json")], ids=["alone", "option before"])
def test_a_payload_may_look_like_an_option(
    run_cli: CommandRunner, redis_server: RedisServer, payload: str, before: tuple[str, ...]
) -> None:
    assert run_cli(*before, "task", "enqueue", "-t", "t", "-l", payload, "-i=1").code == 0
    assert read_message(redis_server, "1").payload == payload.encode()


def test_a_payload_that_is_no_utf8_is_enqueued_as_it_is(
    run_cli: CommandRunner, redis_server: RedisServer
) -> None:
    assert run_cli("task", "enqueue", "-t", "t", "-l", "a\udcff", "-i", "1").code == 0
    assert read_message(redis_server, "1").payload == b"a\xff"


def test_two_start_times_are_a_usage_error_that_names_both_options(run_cli: CommandRunner) -> None:
    result = run_cli(*MINIMUM, "--process-in", "5m", "--process-at", "2040-01-02T03:04:05Z")
    assert (result.code, result.out) == (2, "")
    assert "give either --process-at or --process-in" in result.err


# -- of an app -------------------------------------------------------------------------------------

APP = ("--app", "tests.cli.apps:app")
VERIFY = ("task", "enqueue", *APP, "-t", "email:verify")


def test_a_typed_task_is_enqueued_with_its_own_options(
    run_cli: CommandRunner, redis_server: RedisServer
) -> None:
    result = run_cli(*VERIFY, "-l", '{"membername": "bob"}', "-i", "1", "-u", redis_server.url)
    assert result == CommandResult(0, "Enqueued task 1 to queue mail\n", "")
    message = read_message(redis_server, "1", "mail")
    assert (message.payload, message.retry) == (b'{"membername":"bob"}', 3)


def test_an_option_of_the_command_line_wins_over_that_of_the_typed_task(
    run_cli: CommandRunner, redis_server: RedisServer
) -> None:
    args = ("-l", '{"membername": "bob"}', "-i", "1", "-q", "other", "--retry", "1")
    assert run_cli(*VERIFY, *args, "-u", redis_server.url).code == 0
    message = read_message(redis_server, "1", "other")
    assert message.retry == 1


def test_a_typed_task_without_parameters_needs_no_payload(
    run_cli: CommandRunner, redis_server: RedisServer
) -> None:
    args = ("task", "enqueue", *APP, "-t", "often", "-i", "1", "-u", redis_server.url)
    assert run_cli(*args).code == 0


def test_the_redis_of_an_app_without_address_is_that_of_the_variable(
    run_cli: CommandRunner, redis_server: RedisServer
) -> None:
    assert run_cli(*VERIFY, "-l", '{"membername": "bob"}', "-i", "1").code == 0
    assert read_message(redis_server, "1", "mail").id == "1"


@pytest.mark.parametrize(
    ("args", "text"),
    [
        (("-l", '{"membername": 5}'), "$.membername"),
        (("-l", '{"member": "bob"}'), "membername"),
        (("-l", '{"membername": "bob", "agian": true}'), "there is no parameter 'agian'"),
        (("-l", "bob"), "malformed"),
        ((), "membername"),
    ],
)
def test_arguments_that_do_not_fit_are_a_usage_error(
    run_cli: CommandRunner, args: tuple[str, ...], text: str
) -> None:
    result = run_cli(*VERIFY, *args)
    assert (result.code, result.out) == (2, "")
    assert text in result.err


@pytest.mark.parametrize(
    ("type_name", "text"),
    [
        ("email:verfiy", "the app has no task 'email:verfiy'; there is email:verify"),
        ("xyz", "there is email:verify, forget, often, print"),
    ],
)
def test_a_type_that_the_app_has_not_names_those_that_are_near(
    run_cli: CommandRunner, type_name: str, text: str
) -> None:
    result = run_cli("task", "enqueue", *APP, "-t", type_name, "-l", "{}")
    assert (result.code, text in result.err) == (2, True)


def test_beside_an_app_the_url_alone_says_where_redis_is(run_cli: CommandRunner) -> None:
    result = run_cli(*VERIFY, "-l", '{"membername": "bob"}', "-n", "3")
    assert (result.code, "--app takes -u URL, not --db" in result.err) == (2, True)


def test_an_app_that_is_not_there_is_not_found(run_cli: CommandRunner) -> None:
    result = run_cli("task", "enqueue", "--app", "tests.cli.apps:nothing", "-t", "t", "-l", "p")
    assert (result.code, "has no pyasynq.App called 'nothing'" in result.err) == (3, True)


def test_what_the_mux_of_an_app_handles_is_enqueued_as_it_is(
    run_cli: CommandRunner, redis_server: RedisServer
) -> None:
    args = ("--app", "tests.cli.apps:sealing", "-t", "image:resize", "-l", "p", "-i", "1")
    assert run_cli("task", "enqueue", *args, "-u", redis_server.url).code == 0
    assert read_message(redis_server, "1").payload != b"p"
