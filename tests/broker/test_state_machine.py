"""In any order of moves, no task is lost, none is in two containers, and counters are right.

Hypothesis moves tasks at random in Redis and, by the same rules, in a dict. After every move, Redis
must hold the same as the dict.
"""

import asyncio
import time
from collections import Counter
from collections.abc import Coroutine
from dataclasses import dataclass, replace
from typing import Any, TypeVar, cast

import redis
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from pyasynq.broker import (
    AggregationSet,
    Container,
    DequeueResult,
    GroupRules,
    Lease,
    Move,
    NotCreated,
    open_broker,
)
from pyasynq.core.compose import Lock, Plan
from pyasynq.core.errors import DuplicateTaskError, TaskIDConflictError
from pyasynq.core.message import TaskMessage
from pyasynq.core.states import ALLOWED_STATES, MOVES, Action, TaskState
from pyasynq.core.verdict import DONE, REQUEUE, Verdict
from tests.support.factories import (
    LEASE_S,
    a_grouped,
    a_pending,
    a_scheduled,
    archived,
    combine,
    completed,
    create,
    retried,
)
from tests.support.servers import RedisServer

T = TypeVar("T")

Q = "asynq:{q}:"
ZSETS = ("scheduled", "retry", "archived", "completed", "g:g")
LISTS = ("pending", "active")
CONTAINER_STATES = {"g:g": "aggregating"}
LOCK_KEY = f"{Q}unique:t:0cc1"

ids = st.sampled_from("abcdef")
kinds = st.sampled_from(["pending", "scheduled", "grouped", "scheduled in group"])
groups = {"grouped": "g", "scheduled in group": "g"}
verdicts = st.sampled_from(["done", "complete", "retry", "snooze", "archive", "requeue"])
actions = st.sampled_from([Action.RUN, Action.ARCHIVE, Action.DELETE])
states = st.sampled_from(TaskState)
some = st.integers(1, 4)
picks = st.integers(0, 10)


@dataclass(frozen=True, kw_only=True)
class TaskModel:
    """What Redis must hold of a task."""

    state: str
    group: str = ""
    locked: bool = False
    retried: int = 0


