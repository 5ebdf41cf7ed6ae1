"""The comparison finds changes that a test makes by hand on Python's side.

Each change is similar to one that an entry accepts. The test makes it after an operation that
leaves both sides equal.
"""

from collections.abc import Awaitable, Callable

import pytest
import redis

from tests.differential import operations as ops
from tests.differential.comparison import Case, Difference
from tests.differential.core_rules import locks_are_rounded_up
from tests.differential.operations import Choices, Operation, Outcome
from tests.differential.pair import Pair, UnlikeError
from tests.differential.sides import Answer, Side
from tests.differential.snapshot import EXPIRY, Instant, Snapshot

HOUR_S = 3600
LOCK = "asynq:{a}:unique:t:9dd4e461268c8034f5c8564e155c67a6"
A = "asynq:{a}:"
TASK = f"{A}t:1"
Change = Callable[[redis.Redis], object]


class ChangedSide:
    """A side whose Redis is changed after every operation."""

    def __init__(self, side: Side, client: redis.Redis, change: Change) -> None:
        self._side = side
        self._client = client
        self._change = change

    async def apply(self, operation: Operation) -> Answer:
        answer = await self._side.apply(operation)
        self._change(self._client)
        return answer


def an_enqueue(task_id: str = "1", **options: float | str) -> ops.Enqueue:
    choices = Choices(queue="a", task_id=task_id, **options)  # type: ignore[arg-type]
    return ops.Enqueue(type="t", payload=b"x", headers={"k": "v"}, own=choices, options=Choices())


def a_run(kind: str, task_id: str = "1") -> ops.Work:
    outcome = Outcome(kind=kind, text="ScriptedError: boom", delay=HOUR_S, result=b"r")
    return ops.Work(queue="a", count=1, concurrency=1, outcomes={task_id: outcome})


TWO = [an_enqueue("1"), an_enqueue("2")]
LATER = [an_enqueue(process_in=HOUR_S)]
UNIQUE = [an_enqueue(unique=HOUR_S)]
GROUPED = [an_enqueue(group="g")]
COMPLETED = [an_enqueue(retention=HOUR_S), a_run("ok")]
RETRIED = [an_enqueue(max_retry=3), a_run("fail")]
ARCHIVED = [an_enqueue(max_retry=0), a_run("fail")]
TAKEN = [an_enqueue(), ops.Crash(queue="a", count=1, concurrency=1)]
PAUSED = [an_enqueue(), ops.Pause(queue="a")]


@pytest.fixture
def apply_and_change(pair: Pair) -> Callable[[list[Operation], Change], Awaitable[None]]:
    """Return a function that applies operations, and changes Python's Redis after the last."""

    async def do(operations: list[Operation], change: Change) -> None:
        *first, last = operations
        for operation in first:
            await pair.step(operation)
        pair.python = ChangedSide(pair.python, pair.python_redis, change)
        await pair.step(last)

    return do


@pytest.mark.parametrize(
    "operations", [TWO, LATER, UNIQUE, GROUPED, COMPLETED, RETRIED, ARCHIVED, TAKEN, PAUSED]
)
async def test_without_a_change_the_sides_are_alike(
    apply_and_change: Callable[[list[Operation], Change], Awaitable[None]],
    operations: list[Operation],
) -> None:
    await apply_and_change(operations, lambda _: None)


