"""``pyasynq task enqueue`` says all that a client can say about a task."""

import io
from contextlib import closing
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest

from pyasynq import SyncClient, Task
from pyasynq.core.message import TaskMessage
from tests.cli.saying import Say, Told
from tests.support.servers import RedisServer
from tests.support.waiting import Lapse

MINIMUM = ("task", "enqueue", "-t", "t", "-l", "p")


def stored(server: RedisServer, task_id: str, queue: str = "default") -> TaskMessage:
    """Return the message of a task."""
    with closing(server.client()) as client:
        data = cast("bytes", client.hget(f"asynq:{{{queue}}}:t:{task_id}", "msg"))
    return TaskMessage.FromString(data)


def test_a_task_is_enqueued_and_told(say: Say, redis_server: RedisServer) -> None:
    told = say(*MINIMUM, "--id", "1")
    assert told == Told(0, "Enqueued task 1 to queue default\n", "")
    assert stored(redis_server, "1").payload == b"p"


def test_the_enqueued_task_can_be_json(say: Say) -> None:
    told = say(*MINIMUM, "-o", "json").json
    assert (told["type"], told["state"], told["payload"]) == ("t", "pending", "p")


def test_every_option_reaches_the_task(say: Say, redis_server: RedisServer) -> None:
    words = "--retry 3 --queue q --id 1 --timeout 90s --deadline 2040-01-02T03:04:05Z --unique 1h"
    told = say(*MINIMUM, *words.split(), "--retention", "24h", "-H", "trace=a=b", "-H", "x=")
    message = stored(redis_server, "1", "q")
    assert told.code == 0
    assert (message.retry, message.timeout, message.retention) == (3, 90, 86400)
    assert message.deadline == 2_209_086_245
    assert message.unique_key.startswith("asynq:{q}:unique:t:")
    assert dict(message.headers) == {"trace": "a=b", "x": ""}


@pytest.mark.parametrize("flag", ["--process_in", "--process-in"])
def test_a_delayed_task_is_scheduled(
    say: Say, redis_server: RedisServer, flag: str, lapse: Lapse
) -> None:
    assert say(*MINIMUM, flag, "5m", "--id", "1").code == 0
    with closing(redis_server.client()) as client:
        due = cast("float", client.zscore("asynq:{default}:scheduled", "1"))
    assert due - 300 in lapse


def test_an_instant_is_written_as_go_reads_it(say: Say) -> None:
    told = say(*MINIMUM, "--process_at", "2040-01-02T03:04:05+01:00", "-o", "json")
    assert told.json["next_process_at"] == "2040-01-02T02:04:05Z"


def test_a_task_can_join_a_group(say: Say) -> None:
    told = say(*MINIMUM, "--group", "g", "-o", "json").json
    assert (told["state"], told["group"]) == ("aggregating", "g")


def test_gos_spelling_of_the_type_is_understood(say: Say) -> None:
    assert say("task", "enqueue", "--type_name", "t", "--payload", "p").code == 0


def test_the_payload_can_come_from_a_file(
    say: Say, tmp_path: Path, redis_server: RedisServer
) -> None:
    (tmp_path / "data").write_bytes(b"\x00\xff")
    path = str(tmp_path / "data")
    assert say("task", "enqueue", "-t", "t", "--payload-file", path, "-i", "1").code == 0
    assert stored(redis_server, "1").payload == b"\x00\xff"


def test_the_payload_can_come_from_standard_input(
    say: Say, redis_server: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdin", SimpleNamespace(buffer=io.BytesIO(b"from a pipe")))
    assert say("task", "enqueue", "-t", "t", "--payload-file", "-", "-i", "1").code == 0
    assert stored(redis_server, "1").payload == b"from a pipe"


def test_a_task_that_is_there_is_a_conflict(say: Say, enqueuing: SyncClient) -> None:
    enqueuing.enqueue(Task("t", b"p", task_id="1"))
    told = say(*MINIMUM, "-i", "1")
    assert (told.code, told.out) == (5, "")
    assert "task ID conflicts with another task: '1'" in told.err


def test_a_unique_task_that_is_there_is_a_conflict(say: Say) -> None:
    assert say(*MINIMUM, "--unique", "1h").code == 0
    assert say(*MINIMUM, "--unique", "1h").code == 5


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (("--timeout", "soon"), "is no duration"),
        (("--deadline", "2040-01-02"), "is no instant"),
        (("--deadline", "tomorrow"), "is no instant"),
        (("--retry", "many"), "is not a valid integer"),
        (("--retry", "-1"), "max_retry must be a whole number from 0"),
        (("--header", "trace"), "write headers as --header key=value"),
        (("--payload-file", "-"), "say either --payload or --payload-file"),
        (("--queue", "{q}"), "without braces"),
    ],
)
def test_what_does_not_fit_is_a_usage_error(say: Say, words: tuple[str, ...], text: str) -> None:
    told = say(*MINIMUM, *words)
    assert (told.code, told.out) == (2, "")
    assert text in told.err


