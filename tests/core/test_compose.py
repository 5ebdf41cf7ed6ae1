"""A task and its options become a plan; nothing runs early, and every lock expires."""

import hashlib
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyasynq import Task, TaskInfo, TaskState
from pyasynq.core.compose import (
    Grouped,
    Lock,
    Pending,
    Plan,
    Scheduled,
    compose,
    info_of_plan,
    with_options,
)
from pyasynq.core.message import TaskMessage
from pyasynq.core.options import Options, check_all, merge

NOW = datetime(2026, 1, 1, tzinfo=UTC)
NOW_S = 1_767_225_600
SECOND = timedelta(seconds=1)

instants = st.datetimes(
    min_value=datetime(2000, 1, 1),  # noqa: DTZ001  # the naive time that is tested
    max_value=datetime(2100, 1, 1),  # noqa: DTZ001
    timezones=st.just(UTC),
)
durations = st.timedeltas(min_value=SECOND, max_value=timedelta(days=3650))


def plan_for(task: Task, *, now: datetime = NOW, **call: object) -> Plan:
    return compose(task, merge(task.options, check_all(call)), now=now, task_id="random")


def message_for(task: Task, **call: object) -> TaskMessage:
    return compose(task, merge(task.options, check_all(call)), now=NOW, task_id="random").message


def info_for(task: Task, **call: object) -> TaskInfo:
    options = merge(task.options, check_all(call))
    plan = compose(task, options, now=NOW, task_id="random")
    return info_of_plan(plan, task, options, now=NOW)


# -- the way ---------------------------------------------------------------------------------------


def test_a_task_without_options_is_pending() -> None:
    expected = TaskMessage(
        type="t", payload=b"p", id="random", queue="default", retry=25, timeout=1800
    )
    assert plan_for(Task("t", b"p")) == Pending(message=expected, lock=None)


def test_a_task_with_a_group_waits_in_it() -> None:
    plan = plan_for(Task("t"), group="g")
    assert isinstance(plan, Grouped)
    assert plan.message.group_key == "g"


def test_a_task_for_later_is_scheduled() -> None:
    plan = plan_for(Task("t"), process_in=timedelta(seconds=10))
    assert isinstance(plan, Scheduled)
    assert plan.at_s == NOW_S + 10


def test_a_task_for_later_with_a_group_is_scheduled_and_keeps_its_group() -> None:
    plan = plan_for(Task("t"), process_in=timedelta(seconds=10), group="g")
    assert isinstance(plan, Scheduled)
    assert plan.message.group_key == "g"


@pytest.mark.parametrize(
    "call",
    [{"process_in": timedelta()}, {"process_at": NOW}, {"process_at": NOW - SECOND}],
    ids=["in no time", "at this moment", "in the past"],
)
def test_a_process_time_that_has_come_is_now(call: dict[str, Any]) -> None:
    assert isinstance(plan_for(Task("t"), **call), Pending)


@given(at=instants, now=instants)
def test_a_task_is_scheduled_exactly_if_its_time_has_not_come(at: datetime, now: datetime) -> None:
    assert isinstance(plan_for(Task("t"), now=now, process_at=at), Scheduled) == (at > now)


@given(at=instants)
def test_a_scheduled_task_is_never_early_and_never_a_second_late(at: datetime) -> None:
    plan = plan_for(Task("t"), now=datetime(1999, 1, 1, tzinfo=UTC), process_at=at)
    assert isinstance(plan, Scheduled)
    assert 0 <= plan.at_s - at.timestamp() < 1


@given(delay=durations, now=instants)
def test_a_delayed_task_is_never_early(delay: timedelta, now: datetime) -> None:
    plan = plan_for(Task("t"), now=now, process_in=delay)
    assert isinstance(plan, Scheduled)
    assert datetime.fromtimestamp(plan.at_s, UTC) >= now + delay


# -- the lock --------------------------------------------------------------------------------------


def test_a_task_that_is_not_unique_takes_no_lock() -> None:
    assert plan_for(Task("t")).lock is None


def test_a_lock_is_named_by_the_payload() -> None:
    digest = hashlib.md5(b"p").hexdigest()
    assert plan_for(Task("t", b"p"), unique=SECOND).lock == Lock(digest=digest, ttl_s=1)


def test_a_lock_tells_no_payload_from_an_empty_one() -> None:
    nothing = plan_for(Task("t"), unique=SECOND).lock
    empty = plan_for(Task("t", b""), unique=SECOND).lock
    assert (nothing, empty) == (
        Lock(digest="", ttl_s=1),
        Lock(digest="d41d8cd98f00b204e9800998ecf8427e", ttl_s=1),
    )


def test_the_lock_of_a_scheduled_task_outlasts_its_wait() -> None:
    plan = plan_for(Task("t"), unique=timedelta(seconds=100), process_in=timedelta(seconds=10))
    assert plan.lock == Lock(digest="", ttl_s=110)


def test_the_lock_of_a_task_whose_time_has_passed_lasts_as_long_as_asked() -> None:
    plan = plan_for(Task("t"), unique=timedelta(seconds=100), process_at=NOW - 10 * SECOND)
    assert plan.lock == Lock(digest="", ttl_s=100)