class QueueMachine(RuleBasedStateMachine):
    """The broker, and a dict of what Redis must hold."""

    def __init__(self, server: RedisServer) -> None:
        super().__init__()
        self.redis = redis.Redis(unix_socket_path=str(server.socket), decode_responses=False)
        self.redis.flushall()
        self.runner = asyncio.Runner()
        self.broker = open_broker(server.url)
        self.tasks: dict[str, TaskModel] = {}
        self.queue: list[str] = []  # the next to run first
        self.held: dict[str, Lease] = {}
        self.lost: list[Lease] = []
        self.sets: dict[str, tuple[AggregationSet, list[str]]] = {}
        self.combined = 0
        self.lock: str | None = None
        self.counters: Counter[str] = Counter()
        self.dequeues = 0

    def run(self, call: Coroutine[Any, Any, T]) -> T:
        return self.runner.run(call)

    def teardown(self) -> None:
        self.run(cast("Coroutine[Any, Any, None]", self.broker.aclose()))
        self.runner.close()
        self.redis.flushall()
        self.redis.close()

    # -- bringing in -------------------------------------------------------------------------------

    @initialize(tasks=st.lists(st.tuples(ids, kinds, st.booleans()), min_size=2, max_size=6))
    def enqueue_some(self, tasks: list[tuple[str, str, bool]]) -> None:
        for task_id, kind, unique in tasks:
            self.enqueue(task_id, kind, unique)

    @rule(task_id=ids, kind=kinds, unique=st.booleans())
    def enqueue(self, task_id: str, kind: str, unique: bool) -> None:  # noqa: FBT001
        lock = Lock(digest="0cc1", ttl_s=10_000) if unique else None
        answer = self.run(create(self.broker, [_plan(kind, task_id, lock)]))[0]
        if task_id in self.tasks:
            assert isinstance(answer, TaskIDConflictError)
        elif unique and self.lock:
            assert isinstance(answer, DuplicateTaskError)
        else:
            assert answer is None
            self._add_created(task_id, kind, unique=unique)

    @rule(names=st.lists(ids, min_size=2, max_size=6))
    def enqueue_batch(self, names: list[str]) -> None:
        answers = self.run(create(self.broker, [a_pending(name) for name in names]))
        for name, answer in zip(names, answers, strict=True):
            assert (answer is not None) == (name in self.tasks)
            if answer is None:
                self._add_created(name, "pending", unique=False)

    def _add_created(self, task_id: str, kind: str, *, unique: bool) -> None:
        state = {"pending": "pending", "grouped": "aggregating"}.get(kind, "scheduled")
        self.tasks[task_id] = TaskModel(state=state, group=groups.get(kind, ""), locked=unique)
        if unique:
            self.lock = task_id
        if state == "pending":
            self.queue.append(task_id)

    # -- taking ------------------------------------------------------------------------------------

    @rule(count=some)
    def dequeue(self, count: int) -> None:
        self.dequeues += 1
        owner = f"server/{self.dequeues}"
        (taken,) = self.run(self.broker.work.dequeue({"q": count}, owner=owner, lease_s=LEASE_S))
        assert isinstance(taken, DequeueResult)
        expected, self.queue = self.queue[:count], self.queue[count:]
        assert [lease.id for lease in taken.leases] == expected
        assert taken.empty == (len(expected) < count)
        for lease in taken.leases:
            assert lease.message.retried == self.tasks[lease.id].retried
            self._move(lease.id, "active")
            self.held[lease.id] = lease

    @precondition(lambda self: self.queue)
    @rule(verdict=verdicts)
    def work(self, verdict: str) -> None:
        self.dequeue(1)
        self.settle(len(self.held) - 1, verdict)

    @precondition(lambda self: self.held)
    @rule(pick=picks)
    def extend(self, pick: int) -> None:
        lease = _pick_one(list(self.held.values()), pick)
        assert self.run(self.broker.work.extend([lease], lease_s=LEASE_S)) == [True]

    # -- settling ----------------------------------------------------------------------------------

    @precondition(lambda self: self.held)
    @rule(pick=picks, verdict=verdicts)
    def settle(self, pick: int, verdict: str) -> None:
        lease = _pick_one(list(self.held.values()), pick)
        assert self.run(self.broker.work.settle([(lease, _verdict(verdict, lease))])) == [True]
        self._apply_verdict(lease, verdict)

    @precondition(lambda self: len(self.held) > 1)
    @rule(chosen=st.lists(verdicts, min_size=6, max_size=6))
    def settle_all(self, chosen: list[str]) -> None:
        pairs = list(zip(list(self.held.values()), chosen, strict=False))
        answers = self.run(
            self.broker.work.settle([(lease, _verdict(name, lease)) for lease, name in pairs])
        )
        assert answers == [True] * len(pairs)
        requeued = [lease.id for lease, name in pairs if name == "requeue"]
        for lease, name in pairs:
            self._apply_verdict(lease, name)
        # The order among the requeued tasks is not checked, only that they come before the others.
        count = len(requeued)
        in_redis = self._listed("pending")[:count]
        assert set(in_redis) == set(requeued)
        self.queue[:count] = in_redis

    def _apply_verdict(self, lease: Lease, verdict: str) -> None:
        del self.held[lease.id]
        self.lost.append(lease)
        known = self.tasks[lease.id]
        match verdict:
            case "done":
                self._release(lease.id)
                self._drop(lease.id)
            case "complete":
                self._release(lease.id)
                self._move(lease.id, "completed")
            case "retry":
                self._move(lease.id, "retry", retried=known.retried + 1)
            case "snooze":
                self._move(lease.id, "retry")
            case "archive":
                self._move(lease.id, "archived")
            case _:
                self._move(lease.id, "pending")
                self.queue.insert(0, lease.id)
        self.counters["processed"] += verdict not in {"snooze", "requeue"}
        self.counters["failed"] += verdict in {"retry", "archive"}

    @precondition(lambda self: self.lost)
    @rule(pick=picks, verdict=verdicts)
    def settle_a_lost_lease(self, pick: int, verdict: str) -> None:
        lease = _pick_one(self.lost, pick)
        answer = self.run(self.broker.work.settle([(lease, _verdict(verdict, lease))]))
        assert answer == [False]

    @precondition(lambda self: self.lost)
    @rule(pick=picks)
    def use_a_lost_lease(self, pick: int) -> None:
        lease = _pick_one(self.lost, pick)
        assert self.run(self.broker.work.extend([lease], lease_s=LEASE_S)) == [False]
        assert self.run(self.broker.work.write_result(lease, b"late")) is False

    # -- time, by other scores ---------------------------------------------------------------------

    @rule(source=st.sampled_from(["scheduled", "retry"]), count=some)
    def forward_what_is_due(self, source: str, count: int) -> None:
        due = sorted(self._scored(source))[:count]
        for number, task_id in enumerate(due):
            self.redis.zadd(f"{Q}{source}", {task_id: 1000 + number})
        forwarded = self.run(self.broker.upkeep.forward("q"))
        assert (forwarded.moved, forwarded.more) == (len(due), False)
        for task_id in due:
            if self.tasks[task_id].group:
                self._move(task_id, "aggregating")
            else:
                self._move(task_id, "pending")
                self.queue.append(task_id)

    @rule()
    def forward_nothing(self) -> None:
        assert self.run(self.broker.upkeep.forward("q")).moved == 0

    @precondition(lambda self: self.held)
    @rule(pick=picks, failed=st.booleans())
    def recover(self, pick: int, failed: bool) -> None:  # noqa: FBT001
        lease = _pick_one(list(self.held.values()), pick)
        self.redis.zadd(f"{Q}lease", {lease.id: int(time.time()) - 100})
        (listed,) = self.run(self.broker.upkeep.expired("q")).leases
        assert listed.id == lease.id
        verdict = "retry" if failed else "archive"
        answer = self.run(self.broker.work.settle([(listed, _verdict(verdict, listed))]))
        assert answer == [True]
        self._apply_verdict(lease, verdict)

    @precondition(lambda self: self.held)
    @rule(pick=picks)
    def repair(self, pick: int) -> None:
        lease = _pick_one(list(self.held.values()), pick)
        self.redis.zrem(f"{Q}lease", lease.id)
        (listed,) = self.run(self.broker.upkeep.expired("q")).leases
        assert self.run(self.broker.work.settle([(listed, REQUEUE)])) == [True]
        self._apply_verdict(lease, "requeue")

    @rule(count=some)
    def expire_completed(self, count: int) -> None:
        over = sorted(self._scored("completed"))[:count]
        for task_id in over:
            self.redis.zadd(f"{Q}completed", {task_id: 1})
        assert self.run(self.broker.upkeep.trim("q", limit=10)) == len(over)
        for task_id in over:
            self._drop(task_id)

    @rule(count=some)
    def trim_archived(self, count: int) -> None:
        old = sorted(self._scored("archived"))[:count]
        for task_id in old:
            self.redis.zadd(f"{Q}archived", {task_id: 1})
        assert self.run(self.broker.upkeep.trim("q", limit=10)) == len(old)
        for task_id in old:
            self._release(task_id)
            self._drop(task_id)

    # -- groups ------------------------------------------------------------------------------------

    @rule(count=some)
    def stage(self, count: int) -> None:
        waiting = list(self._scored("g:g"))
        rules = GroupRules(grace_s=10_000, max_size=count)
        group_set = self.run(self.broker.groups.stage("q", "g", rules))
        assert (group_set is not None) == (len(waiting) >= count)
        if group_set is not None:
            self.sets[group_set.id] = group_set, waiting[:count]

    @precondition(lambda self: self.sets)
    @rule(kind=kinds, unique=st.booleans())
    def combine(self, kind: str, unique: bool) -> None:  # noqa: FBT001
        set_id, (group_set, ids) = next(iter(self.sets.items()))
        self.combined += 1
        task_id = f"combined {self.combined}"
        lock = Lock(digest="0cc1", ttl_s=10_000) if unique else None
        answer = self.run(combine(self.broker, group_set, _plan(kind, task_id, lock)))
        if unique and self.lock and self.lock not in ids:
            assert isinstance(answer, DuplicateTaskError)
            return
        assert answer is None
        del self.sets[set_id]
        for part in ids:
            self._release(part)
            self._drop(part)
        self._add_created(task_id, kind, unique=unique)

    @precondition(lambda self: self.sets)
    @rule(stale=st.booleans())
    def unstage(self, stale: bool) -> None:  # noqa: FBT001
        _, (group_set, ids) = self.sets.popitem()
        if stale:
            self.redis.zadd(f"{Q}aggregation_sets", {f"{Q}g:g:{group_set.id}": 1})
            count = self.run(self.broker.groups.reclaim("q")).tasks
        else:
            count = self.run(self.broker.groups.unstage(group_set))
        assert count == len(ids)
        assert self.run(combine(self.broker, group_set, a_pending("late"))) == NotCreated()

    @precondition(lambda self: self.sets)
    @rule()
    def give_up(self) -> None:
        group_set, ids = self.sets.popitem()[1]
        found = self.run(self.broker.groups.read_set(group_set))
        assert found is not None
        assert [task.id for task in found] == ids
        assert self.run(self.broker.groups.archive(group_set, found)) == len(ids)
        for part in ids:
            self._move(part, "archived")
            self.tasks[part] = replace(self.tasks[part], group="")

    @rule()
    def find_groups(self) -> None:
        lost = bool(self._scored("g:g"))
        self.redis.delete(f"{Q}groups", f"{Q}group_search")
        assert self.run(self.broker.groups.reclaim("q")).groups == lost

    # -- by hand -----------------------------------------------------------------------------------

    @rule(action=actions, state=states, count=some, by_id=st.booleans())
    def act(self, action: Move, state: TaskState, count: int, by_id: bool) -> None:  # noqa: FBT001
        if state not in ALLOWED_STATES[action]:
            return
        waiting_in = Container(queue="q", state=state, group="g" if state == "aggregating" else "")
        container = _container_of(state)
        there = self._listed(container) if state == "pending" else list(self._scored(container))
        chosen = there[:count]
        which = chosen if by_id else count
        assert self.run(self.broker.inspection.apply(action, waiting_in, which)) == len(chosen)
        for task_id in chosen:
            self._apply_action(action, task_id)

    @rule(action=actions, state=states, task_id=ids)
    def act_on_a_task_that_is_elsewhere(self, action: Move, state: TaskState, task_id: str) -> None:
        waiting_in = Container(queue="q", state=state, group="g" if state == "aggregating" else "")
        known = self.tasks.get(task_id)
        if state in ALLOWED_STATES[action] and (known is None or known.state != state):
            assert self.run(self.broker.inspection.apply(action, waiting_in, [task_id])) == 0

    def _apply_action(self, action: Move, task_id: str) -> None:
        known = self.tasks[task_id]
        assert known.state in ALLOWED_STATES[action]
        if known.state == "pending":
            self.queue.remove(task_id)
        match action:
            case Action.RUN:
                self.tasks[task_id] = replace(known, state="pending", group="")
                self.queue.append(task_id)
            case Action.ARCHIVE:
                self.tasks[task_id] = replace(known, state="archived", group="")
            case _:
                self._release(task_id)
                del self.tasks[task_id]

    @rule()
    def forget_scripts(self) -> None:
        self.redis.script_flush()

    def _move(self, task_id: str, state: str, *, retried: int | None = None) -> None:
        known = self.tasks[task_id]
        assert TaskState(state) in MOVES[TaskState(known.state)]
        spent = known.retried if retried is None else retried
        self.tasks[task_id] = replace(known, state=state, retried=spent)

    def _drop(self, task_id: str) -> None:
        assert None in MOVES[TaskState(self.tasks.pop(task_id).state)]

    def _release(self, task_id: str) -> None:
        if self.lock == task_id:
            self.lock = None

    # -- always ------------------------------------------------------------------------------------

    @invariant()
    def every_task_is_in_the_one_place_its_state_names(self) -> None:
        places = [(task_id, name) for name in LISTS for task_id in self._listed(name)]
        places += [(task_id, _state_of(name)) for name in ZSETS for task_id in self._scored(name)]
        places += [
            (task_id, "aggregating")
            for set_id in self.sets
            for task_id in self._scored(f"g:g:{set_id}")
        ]
        assert sorted(places) == sorted((name, known.state) for name, known in self.tasks.items())

    @invariant()
    def every_hash_is_as_in_the_model(self) -> None:
        hashes = {
            key.decode().removeprefix(f"{Q}t:"): self._hash(key)
            for key in cast("list[bytes]", self.redis.keys(f"{Q}t:*"))
        }
        assert hashes == self.tasks

    @invariant()
    def pending_tasks_stand_in_their_order(self) -> None:
        assert self._listed("pending") == self.queue

    @invariant()
    def every_active_task_has_a_lease_and_no_other(self) -> None:
        assert self._scored("lease").keys() == set(self._listed("active")) == self.held.keys()

    @invariant()
    def every_score_is_a_whole_second(self) -> None:
        scores = [score for name in (*ZSETS, "lease") for score in self._scored(name).values()]
        assert scores == [int(score) for score in scores]

    @invariant()
    def the_right_task_holds_the_lock(self) -> None:
        assert self.redis.get(LOCK_KEY) == (self.lock.encode() if self.lock else None)

    @invariant()
    def counters_are_right(self) -> None:
        counted = {name: int(self._text(name) or 0) for name in ("processed", "failed")}
        assert counted == {name: self.counters[name] for name in counted}

    @invariant()
    def a_group_with_tasks_is_known(self) -> None:
        assert not self._scored("g:g") or self.redis.smembers(f"{Q}groups") == {b"g"}

    @invariant()
    def every_set_has_its_tasks_and_no_other_is_there(self) -> None:
        names = {f"g:g:{set_id}": ids for set_id, (_, ids) in self.sets.items()}
        assert self._scored("aggregation_sets").keys() == {f"{Q}{name}" for name in names}
        assert {name: list(self._scored(name)) for name in names} == names

    def _hash(self, key: bytes) -> TaskModel:
        fields = cast("dict[bytes, bytes]", self.redis.hgetall(key))
        message = TaskMessage.FromString(fields[b"msg"])
        state = fields[b"state"].decode()
        assert (b"owner" in fields) == (state == "active")
        assert (b"pending_since" in fields) == (state == "pending")
        assert bool(message.unique_key) == (b"unique_key" in fields)
        return TaskModel(
            state=state,
            group=fields.get(b"group", b"").decode(),
            locked=bool(message.unique_key),
            retried=message.retried,
        )

    def _listed(self, name: str) -> list[str]:
        found = cast("list[bytes]", self.redis.lrange(f"{Q}{name}", 0, -1))
        return [task_id.decode() for task_id in reversed(found)]

    def _scored(self, name: str) -> dict[str, float]:
        found = self.redis.zrange(f"{Q}{name}", 0, -1, withscores=True)
        pairs = cast("list[tuple[bytes, float]]", found)
        return {task_id.decode(): score for task_id, score in pairs}

    def _text(self, name: str) -> bytes | None:
        return cast("bytes | None", self.redis.get(f"{Q}{name}"))


