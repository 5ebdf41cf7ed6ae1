"""In any order of moves, no task is lost, none is in two containers, and counters are right.

Hypothesis moves tasks at random in a broker and, by the same rules, in a dict. After every move,
the broker must hold the same as the dict.
"""

import asyncio
from collections import Counter
from collections.abc import Awaitable
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, TypeVar

import msgspec
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
    Broker,
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
from pyasynq.core.states import ALLOWED_STATES, MOVES, Action, TaskState
from pyasynq.core.verdict import DONE, REQUEUE, Verdict
from tests.broker.machine_views import LOCK, MachineView, RedisView, SqliteView, TaskModel
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

ids = st.sampled_from("abcdef")
kinds = st.sampled_from(["pending", "scheduled", "grouped", "scheduled in group"])
groups = {"grouped": "g", "scheduled in group": "g"}
verdicts = st.sampled_from(["done", "complete", "retry", "snooze", "archive", "requeue"])
endings = st.sampled_from(["done", "complete", "archive"])
actions = st.sampled_from([Action.RUN, Action.ARCHIVE, Action.DELETE])
states = st.sampled_from(TaskState)
some = st.integers(1, 4)
picks = st.integers(0, 10)


class QueueMachine(RuleBasedStateMachine):
    """A broker, and a dict of what it must hold."""

    broker: Broker
    view: MachineView

    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.loop = self.runner.get_loop()
        self.tasks: dict[str, TaskModel] = {}
        self.queue: list[str] = []  # the next to run first
        self.held: dict[str, Lease] = {}
        self.lost: list[Lease] = []
        self.sets: dict[str, tuple[AggregationSet, list[str]]] = {}
        self.combined = 0
        self.lock: str | None = None
        self.counters: Counter[str] = Counter()
        self.dequeues = 0

    def run(self, call: Awaitable[T]) -> T:
        # The runner would handle and restore SIGINT around each of the many calls.
        return self.loop.run_until_complete(call)

    def teardown(self) -> None:
        self.run(self.broker.aclose())
        self.run(self.view.aclose())
        self.runner.close()

    def put_last(self, task_id: str) -> None:
        """Put a task behind all others that are pending."""
        self.queue.append(task_id)

    def put_back(self, task_id: str) -> None:
        """Put a requeued task where the broker puts it."""
        self.queue.insert(0, task_id)

    def learn_order(self, requeued: list[str]) -> None:
        """Take over the order of tasks that were requeued in one call; each may be the first."""
        count = len(requeued)
        stored = self.run(self.view.places())[TaskState.PENDING][:count]
        assert set(stored) == set(requeued)
        self.queue[:count] = stored

    # -- bringing in -------------------------------------------------------------------------------

    @initialize(tasks=st.lists(st.tuples(ids, kinds, st.booleans()), min_size=2, max_size=6))
    def enqueue_some(self, tasks: list[tuple[str, str, bool]]) -> None:
        for task_id, kind, unique in tasks:
            self.enqueue(task_id, kind, unique)

    @rule(task_id=ids, kind=kinds, unique=st.booleans())
    def enqueue(self, task_id: str, kind: str, unique: bool) -> None:  # noqa: FBT001
        lock = Lock(digest=LOCK, ttl_s=10_000) if unique else None
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
            self.put_last(task_id)

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
        for lease, name in pairs:
            self._apply_verdict(lease, name)
        self.learn_order([lease.id for lease, name in pairs if name == "requeue"])

    @precondition(lambda self: self.held)
    @rule(pick=picks, verdict=endings, task_id=ids, kind=kinds, unique=st.booleans())
    def settle_followed(
        self,
        pick: int,
        verdict: str,
        task_id: str,
        kind: str,
        unique: bool,  # noqa: FBT001
    ) -> None:
        lease = _pick_one(list(self.held.values()), pick)
        lock = Lock(digest=LOCK, ttl_s=10_000) if unique else None
        plans = (_plan(kind, task_id, lock),)
        followed = msgspec.structs.replace(_verdict(verdict, lease), then=plans)
        assert self.run(self.broker.work.settle([(lease, followed)])) == [True]
        self._apply_verdict(lease, verdict)
        if task_id not in self.tasks and not (unique and self.lock):
            self._add_created(task_id, kind, unique=unique)

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
                self.put_back(lease.id)
        self.counters["processed"] += verdict not in {"snooze", "requeue"}
        self.counters["failed"] += verdict in {"retry", "archive"}

    @precondition(lambda self: self.lost)
    @rule(pick=picks, verdict=verdicts)
    def settle_a_lost_lease(self, pick: int, verdict: str) -> None:
        lease = self._pick_lost(pick)
        answer = self.run(self.broker.work.settle([(lease, _verdict(verdict, lease))]))
        assert answer == [False]

    @precondition(lambda self: self.lost)
    @rule(pick=picks)
    def use_a_lost_lease(self, pick: int) -> None:
        lease = self._pick_lost(pick)
        assert self.run(self.broker.work.extend([lease], lease_s=LEASE_S)) == [False]
        assert self.run(self.broker.work.write_result(lease, b"late")) is False

    def _pick_lost(self, pick: int) -> Lease:
        """Choose a lost lease, of a task that somebody holds again if there is one."""
        again = [lease for lease in self.lost if lease.id in self.held]
        return _pick_one(again or self.lost, pick)

    # -- time, by other instants -------------------------------------------------------------------

    @rule(source=st.sampled_from(["scheduled", "retry"]), count=some)
    def forward_what_is_due(self, source: str, count: int) -> None:
        due = self._make_due(source, count)
        forwarded = self.run(self.broker.upkeep.forward("q"))
        assert (forwarded.moved, forwarded.more) == (len(due), False)
        for task_id in due:
            if self.tasks[task_id].group:
                self._move(task_id, "aggregating")
            else:
                self._move(task_id, "pending")
                self.put_last(task_id)

    @rule()
    def forward_nothing(self) -> None:
        assert self.run(self.broker.upkeep.forward("q")).moved == 0

    @precondition(lambda self: self.held)
    @rule(pick=picks, failed=st.booleans())
    def recover(self, pick: int, failed: bool) -> None:  # noqa: FBT001
        lease = _pick_one(list(self.held.values()), pick)
        self.run(self.view.queue.end_lease(lease.id))
        (listed,) = self.run(self.broker.upkeep.expired("q")).leases
        assert listed.id == lease.id
        verdict = "retry" if failed else "archive"
        answer = self.run(self.broker.work.settle([(listed, _verdict(verdict, listed))]))
        assert answer == [True]
        self._apply_verdict(lease, verdict)

    @rule(count=some)
    def expire_completed(self, count: int) -> None:
        over = self._make_due("completed", count)
        assert self.run(self.broker.upkeep.trim("q", limit=10)) == len(over)
        for task_id in over:
            self._drop(task_id)

    @rule(count=some)
    def trim_archived(self, count: int) -> None:
        old = self._make_due("archived", count)
        assert self.run(self.broker.upkeep.trim("q", limit=10)) == len(old)
        for task_id in old:
            self._release(task_id)
            self._drop(task_id)

    def _make_due(self, state: str, count: int) -> list[str]:
        due = sorted(self.run(self.view.queue.ids(state)))[:count]
        self.run(self.view.queue.make_due(*due))
        return due

    # -- groups ------------------------------------------------------------------------------------

    @rule(count=some)
    def stage(self, count: int) -> None:
        waiting = self.run(self.view.queue.members("g"))
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
        lock = Lock(digest=LOCK, ttl_s=10_000) if unique else None
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
            self.run(self.view.expire_set(group_set))
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

    # -- by hand -----------------------------------------------------------------------------------

    @rule(action=actions, state=states, count=some, by_id=st.booleans())
    def act(self, action: Move, state: TaskState, count: int, by_id: bool) -> None:  # noqa: FBT001
        if state not in ALLOWED_STATES[action]:
            return
        waiting_in = Container(queue="q", state=state, group="g" if state == "aggregating" else "")
        chosen = self.run(self.view.places())[state][:count]
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
                self.put_last(task_id)
            case Action.ARCHIVE:
                self.tasks[task_id] = replace(known, state="archived", group="")
            case _:
                self._release(task_id)
                del self.tasks[task_id]

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
        stored, sets = self.run(self.view.places()), self.run(self.view.sets())
        places = [(task_id, state.value) for state, ids in stored.items() for task_id in ids]
        places += [(task_id, "aggregating") for ids in sets.values() for task_id in ids]
        assert sorted(places) == sorted((name, known.state) for name, known in self.tasks.items())
        # Pending tasks stand in their order, and just the active ones have leases.
        assert stored[TaskState.PENDING] == self.queue
        assert set(stored[TaskState.ACTIVE]) == self.held.keys()
        assert set(self.run(self.view.queue.leased_ids())) == self.held.keys()

    @invariant()
    def every_task_is_as_in_the_model(self) -> None:
        assert self.run(self.view.tasks()) == self.tasks

    @invariant()
    def the_right_task_holds_the_lock(self) -> None:
        assert self.run(self.view.lock_holder()) == self.lock

    @invariant()
    def counters_are_right(self) -> None:
        counted = {name: self.run(self.view.queue.count(name)) for name in ("processed", "failed")}
        assert counted == {name: self.counters[name] for name in counted}

    @invariant()
    def every_set_has_its_tasks_and_no_other_is_there(self) -> None:
        expected = {set_id: ids for set_id, (_, ids) in self.sets.items()}
        assert self.run(self.view.sets()) == expected

    @invariant()
    def everything_has_its_form(self) -> None:
        self.run(self.view.check())