@given(unique=durations, at=instants, now=instants)
def test_a_lock_lasts_at_least_a_second(unique: timedelta, at: datetime, now: datetime) -> None:
    lock = plan_for(Task("t"), now=now, unique=unique, process_at=at).lock
    assert lock is not None
    assert lock.ttl_s >= 1


@given(unique=durations, at=instants, now=instants)
def test_a_lock_outlasts_its_time(unique: timedelta, at: datetime, now: datetime) -> None:
    lock = plan_for(Task("t"), now=now, unique=unique, process_at=at).lock
    assert lock is not None
    assert now + timedelta(seconds=lock.ttl_s) >= max(at, now) + unique


# -- the message -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("call", "timeout_s", "deadline_s"),
    [
        ({}, 1800, 0),
        ({"timeout": SECOND}, 1, 0),
        ({"timeout": timedelta(milliseconds=1500)}, 2, 0),
        ({"deadline": NOW}, 0, NOW_S),
        ({"deadline": NOW + timedelta(milliseconds=999)}, 0, NOW_S),
        ({"timeout": SECOND, "deadline": NOW}, 1, NOW_S),
    ],
    ids=["neither", "timeout", "fraction", "deadline", "fraction of a deadline", "both"],
)
def test_a_message_has_a_timeout_or_a_deadline(
    call: dict[str, Any], timeout_s: int, deadline_s: int
) -> None:
    made = message_for(Task("t"), **call)
    assert (made.timeout, made.deadline) == (timeout_s, deadline_s)


@given(
    timeout=st.none() | durations,
    deadline=st.none() | instants,
)
def test_no_message_runs_without_limit(
    timeout: timedelta | None, deadline: datetime | None
) -> None:
    made = message_for(Task("t"), timeout=timeout, deadline=deadline)
    assert made.timeout >= 1 or made.deadline >= 1


def test_a_message_carries_what_the_options_say() -> None:
    made = message_for(Task("t"), task_id="1", queue="q", max_retry=0, retention=timedelta(hours=1))
    assert (made.id, made.queue, made.retry, made.retention) == ("1", "q", 0, 3600)


def test_the_headers_of_the_call_win() -> None:
    task = Task("t", headers={"a": "1", "b": "1"})
    assert dict(message_for(task, headers={"b": "2"}).headers) == {"a": "1", "b": "2"}


def test_composing_leaves_the_task_as_it_was() -> None:
    task = Task("t", headers={"a": "1"})
    message_for(task, headers={"b": "2"}, queue="q")
    assert (task.headers, task.options) == ({"a": "1"}, Options())


# -- what the caller reads -------------------------------------------------------------------------


def test_a_pending_task_runs_next_now() -> None:
    assert info_for(Task("t", b"p", headers={"a": "1"}), queue="q", task_id="1") == TaskInfo(
        id="1",
        queue="q",
        type="t",
        payload=b"p",
        headers={"a": "1"},
        state=TaskState.PENDING,
        max_retry=25,
        timeout=timedelta(minutes=30),
        next_process_at=NOW,
    )


def test_a_scheduled_task_runs_next_when_redis_says() -> None:
    info = info_for(Task("t"), process_at=NOW + timedelta(milliseconds=1500))
    assert (info.state, info.next_process_at) == (TaskState.SCHEDULED, NOW + 2 * SECOND)


def test_a_grouped_task_runs_nobody_knows_when() -> None:
    info = info_for(Task("t"), group="g")
    assert (info.state, info.next_process_at, info.group) == (TaskState.AGGREGATING, None, "g")


def test_no_payload_reads_as_an_empty_one() -> None:
    assert info_for(Task("t")).payload == b""


def test_a_deadline_reads_as_it_was_stored() -> None:
    info = info_for(Task("t"), deadline=NOW + timedelta(milliseconds=999))
    assert (info.deadline, info.timeout) == (NOW, None)


@pytest.mark.parametrize(("given_time", "read"), [(timedelta(), None), (SECOND, SECOND)])
def test_no_retention_reads_as_none(given_time: timedelta, read: timedelta | None) -> None:
    assert info_for(Task("t"), retention=given_time).retention == read


# -- changing what is there ------------------------------------------------------------------------

STANDING = TaskMessage(
    id="1", queue="q", type="t", payload=b"old", retry=3, timeout=60, headers={"a": "1"}
)


def test_a_message_is_changed_only_in_what_is_given() -> None:
    revised = with_options(STANDING, check_all({"max_retry": 5}))
    assert (revised.retry, revised.timeout, dict(revised.headers)) == (5, 60, {"a": "1"})
    assert STANDING.retry == 3


def test_headers_replace_those_that_stood_there() -> None:
    assert dict(with_options(STANDING, check_all({"headers": {"b": "2"}})).headers) == {"b": "2"}


def test_a_lock_is_named_after_the_new_payload() -> None:
    locked = with_options(STANDING, check_all({}))
    locked.unique_key = "asynq:{q}:unique:t:149603e6c03516362a8da23f624db945"
    revised = with_options(locked, check_all({}), payload=b"abc")
    assert revised.unique_key == "asynq:{q}:unique:t:900150983cd24fb0d6963f7d28e17f72"


def test_a_task_without_lock_gets_none_with_its_payload() -> None:
    assert with_options(STANDING, check_all({}), payload=b"abc").unique_key == ""