def test_a_task_needs_a_type_and_a_payload(say: Say) -> None:
    assert say("task", "enqueue", "-l", "p").code == 2
    assert say("task", "enqueue", "-t", "t").code == 2


def test_a_file_that_is_not_there_is_a_usage_error(say: Say) -> None:
    told = say("task", "enqueue", "-t", "t", "--payload-file", "/no/such/file")
    assert (told.code, "No such file" in told.err) == (2, True)


@pytest.mark.parametrize("payload", ["-5s", "-q=x", "--", "=", "--tls"])
@pytest.mark.parametrize("before", [(), ("-o", "json")], ids=["alone", "option before"])
def test_a_payload_may_look_like_an_option(
    say: Say, redis_server: RedisServer, payload: str, before: tuple[str, ...]
) -> None:
    assert say(*before, "task", "enqueue", "-t", "t", "-l", payload, "-i=1").code == 0
    assert stored(redis_server, "1").payload == payload.encode()


def test_a_payload_that_is_no_utf8_is_enqueued_as_it_is(
    say: Say, redis_server: RedisServer
) -> None:
    assert say("task", "enqueue", "-t", "t", "-l", "a\udcff", "-i", "1").code == 0
    assert stored(redis_server, "1").payload == b"a\xff"


# -- of an app -------------------------------------------------------------------------------------

APP = ("--app", "tests.cli.apps:app")
VERIFY = ("task", "enqueue", *APP, "-t", "email:verify")


def test_a_typed_task_is_enqueued_with_its_own_options(say: Say, redis_server: RedisServer) -> None:
    told = say(*VERIFY, "-l", '{"membername": "bob"}', "-i", "1", "-u", redis_server.url)
    assert told == Told(0, "Enqueued task 1 to queue mail\n", "")
    message = stored(redis_server, "1", "mail")
    assert (message.payload, message.retry) == (b'{"membername":"bob"}', 3)


def test_an_option_of_the_command_line_wins_over_that_of_the_typed_task(
    say: Say, redis_server: RedisServer
) -> None:
    words = ("-l", '{"membername": "bob"}', "-i", "1", "-q", "other", "--retry", "1")
    assert say(*VERIFY, *words, "-u", redis_server.url).code == 0
    message = stored(redis_server, "1", "other")
    assert message.retry == 1


def test_a_typed_task_without_parameters_needs_no_payload(
    say: Say, redis_server: RedisServer
) -> None:
    words = ("task", "enqueue", *APP, "-t", "often", "-i", "1", "-u", redis_server.url)
    assert say(*words).code == 0


def test_the_redis_of_an_app_without_address_is_that_of_the_variable(
    say: Say, redis_server: RedisServer
) -> None:
    assert say(*VERIFY, "-l", '{"membername": "bob"}', "-i", "1").code == 0
    assert stored(redis_server, "1", "mail").id == "1"


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (("-l", '{"membername": 5}'), "$.membername"),
        (("-l", '{"member": "bob"}'), "membername"),
        (("-l", '{"membername": "bob", "agian": true}'), "there is no parameter 'agian'"),
        (("-l", "bob"), "malformed"),
        ((), "membername"),
    ],
)
def test_arguments_that_do_not_fit_are_a_usage_error(
    say: Say, words: tuple[str, ...], text: str
) -> None:
    told = say(*VERIFY, *words)
    assert (told.code, told.out) == (2, "")
    assert text in told.err


@pytest.mark.parametrize(
    ("type_name", "text"),
    [
        ("email:verfiy", "the app has no task 'email:verfiy'; there is email:verify"),
        ("xyz", "there is email:verify, forget, often, print"),
    ],
)
def test_a_type_that_the_app_has_not_names_those_that_are_near(
    say: Say, type_name: str, text: str
) -> None:
    told = say("task", "enqueue", *APP, "-t", type_name, "-l", "{}")
    assert (told.code, text in told.err) == (2, True)


def test_beside_an_app_the_url_alone_says_where_redis_is(say: Say) -> None:
    told = say(*VERIFY, "-l", '{"membername": "bob"}', "-n", "3")
    assert (told.code, "--app takes -u URL, not --db" in told.err) == (2, True)


def test_an_app_that_is_not_there_is_not_found(say: Say) -> None:
    told = say("task", "enqueue", "--app", "tests.cli.apps:nothing", "-t", "t", "-l", "p")
    assert (told.code, "has no pyasynq.App called 'nothing'" in told.err) == (3, True)


def test_what_the_mux_of_an_app_handles_is_enqueued_as_it_is(
    say: Say, redis_server: RedisServer
) -> None:
    words = ("--app", "tests.cli.apps:sealing", "-t", "image:resize", "-l", "p", "-i", "1")
    assert say("task", "enqueue", *words, "-u", redis_server.url).code == 0
    assert stored(redis_server, "1").payload != b"p"
