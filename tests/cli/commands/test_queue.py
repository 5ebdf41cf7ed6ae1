"""``pyasynq queue`` shows queues, pauses, resumes and removes them."""

import io
from contextlib import closing

import pytest

from pyasynq import SyncClient, Task
from tests.cli.making import one_of_each, put
from tests.cli.saying import Say, Told
from tests.support.servers import RedisServer


@pytest.fixture
def filled(enqueuing: SyncClient, redis_server: RedisServer) -> None:
    """Fill the queue ``q``."""
    one_of_each(enqueuing, redis_server)


@pytest.mark.parametrize("verb", ["list", "ls"])
def test_queues_are_listed_by_name(say: Say, enqueuing: SyncClient, verb: str) -> None:
    enqueuing.enqueue_many([Task("t", queue="b"), Task("t", queue="a")])
    assert say("queue", verb) == Told(0, "a\nb\n", "")
    assert say("queue", verb, "-o", "json").json == ["a", "b"]


def test_the_form_of_the_output_may_stand_before_the_command(
    say: Say, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert say("-o", "json", "queue", "list").json == []
    assert say("-o", "json", "queue", "list", "-o", "table") == Told(0, "", "")
    monkeypatch.setenv("PYASYNQ_OUTPUT", "json")
    assert say("queue", "list").json == []


def test_no_queues_are_an_empty_list(say: Say) -> None:
    assert say("queue", "list") == Told(0, "", "")
    assert say("queue", "list", "-o", "json").json == []


@pytest.mark.usefixtures("filled")
def test_what_a_queue_holds_is_shown(say: Say) -> None:
    told = say("queue", "inspect", "q")
    assert told.code == 0
    assert ["Name:", "q"] in told.lines
    assert ["Size:", "6"] in told.lines
    assert ["Paused:", "false"] in told.lines
    assert ["0", "1", "1", "1", "1", "1", "1"] in told.lines
    assert ["0", "0", "N/A"] in told.lines


@pytest.mark.usefixtures("filled")
def test_what_a_queue_holds_can_be_json(say: Say) -> None:
    [queue] = say("queue", "inspect", "q", "-o", "json").json
    assert (queue["queue"], queue["size"], queue["paused"], queue["groups"]) == ("q", 6, False, 1)
    assert queue["memory_usage"] > 0


@pytest.mark.usefixtures("filled")
def test_one_queue_that_is_not_there_does_not_hide_the_others(say: Say) -> None:
    told = say("queue", "inspect", "nothing", "q")
    assert told.code == 3
    assert told.err == "pyasynq: queue not found: 'nothing'\n"
    assert ["Name:", "q"] in told.lines


@pytest.mark.usefixtures("filled")
def test_several_queues_are_parted_by_a_line(say: Say, enqueuing: SyncClient) -> None:
    enqueuing.enqueue(Task("t"))
    assert ["=" * 49] in say("queue", "inspect", "q", "default").lines


@pytest.mark.usefixtures("filled")
def test_the_history_of_a_queue_is_shown(say: Say, redis_server: RedisServer) -> None:
    told = say("queue", "history", "q", "--days", "3")
    assert told.out.startswith("Queue: q\n")
    assert len([words for words in told.lines if words[1:] == ["0", "0", "N/A"]]) == 3
    assert len(say("queue", "history", "q", "-x", "5", "-o", "json").json) == 5


@pytest.mark.usefixtures("filled")
def test_days_that_are_none_are_a_usage_error(say: Say) -> None:
    assert say("queue", "history", "q", "-x", "0").code == 2


@pytest.mark.usefixtures("filled")
@pytest.mark.parametrize("verb", ["resume", "unpause"])
def test_queues_are_paused_and_resumed(say: Say, verb: str) -> None:
    told = say("queue", "pause", "q")
    assert told == Told(0, "", 'Successfully paused queue "q"\n')
    assert say("queue", "inspect", "q", "-o", "json").json[0]["paused"]
    assert say("queue", verb, "q") == Told(0, "", 'Successfully unpaused queue "q"\n')


@pytest.mark.usefixtures("filled")
def test_a_queue_that_is_paused_already_is_a_conflict(say: Say) -> None:
    say("queue", "pause", "q")
    told = say("queue", "pause", "q")
    assert (told.code, told.err) == (5, "pyasynq: queue 'q' is already paused\n")


@pytest.mark.usefixtures("filled")
def test_a_queue_that_is_not_paused_is_a_conflict(say: Say) -> None:
    assert say("queue", "resume", "q").code == 5


@pytest.mark.usefixtures("filled")
def test_the_first_error_decides_the_exit_code(say: Say) -> None:
    told = say("queue", "pause", "nothing", "q", "q")
    assert told.code == 3
    assert 'Successfully paused queue "q"' in told.err


@pytest.mark.parametrize("verb", ["remove", "rm", "delete"])
def test_an_empty_queue_is_removed(say: Say, redis_server: RedisServer, verb: str) -> None:
    with closing(redis_server.client()) as client:
        client.sadd("asynq:queues", "q")
    told = say("queue", verb, "q", "--yes")
    assert told == Told(0, "", 'Successfully removed queue "q"\n')
    assert say("queue", "list").out == ""


@pytest.mark.usefixtures("filled")
def test_a_queue_with_tasks_is_removed_only_by_force(say: Say) -> None:
    told = say("queue", "remove", "q", "--yes")
    assert (told.code, "force" in told.err) == (5, True)
    assert say("queue", "rm", "q", "-f", "-y").code == 0
    assert say("queue", "list").out == ""


@pytest.mark.usefixtures("filled")
def test_nothing_is_removed_where_nobody_can_be_asked(
    say: Say, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO())
    told = say("queue", "remove", "q", "-f")
    assert (told.code, told.out) == (2, "")
    assert 'Remove "q" with all tasks? Nobody is there to be asked: say --yes' in told.err
    assert say("queue", "list").out == "q\n"


def test_a_queue_that_is_not_there_is_not_removed(say: Say) -> None:
    assert say("queue", "remove", "q", "-y").code == 3


def test_a_queue_needs_a_name(say: Say) -> None:
    assert say("queue", "inspect").code == 2
    assert say("queue").code == 2


# -- groups ----------------------------------------------------------------------------------------


@pytest.mark.usefixtures("filled")
@pytest.mark.parametrize("verb", ["list", "ls"])
def test_groups_are_listed(say: Say, verb: str) -> None:
    assert say("group", verb, "-q", "q") == Told(0, "g\n", "")
    assert say("group", verb, "-q", "q", "-o", "json").json == [{"group": "g", "size": 1}]


def test_a_queue_without_groups_is_told(say: Say, redis_server: RedisServer) -> None:
    put(redis_server, "archived", 1)
    assert say("group", "list", "-q", "q") == Told(0, "", 'No groups found in queue "q"\n')
    assert say("group", "list", "-q", "q", "-o", "json").json == []


def test_groups_of_a_queue_that_is_not_there_are_not_found(say: Say) -> None:
    assert say("group", "list", "--queue", "q").code == 3