@pytest.mark.parametrize(
    ("operations", "change"),
    [
        pytest.param(UNIQUE, lambda r: r.expire(LOCK, HOUR_S - 3), id="a shorter lock"),
        pytest.param(UNIQUE, lambda r: r.expire(LOCK, HOUR_S + 3), id="a longer lock"),
        pytest.param(UNIQUE, lambda r: r.persist(LOCK), id="an endless lock"),
        pytest.param(UNIQUE, lambda r: r.delete(LOCK), id="a missing lock"),
        pytest.param(UNIQUE, lambda r: r.set(LOCK, "2", keepttl=True), id="another's lock"),
        pytest.param(
            UNIQUE, lambda r: r.hdel("asynq:{a}:t:1", "unique_key"), id="a lock without name"
        ),
        pytest.param(
            LATER, lambda r: r.zincrby("asynq:{a}:scheduled", 4, "1"), id="a later due time"
        ),
        pytest.param(
            LATER, lambda r: r.zincrby("asynq:{a}:scheduled", -4, "1"), id="an earlier due time"
        ),
        pytest.param(
            RETRIED, lambda r: r.zincrby("asynq:{a}:retry", -4, "1"), id="an earlier retry"
        ),
        pytest.param(
            COMPLETED, lambda r: r.zincrby("asynq:{a}:completed", 4, "1"), id="a longer retention"
        ),
        pytest.param(
            ARCHIVED, lambda r: r.zincrby("asynq:{a}:archived", 4, "1"), id="a later archiving"
        ),
        pytest.param(TAKEN, lambda r: r.zincrby("asynq:{a}:lease", 4, "1"), id="a longer lease"),
        pytest.param(TAKEN, lambda r: r.zrem("asynq:{a}:lease", "1"), id="a missing lease"),
        pytest.param(
            TAKEN, lambda r: r.hset("asynq:{a}:t:1", "owner", "x@1"), id="a stamp that lies"
        ),
        pytest.param(TAKEN, lambda r: r.hset("asynq:{a}:t:1", "extra", "1"), id="an extra field"),
        pytest.param(TWO, lambda r: r.hdel("asynq:{a}:t:2", "pending_since"), id="a missing field"),
        pytest.param(
            TWO, lambda r: r.hset("asynq:{a}:t:2", "pending_since", 1), id="an old pending_since"
        ),
        pytest.param(TWO, lambda r: r.hset("asynq:{a}:t:2", "state", "retry"), id="a wrong state"),
        pytest.param(TWO, lambda r: r.hset("asynq:{a}:t:2", "msg", b""), id="a lost message"),
        pytest.param(
            TWO, lambda r: r.lmove("asynq:{a}:pending", "asynq:{a}:pending"), id="a wrong order"
        ),
        pytest.param(TWO, lambda r: r.lpush("asynq:{a}:pending", "1"), id="a task twice"),
        pytest.param(TWO, lambda r: r.srem("asynq:queues", "a"), id="a queue out of sight"),
        pytest.param(GROUPED, lambda r: r.srem("asynq:{a}:groups", "g"), id="a group out of sight"),
        pytest.param(
            GROUPED, lambda r: r.hset("asynq:{a}:t:1", "group", "h"), id="the wrong group"
        ),
        pytest.param(COMPLETED, lambda r: r.hdel("asynq:{a}:t:1", "result"), id="a lost result"),
        pytest.param(RETRIED, lambda r: r.decr("asynq:{a}:failed"), id="a failure not counted"),
        pytest.param(RETRIED, lambda r: r.incr("asynq:{a}:processed"), id="a run counted twice"),
        pytest.param(PAUSED, lambda r: r.delete("asynq:{a}:paused"), id="a pause forgotten"),
        pytest.param(PAUSED, lambda r: r.expire("asynq:{a}:paused", 9), id="a pause that ends"),
        pytest.param(TWO, lambda r: r.zadd("asynq:{a}:g:h", {"1": 1}), id="one key more"),
    ],
)
async def test_a_change_is_seen(
    apply_and_change: Callable[[list[Operation], Change], Awaitable[None]],
    operations: list[Operation],
    change: Change,
) -> None:
    with pytest.raises(UnlikeError):
        await apply_and_change(operations, change)


LATER_GROUPED = [an_enqueue(process_in=HOUR_S, group="g")]
UNIQUE_GROUPED = [an_enqueue(unique=HOUR_S, group="g")]
RUN_BY_HAND = [*LATER, ops.RunTask(queue="a", id="1")]
FORWARDED = [*LATER_GROUPED, ops.Maintain(queue="a", what="forward", ids=["1"])]
RECOVERED = [*TAKEN, ops.Maintain(queue="a", what="recover", ids=["1"])]
TAKEN_AGAIN = [
    *RETRIED,
    ops.RunTask(queue="a", id="1"),
    ops.Crash(queue="a", count=1, concurrency=1),
]
EMPTIED = [*COMPLETED, ops.DeleteQueue(queue="a", force=True)]
PASSED = [an_enqueue(max_retry=3, deadline=1), a_run("ok")]
CHANGED = [
    an_enqueue(unique=HOUR_S, process_in=HOUR_S),
    ops.UpdatePayload(queue="a", id="1", payload=b"y"),
]


@pytest.mark.parametrize(
    "operations",
    [
        LATER_GROUPED,
        UNIQUE_GROUPED,
        RUN_BY_HAND,
        FORWARDED,
        RECOVERED,
        TAKEN_AGAIN,
        EMPTIED,
        PASSED,
        CHANGED,
        RETRIED,
        ARCHIVED,
    ],
)
async def test_a_difference_that_an_entry_describes_is_accepted(
    apply_and_change: Callable[[list[Operation], Change], Awaitable[None]],
    operations: list[Operation],
) -> None:
    await apply_and_change(operations, lambda _: None)