def _plan(kind: str, task_id: str, lock: Lock | None) -> Plan:
    match kind:
        case "pending":
            return a_pending(task_id, lock=lock)
        case "grouped":
            return a_grouped(task_id, lock=lock)
        case "scheduled":
            return a_scheduled(task_id, lock=lock)
        case _:
            return a_scheduled(task_id, lock=lock, group_key="g")


def _verdict(name: str, lease: Lease) -> Verdict:
    made: dict[str, Verdict] = {
        "done": DONE,
        "complete": completed(lease),
        "retry": retried(lease),
        "snooze": retried(lease, failed=False),
        "archive": archived(lease),
        "requeue": REQUEUE,
    }
    return made[name]


def _pick_one(choices: list[Lease], pick: int) -> Lease:
    return choices[pick % len(choices)]


def _state_of(container: str) -> str:
    return CONTAINER_STATES.get(container, container)


def _container_of(state: str) -> str:
    return "g:g" if state == "aggregating" else state


def test_no_task_is_lost_and_none_is_in_two_places(redis_server: RedisServer) -> None:
    run_state_machine_as_test(
        cast("type[RuleBasedStateMachine]", lambda: QueueMachine(redis_server)),
        settings=settings(max_examples=25, stateful_step_count=40, deadline=None),
    )
