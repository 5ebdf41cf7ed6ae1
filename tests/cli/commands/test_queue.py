"""``pyasynq queue`` shows queues, pauses, resumes and removes them."""

import asyncio
import io
from contextlib import closing

import msgspec
import pytest

from pyasynq import SyncClient, Task
from pyasynq.broker import open_broker
from pyasynq.core.verdict import DONE
from tests.cli.command_runner import CommandResult, CommandRunner
from tests.cli.redis_records import enqueue_one_of_each, put_task
from tests.support.factories import a_lease, a_pending, settle
from tests.support.servers import RedisServer


@pytest.fixture
def filled(sync_client: SyncClient, redis_server: RedisServer) -> None:
    """Fill the queue ``q``."""
    enqueue_one_of_each(sync_client, redis_server)


@pytest.mark.parametrize("verb", ["list", "ls"])
def test_queues_are_listed_by_name(
    run_cli: CommandRunner, sync_client: SyncClient, verb: str
) -> None:
    sync_client.enqueue_many([Task("t", queue="b"), Task("t", queue="a")])
    assert run_cli("queue", verb) == CommandResult(0, "a\nb\n", "")
    assert run_cli("queue", verb, "-o", "json").json == ["a", "b"]


def test_a_queue_is_one_line_whatever_its_name(
    run_cli: CommandRunner, sync_client: SyncClient
) -> None:
    sync_client.enqueue(Task("t", queue="a\nb"))
    assert run_cli("queue", "list").out == "a\\nb\n"