class RedisMachine(QueueMachine):
    """Redis, which forgets scripts, and whose leases and groups can be lost."""

    def __init__(self, server: RedisServer) -> None:
        super().__init__()
        self.broker = open_broker(server.url)
        self.view = self.redis = RedisView(server.url)
        self.run(self.redis.flush())

    def teardown(self) -> None:
        self.run(self.redis.flush())
        super().teardown()

    @precondition(lambda self: self.held)
    @rule(pick=picks)
    def repair(self, pick: int) -> None:
        lease = _pick_one(list(self.held.values()), pick)
        self.run(self.view.queue.lose_lease(lease.id))
        (listed,) = self.run(self.broker.upkeep.expired("q")).leases
        assert self.run(self.broker.work.settle([(listed, REQUEUE)])) == [True]
        self._apply_verdict(lease, "requeue")

    @rule()
    def find_groups(self) -> None:
        lost = bool(self.run(self.view.places())[TaskState.AGGREGATING])
        self.run(self.redis.forget_groups())
        assert self.run(self.broker.groups.reclaim("q")).groups == lost

    @rule()
    def forget_scripts(self) -> None:
        self.run(self.redis.forget_scripts())


class SqliteMachine(QueueMachine):
    """A file, which is opened again now and then."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = TemporaryDirectory()
        path = Path(self.folder.name) / "tasks.db"
        self.broker = open_broker(f"sqlite:///{path}")
        self.run(self.broker.ping())
        self.view = SqliteView(path)
        self.places: dict[str, int] = {}
        self.last_place = 0

    def teardown(self) -> None:
        super().teardown()
        self.folder.cleanup()

    def put_last(self, task_id: str) -> None:
        super().put_last(task_id)
        self.last_place += 1
        self.places[task_id] = self.last_place

    def put_back(self, task_id: str) -> None:
        """A requeued task has the place that it had before it was taken."""
        self.queue = sorted([task_id, *self.queue], key=self.places.__getitem__)

    def learn_order(self, requeued: list[str]) -> None:
        """Learn nothing: their places tell the order."""

    @rule()
    def open_again(self) -> None:
        self.run(self.broker.aclose())


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


def _run_machine(make: Any) -> None:  # noqa: ANN401 - Hypothesis asks for a class
    run_state_machine_as_test(
        make, settings=settings(max_examples=25, stateful_step_count=40, deadline=None)
    )


def test_in_redis_no_task_is_lost_and_none_is_in_two_places(redis_server: RedisServer) -> None:
    _run_machine(lambda: RedisMachine(redis_server))


def test_in_a_file_no_task_is_lost_and_none_is_in_two_places() -> None:
    _run_machine(SqliteMachine)
