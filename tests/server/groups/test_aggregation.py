"""Decisions about the tasks of an aggregation set need no Redis."""

import zlib
from datetime import UTC, datetime, timedelta

import pytest

from pyasynq import Task
from pyasynq.broker import GroupedTask
from pyasynq.client import MAX_PAYLOAD
from pyasynq.core.codec import HEADER, NO_CODECS, Codecs
from pyasynq.core.compose import Composer, Grouped, Pending, Plan, Scheduled
from pyasynq.server.groups.aggregation import (
    AggregationFailure,
    check_result,
    failure_of,
    read_contents,
    with_queue,
)
from tests.support.codecs import Zlib
from tests.support.factories import GROUP_SET, a_message

NOW = datetime(2026, 1, 2, tzinfo=UTC)
HOUR = timedelta(hours=1)


def make_grouped(task_id: str = "1", *, failures: int = 0, type: str = "t") -> GroupedTask:
    message = a_message(task_id, type=type, payload=b"p", headers={"k": "v"})
    return GroupedTask(id=task_id, message=message, failures=failures)


def plan_of(task: Task, codecs: Codecs = NO_CODECS) -> Plan:
    options = with_queue(task.options, GROUP_SET)
    return Composer(codecs).compose(task, options, now=NOW, task_id=GROUP_SET.id).plan


# -- the combined task -----------------------------------------------------------------------------


def test_the_combined_task_has_the_id_of_its_set() -> None:
    assert plan_of(Task("t")).message.id == GROUP_SET.id


def test_the_combined_task_may_choose_its_id() -> None:
    assert plan_of(Task("t", task_id="mine")).message.id == "mine"


def test_the_combined_task_stays_in_the_queue() -> None:
    assert plan_of(Task("t", queue="other")).message.queue == "q"


def test_the_combined_task_keeps_its_own_options() -> None:
    task = Task("t", b"p", headers={"k": "v"}, max_retry=3, retention=HOUR, unique=HOUR)
    plan = plan_of(task)
    message = plan.message
    assert type(plan) is Pending
    assert (message.payload, dict(message.headers)) == (b"p", {"k": "v"})
    assert (message.retry, message.retention) == (3, 3600)
    assert plan.lock is not None


def test_the_combined_task_may_be_larger_than_those_of_clients() -> None:
    plan = plan_of(Task("t", bytes(MAX_PAYLOAD + 1)))
    assert len(plan.message.payload) == MAX_PAYLOAD + 1


def test_the_combined_task_may_be_delayed() -> None:
    plan = plan_of(Task("t", process_in=HOUR))
    assert isinstance(plan, Scheduled)
    assert plan.at_s == int((NOW + HOUR).timestamp())


def test_the_combined_task_may_join_a_group() -> None:
    plan = plan_of(Task("t", group="other"))
    assert isinstance(plan, Grouped)
    assert plan.message.group_key == "other"


def test_the_combined_task_is_sealed() -> None:
    message = plan_of(Task("t", b"p"), Codecs([Zlib()])).message
    assert (message.headers[HEADER], message.payload) == ("zlib", zlib.compress(b"p"))


@pytest.mark.parametrize("answer", [None, b"payload", [Task("t")]])
def test_an_answer_that_is_no_task_is_refused(answer: object) -> None:
    with pytest.raises(TypeError, match="must return a Task, got"):
        check_result(answer)


# -- what the user's function gets -----------------------------------------------------------------


def test_the_function_sees_type_payload_and_headers() -> None:
    found = read_contents([make_grouped()], NO_CODECS)
    [(grouped, task)] = found.tasks
    assert (task.type, task.payload, task.headers) == ("t", b"p", {"k": "v"})
    assert (grouped.id, found.poison, found.sealed) == ("1", [], [])


@pytest.mark.parametrize("type", ["", " ", "t" * 300], ids=["empty", "blank", "long"])
def test_a_task_of_an_invalid_type_is_poison(type: str) -> None:
    found = read_contents([make_grouped(type=type)], NO_CODECS)
    [poison] = found.poison
    assert (found.tasks, poison.id, poison.message) == ([], "1", None)


def test_a_task_that_cannot_be_read_does_not_block_the_others() -> None:
    unreadable = GroupedTask(id="2", message=None, failures=0)
    found = read_contents([make_grouped("1"), unreadable, make_grouped("3")], NO_CODECS)
    assert [grouped.id for grouped, _ in found.tasks] == ["1", "3"]
    assert found.poison == [unreadable]


def test_the_function_sees_what_was_sealed() -> None:
    grouped = make_grouped()
    assert grouped.message is not None
    Codecs([Zlib()]).seal(grouped.message)
    [(_, task)] = read_contents([grouped], Codecs([Zlib()])).tasks
    assert (task.payload, task.headers) == (b"p", {"k": "v"})


def test_a_task_that_cannot_be_opened_is_returned_with_its_error() -> None:
    grouped = make_grouped("2")
    assert grouped.message is not None
    Codecs([Zlib()]).seal(grouped.message)
    found = read_contents([make_grouped("1"), grouped], NO_CODECS)
    assert [grouped.id for grouped, _ in found.tasks] == ["1"]
    assert [(grouped.id, error.codec) for grouped, error in found.sealed] == [("2", "zlib")]


# -- failures --------------------------------------------------------------------------------------


def make_failure(*members: GroupedTask, max_failures: int = 5) -> AggregationFailure:
    return failure_of(members, "ValueError: boom", now=NOW, max_failures=max_failures, random=0)


@pytest.mark.parametrize(("failures", "wait_s"), [(0, 15), (1, 16), (2, 31), (3, 96)])
def test_the_waits_grow_like_those_of_failed_tasks(failures: int, wait_s: int) -> None:
    assert make_failure(make_grouped(failures=failures)).wait_s == wait_s


def test_the_task_that_failed_most_often_decides_the_wait() -> None:
    assert make_failure(make_grouped("1"), make_grouped("2", failures=3)).wait_s == 96


def test_a_task_that_has_failed_too_often_is_given_up_and_says_why() -> None:
    failure = make_failure(make_grouped("1", failures=4), make_grouped("2", failures=3))
    [given_up] = failure.given_up
    assert given_up.id == "1"
    assert given_up.message is not None
    assert given_up.message.error_msg == "ValueError: boom"
    assert given_up.message.last_failed_at == int(NOW.timestamp())


def test_with_one_failure_allowed_the_first_is_the_last() -> None:
    assert len(make_failure(make_grouped(), max_failures=1).given_up) == 1