def test_the_form_of_the_output_may_stand_before_the_command(
    run_cli: CommandRunner, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert run_cli("-o", "json", "queue", "list").json == []
    assert run_cli("-o", "json", "queue", "list", "-o", "table") == CommandResult(0, "", "")
    monkeypatch.setenv("PYASYNQ_OUTPUT", "json")
    assert run_cli("queue", "list").json == []


def test_no_queues_are_an_empty_list(run_cli: CommandRunner) -> None:
    assert run_cli("queue", "list") == CommandResult(0, "", "")
    assert run_cli("queue", "list", "-o", "json").json == []


@pytest.mark.usefixtures("filled")
def test_what_a_queue_holds_is_shown(run_cli: CommandRunner) -> None:
    result = run_cli("queue", "inspect", "q")
    assert result.code == 0
    assert ["Name:", "q"] in result.lines
    assert ["Size:", "6"] in result.lines
    assert ["Paused:", "false"] in result.lines
    assert ["0", "1", "1", "1", "1", "1", "1"] in result.lines
    assert ["0", "0", "N/A"] in result.lines


@pytest.mark.usefixtures("filled")
def test_what_a_queue_holds_can_be_json(run_cli: CommandRunner) -> None:
    [queue] = run_cli("queue", "inspect", "q", "-o", "json").json
    assert (queue["queue"], queue["size"], queue["paused"], queue["groups"]) == ("q", 6, False, 1)
    assert queue["memory_usage"] > 0


@pytest.mark.usefixtures("filled")
def test_one_queue_that_is_not_there_does_not_hide_the_others(run_cli: CommandRunner) -> None:
    result = run_cli("queue", "inspect", "nothing", "q")
    assert result.code == 3
    assert result.err == "pyasynq: queue not found: 'nothing'\n"
    assert ["Name:", "q"] in result.lines


@pytest.mark.usefixtures("filled")
def test_several_queues_are_parted_by_a_line(
    run_cli: CommandRunner, sync_client: SyncClient
) -> None:
    sync_client.enqueue(Task("t"))
    assert ["=" * 49] in run_cli("queue", "inspect", "q", "default").lines


@pytest.mark.usefixtures("filled")
def test_the_history_of_a_queue_is_shown(run_cli: CommandRunner, redis_server: RedisServer) -> None:
    result = run_cli("queue", "history", "q", "--days", "3")
    assert result.out.startswith("Queue: q\n")
    assert len([line for line in result.lines if line[1:] == ["0", "0", "N/A"]]) == 3
    assert len(run_cli("queue", "history", "q", "-x", "5", "-o", "json").json) == 5


@pytest.mark.usefixtures("filled")
def test_days_that_are_none_are_a_usage_error(run_cli: CommandRunner) -> None:
    assert run_cli("queue", "history", "q", "-x", "0").code == 2


@pytest.mark.usefixtures("filled")
@pytest.mark.parametrize("verb", ["resume", "unpause"])
def test_queues_are_paused_and_resumed(run_cli: CommandRunner, verb: str) -> None:
    result = run_cli("queue", "pause", "q")
    assert result == CommandResult(0, "", 'Successfully paused queue "q"\n')
    assert run_cli("queue", "inspect", "q", "-o", "json").json[0]["paused"]
    assert run_cli("queue", verb, "q") == CommandResult(0, "", 'Successfully unpaused queue "q"\n')


@pytest.mark.usefixtures("filled")
def test_a_queue_that_is_paused_already_is_a_conflict(run_cli: CommandRunner) -> None:
    run_cli("queue", "pause", "q")
    result = run_cli("queue", "pause", "q")
    assert (result.code, result.err) == (5, "pyasynq: queue 'q' is already paused\n")


@pytest.mark.usefixtures("filled")
def test_a_queue_that_is_not_paused_is_a_conflict(run_cli: CommandRunner) -> None:
    assert run_cli("queue", "resume", "q").code == 5


@pytest.mark.usefixtures("filled")
def test_the_first_error_decides_the_exit_code(run_cli: CommandRunner) -> None:
    result = run_cli("queue", "pause", "nothing", "q", "q")
    assert result.code == 3
    assert 'Successfully paused queue "q"' in result.err


@pytest.mark.parametrize("verb", ["remove", "rm", "delete"])
def test_an_empty_queue_is_removed(
    run_cli: CommandRunner, redis_server: RedisServer, verb: str
) -> None:
    with closing(redis_server.client()) as client:
        client.sadd("asynq:queues", "q")
    result = run_cli("queue", verb, "q", "--yes")
    assert result == CommandResult(0, "", 'Successfully removed queue "q"\n')
    assert run_cli("queue", "list").out == ""


@pytest.mark.usefixtures("filled")
def test_a_queue_with_tasks_is_removed_only_by_force(run_cli: CommandRunner) -> None:
    result = run_cli("queue", "remove", "q", "--yes")
    assert (result.code, "force" in result.err) == (5, True)
    assert run_cli("queue", "rm", "q", "-f", "-y").code == 0
    assert run_cli("queue", "list").out == ""


@pytest.mark.usefixtures("filled")
def test_nothing_is_removed_where_nobody_can_be_asked(
    run_cli: CommandRunner, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO())
    result = run_cli("queue", "remove", "q", "-f")
    assert (result.code, result.out) == (2, "")
    assert 'Remove "q" with all tasks? There is no terminal to ask at: give --yes' in result.err
    assert run_cli("queue", "list").out == "q\n"


def test_a_queue_that_is_not_there_is_not_removed(run_cli: CommandRunner) -> None:
    assert run_cli("queue", "remove", "q", "-y").code == 3


def test_a_queue_needs_a_name(run_cli: CommandRunner) -> None:
    assert run_cli("queue", "inspect").code == 2
    assert run_cli("queue").code == 2


# -- groups ----------------------------------------------------------------------------------------


@pytest.mark.usefixtures("filled")
@pytest.mark.parametrize("verb", ["list", "ls"])
def test_groups_are_listed(run_cli: CommandRunner, verb: str) -> None:
    assert run_cli("group", verb, "-q", "q") == CommandResult(0, "g\n", "")
    assert run_cli("group", verb, "-q", "q", "-o", "json").json == [{"group": "g", "size": 1}]


def test_a_group_is_one_line_whatever_its_name(
    run_cli: CommandRunner, sync_client: SyncClient
) -> None:
    sync_client.enqueue(Task("t", queue="q", group="g\nh"))
    assert run_cli("group", "list", "-q", "q").out == "g\\nh\n"


def test_a_queue_without_groups_is_told(run_cli: CommandRunner, redis_server: RedisServer) -> None:
    put_task(redis_server, "archived", 1)
    assert run_cli("group", "list", "-q", "q") == CommandResult(
        0, "", 'No groups found in queue "q"\n'
    )
    assert run_cli("group", "list", "-q", "q", "-o", "json").json == []


def test_groups_of_a_queue_that_is_not_there_are_not_found(run_cli: CommandRunner) -> None:
    assert run_cli("group", "list", "--queue", "q").code == 3


@pytest.mark.parametrize(
    ("args", "printed"),
    [
        (("queue", "list"), "a\\xff\n"),
        (("queue", "list", "-o", "json"), '[\n  "a\\\\xff"\n]\n'),
        (("task", "list", "-q", "a\udcff", "-s", "pending", "-o", "json"), "[]\n"),
        (("queue", "remove", "--force", "--yes", "a\udcff"), ""),
    ],
)
def test_a_queue_whose_name_is_no_text_stops_nothing(
    run_cli: CommandRunner, redis_server: RedisServer, args: tuple[str, ...], printed: str
) -> None:
    with closing(redis_server.client()) as client:
        client.sadd("asynq:queues", b"a\xff")
        client.lpush(b"asynq:{a\xff}:pending", b"1")
    result = run_cli(*args)
    assert (result.code, result.out) == (0, printed)


# -- mail ------------------------------------------------------------------------------------------


@pytest.fixture
def letter(sync_client: SyncClient, redis_server: RedisServer) -> None:
    """Let a task of the queue ``q`` be followed by one for a queue ``r``, not yet delivered."""
    asyncio.run(post(redis_server.url))


async def post(url: str) -> None:
    broker = open_broker(url)
    follower = a_pending("2", queue="r")
    await settle(broker, await a_lease(broker), msgspec.structs.replace(DONE, then=(follower,)))
    await broker.aclose()


@pytest.mark.usefixtures("letter")
def test_mail_is_listed(run_cli: CommandRunner) -> None:
    result = run_cli("queue", "mail", "q")
    assert result.code == 0
    assert ["2", "t", "r"] in [line[:3] for line in result.lines]


@pytest.mark.usefixtures("letter")
def test_mail_can_be_json(run_cli: CommandRunner) -> None:
    [letter] = run_cli("queue", "mail", "q", "-o", "json").json
    assert (letter["to_queue"], letter["task_id"], letter["type"]) == ("r", "2", "t")


def test_a_queue_without_mail_says_so(run_cli: CommandRunner, sync_client: SyncClient) -> None:
    sync_client.enqueue(Task("t", queue="q"))
    assert run_cli("queue", "mail", "q") == CommandResult(0, "", 'No mail found in queue "q"\n')


@pytest.mark.usefixtures("letter")
def test_a_queue_with_mail_is_removed_by_force_only(run_cli: CommandRunner) -> None:
    assert run_cli("queue", "remove", "q", "--yes").code == 5
    assert run_cli("queue", "remove", "q", "--yes", "--force").code == 0