@pytest.mark.parametrize(
    ("operations", "change"),
    [
        pytest.param(LATER_GROUPED, lambda r: r.hset(TASK, "group", "h"), id="D14: another group"),
        pytest.param(LATER, lambda r: r.hset(TASK, "group", "g"), id="D14: a group from nowhere"),
        pytest.param(UNIQUE_GROUPED, lambda r: r.hset(TASK, "unique_key", "x"), id="D8: a name"),
        pytest.param(RUN_BY_HAND, lambda r: r.hset(TASK, "pending_since", 1), id="D18: long ago"),
        pytest.param(FORWARDED, lambda r: r.sadd(f"{A}groups", "h"), id="D15: another group"),
        pytest.param(RECOVERED, lambda r: r.zincrby(f"{A}retry", 9, "1"), id="D32: a delay"),
        pytest.param(RECOVERED, lambda r: r.hset(TASK, "crashes", 2), id="D66: another count"),
        pytest.param(TAKEN_AGAIN, lambda r: r.hset(TASK, "result", "x"), id="D38: a new result"),
        pytest.param(TAKEN, lambda r: r.hset(TASK, "owner", "x@9"), id="D29: another lease"),
        pytest.param(EMPTIED, lambda r: r.set(f"{A}processed", 1), id="D23: a key that stays"),
        pytest.param(PASSED, lambda r: r.zadd(f"{A}archived", {"2": 1}), id="D70: another task"),
        pytest.param(PASSED, lambda r: r.hset(TASK, "state", "completed"), id="D70: another state"),
        pytest.param(CHANGED, lambda r: r.set(LOCK, "1"), id="D54: the old lock stays"),
        pytest.param(RETRIED, lambda r: r.hset(TASK, "attempt:0", "x"), id="D71: no try"),
        pytest.param(LATER, lambda r: r.hset(f"{A}runs:60:0", "t", "x"), id="D72: nothing ran"),
        pytest.param(LATER, lambda r: r.zincrby(f"{A}scheduled", 3, "1"), id="D2: too late"),
        pytest.param(UNIQUE, lambda r: r.expire(LOCK, HOUR_S + 2), id="D13: too long"),
    ],
)
async def test_a_difference_beyond_what_an_entry_describes_is_not_accepted(
    apply_and_change: Callable[[list[Operation], Change], Awaitable[None]],
    operations: list[Operation],
    change: Change,
) -> None:
    with pytest.raises(UnlikeError):
        await apply_and_change(operations, change)


class LyingSide:
    """A side that applies the operation, but returns another answer."""

    def __init__(self, side: Side, answer: Answer) -> None:
        self._side = side
        self._answer = answer

    async def apply(self, operation: Operation) -> Answer:
        await self._side.apply(operation)
        return self._answer


@pytest.mark.parametrize("answer", [Answer(), Answer(error="conflict"), Answer(error="refused")])
async def test_another_answer_is_seen(pair: Pair, answer: Answer) -> None:
    pair.python = LyingSide(pair.python, answer)
    with pytest.raises(UnlikeError):
        await pair.step(an_enqueue())


def a_case(operation: Operation) -> Case:
    """Return a case of *operation*, which took a tenth of a second."""
    none = Snapshot({})
    return Case(
        operation=operation,
        before=none,
        go=none,
        python=none,
        go_answer=Answer(),
        python_answer=Answer(),
        started_s=10.0,
        window_s=0.1,
    )


@pytest.mark.parametrize(("python_at", "alike"), [(100.99, True), (101.1, True), (101.2, False)])
def test_digits_that_go_cuts_off_an_instant_are_no_difference(
    python_at: float, *, alike: bool
) -> None:
    case = a_case(TWO[0])
    assert case.alike(Instant(100, whole=True), Instant(python_at, whole=False)) is alike


@pytest.mark.parametrize(
    ("operation", "python_at", "accepted"),
    [
        (an_enqueue(unique=HOUR_S), 100.9, True),
        (an_enqueue(unique=HOUR_S), 102.0, False),
        (an_enqueue(unique=HOUR_S, process_at=50), 102.0, True),
        (an_enqueue(unique=HOUR_S, process_at=50), 102.2, False),
    ],
)
def test_the_lock_of_a_task_that_waits_for_an_instant_is_cut_and_rounded_up(
    operation: Operation, python_at: float, *, accepted: bool
) -> None:
    go, python = Instant(100.001, whole=False), Instant(python_at, whole=False)
    lock = Difference((LOCK, EXPIRY), go, python)
    assert locks_are_rounded_up(a_case(operation), lock) is accepted
