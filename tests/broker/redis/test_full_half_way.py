"""Redis gets full in the middle of an action: what it was about is done later, or is not there.

Each action is tried with a Redis that gets full before its first script call, its second, and so
on, and stays full until the action is over. If it has raised an error, it is repeated when there is
room. Then workers run what there is, and servers look after the rest.
"""

from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from typing import NamedTuple, TypeAlias

import pytest
from redis.asyncio import Redis

from pyasynq import Batch, Client, Clock, Flow, Inspector, Task
from pyasynq.broker import Lease
from pyasynq.broker.redis import RedisBroker, keys, pipeline
from pyasynq.broker.redis.connection import Driver
from pyasynq.broker.redis.scripts import Call
from pyasynq.core.batch_errors import BatchStateError
from pyasynq.core.errors import BrokerFullError
from pyasynq.core.flow_errors import FlowStateError
from pyasynq.core.report import place_of
from pyasynq.core.verdict import DONE, Verdict
from pyasynq.runtime.actor import OutageLog
from pyasynq.server.upkeep import flow_recoverer
from pyasynq.server.upkeep.flow_recoverer import FlowRecoverer
from tests.broker.redis.every_call import replace_runs
from tests.broker.redis.stored_keys import scored
from tests.support.factories import settle, take
from tests.support.flows import deliver_all, ending

QUEUES = "qr"

Act: TypeAlias = Callable[["World"], Awaitable[object]]


class World:
    """A broker with clients, workers and servers, and a Redis that gets full."""

    def __init__(self, broker: RedisBroker, r: Redis) -> None:
        self.broker = broker
        self.client = Client(broker)
        self.inspector = Inspector(broker)
        self.flow_id = self.batch_id = ""
        self.ran: list[str] = []
        self._r = r
        self._run_call = pipeline.run
        self._calls_left: int | None = None

    async def run(self, driver: Driver, call: Call) -> object:
        """Run *call*, in place of `pipeline.run`."""
        if self._calls_left is not None:
            if self._calls_left == 0:
                await self._r.config_set("maxmemory", "1")
            self._calls_left -= 1
        return await self._run_call(driver, call)

    async def try_in_full(self, act: Act, call: int) -> bool:
        """Act while Redis gets full before its script call number *call*; repeat it if it fails.

        Return whether it has that many calls.
        """
        self._calls_left = call
        is_refused = False
        try:
            await act(self)
        except BrokerFullError:
            is_refused = True
        is_full = self._calls_left < 0
        self._calls_left = None
        await self._r.config_set("maxmemory", "0")
        if is_refused:
            with suppress(FlowStateError, BatchStateError):  # it was done nevertheless
                await act(self)
        return is_full

    async def take(self, queue: str) -> Sequence[Lease]:
        return await take(self.broker, 9, queue=queue)

    async def end(self, lease: Lease, mark: str = "s") -> None:
        """End a task; one of a cancelled batch is dropped, as a worker does."""
        place = place_of(lease.message)
        verdict: Verdict = DONE
        if place is not None:
            is_batch = place.kind == "batch"
            dropped = is_batch and await self.broker.batches.is_cancelled(place.queue, place.id)
            verdict = ending(lease, "x" if dropped else mark)
        assert await settle(self.broker, lease, verdict) is True
        self.ran += [lease.id] if mark == "s" else []

    async def fail_all(self) -> None:
        """End all tasks that there are with a failure."""
        for queue in QUEUES:
            for lease in await self.take(queue):
                await self.end(lease, "f")
        await deliver_all(self.broker, QUEUES)

    async def go_on(self) -> None:
        """Let workers and servers do what there is to do."""
        recoverer = FlowRecoverer(self.broker, "q", clock=Clock(), outages=OutageLog("the broker"))
        for _ in range(6):
            for queue in QUEUES:
                mail = await scored(self._r, keys.mail(queue))
                if mail:  # nobody else has it any more
                    await self._r.zadd(keys.mail(queue), dict.fromkeys(mail, 0))
                await self.broker.batches.repair(queue, idle_s=-1, swept_s=-1)
            await deliver_all(self.broker, QUEUES)
            for queue in QUEUES:
                for lease in await self.take(queue):
                    await self.end(lease)
            await recoverer.step()

    async def left(self) -> int:
        """Return the number of tasks and letters that wait, and of batches that are half done."""
        infos = [await self.broker.inspection.queue_info(it, memory=False) for it in QUEUES]
        tasks = sum(it.pending + it.active + it.scheduled + it.retry for it in infos)
        staged = [await self._r.keys(f"asynq:{{{queue}}}:batch_staged*") for queue in QUEUES]
        return tasks + sum(map(len, staged)) + await self._r.zcard(keys.mail("q"))


# -- actions ---------------------------------------------------------------------------------------


def a_flow() -> Flow:
    flow = Flow("import", queue="q", id="f")
    first = flow.add(Task("t", queue="q"), name="first")
    flow.map([Task("t", queue="r")] * 3, after=first, name="map")
    flow.add(Task("t", queue="r"), after=first, name="other")
    flow.add(Task("t", queue="q"), after=flow.all, name="last")
    return flow


async def enqueue_flow(world: World) -> None:
    await world.client.enqueue_flow(a_flow())


async def begin_flow(world: World) -> None:
    """Enqueue a flow, and take it to where its map runs."""
    await world.client.enqueue_flow(a_flow())
    (first,) = await world.take("q")
    await world.end(first)
    await deliver_all(world.broker, QUEUES)


async def fail_flow(world: World) -> None:
    await begin_flow(world)
    await world.fail_all()


async def retry_flow(world: World) -> None:
    await world.inspector.retry_flow("q", "f")


async def cancel_flow(world: World) -> None:
    await world.inspector.cancel_flow("q", "f")


async def skip_map(world: World) -> None:
    await world.inspector.skip_step("q", "f", "map")


async def enqueue_batch(world: World) -> None:
    members = [Task("t", queue="q")] * 3
    then, failed = Task("then", queue="r"), Task("failed", queue="q")
    info = await world.client.enqueue_batch(Batch(members, then=then, failed=failed))
    world.batch_id = info.id


async def fail_batch(world: World) -> None:
    await enqueue_batch(world)
    await world.fail_all()
    await world.go_on()


async def retry_batch(world: World) -> None:
    await world.inspector.retry_batch("q", world.batch_id)


async def cancel_batch(world: World) -> None:
    await world.inspector.cancel_batch("q", world.batch_id)


async def enqueue_all(world: World) -> None:
    await world.client.enqueue_all([Task("t", queue=queue) for queue in "qrqr"])


async def nothing(_: World) -> None:
    pass


# -- how each must end -----------------------------------------------------------------------------


async def flow_has_succeeded(world: World) -> bool:
    return (await world.inspector.flow("q", "f")).state == "succeeded"


async def flow_is_cancelled(world: World) -> bool:
    info = await world.inspector.flow("q", "f")
    return info.state == "cancelled" and not {"waiting", "running"} & {*info.counts}


async def batch_has_succeeded(world: World) -> bool:
    info = await world.inspector.batch("q", world.batch_id)
    return (info.state, info.ended) == ("succeeded", 3) and await followers(world) == {"then": 1}


async def batch_has_succeeded_at_last(world: World) -> bool:
    info = await world.inspector.batch("q", world.batch_id)
    counts = {"failed": 1, "then:1": 1}
    return (info.state, info.ended) == ("succeeded", 3) and await followers(world) == counts


async def batch_is_cancelled(world: World) -> bool:
    info = await world.inspector.batch("q", world.batch_id)
    return (info.state, info.ended) == ("cancelled", 3) and await followers(world) == {}


async def followers(world: World) -> Mapping[str, int]:
    """Return how often each task that follows a batch has run, by the end of its id."""
    ends = [task_id.partition(":")[2] for task_id in world.ran]
    return Counter(end for end in ends if not end.isdigit())


async def four_have_run(world: World) -> bool:
    return len(world.ran) == 4


class Story(NamedTuple):
    """What comes before, the action, and how it must end."""

    begin: Act
    act: Act
    is_right: Callable[[World], Awaitable[bool]]


STORIES = [
    Story(nothing, enqueue_flow, flow_has_succeeded),
    Story(fail_flow, retry_flow, flow_has_succeeded),
    Story(begin_flow, cancel_flow, flow_is_cancelled),
    Story(begin_flow, skip_map, flow_has_succeeded),
    Story(nothing, enqueue_batch, batch_has_succeeded),
    Story(fail_batch, retry_batch, batch_has_succeeded_at_last),
    Story(enqueue_batch, cancel_batch, batch_is_cancelled),
    Story(nothing, enqueue_all, four_have_run),
]


class Ending(NamedTuple):
    """How a story has ended."""

    is_right: bool
    twice: Sequence[str]
    left: int


async def tell(story: Story, world: World, call: int) -> Ending | None:
    """Tell a story in which Redis gets full before a call of the action; None if it has fewer."""
    await story.begin(world)
    if not await world.try_in_full(story.act, call):
        return None
    await world.go_on()
    twice = [task_id for task_id, count in Counter(world.ran).items() if count > 1]
    return Ending(await story.is_right(world), twice, await world.left())


async def tell_all(
    story: Story, broker: RedisBroker, r: Redis, monkeypatch: pytest.MonkeyPatch
) -> list[Ending]:
    """Tell a story once for each call of its action."""
    endings: list[Ending] = []
    while True:
        with monkeypatch.context() as patch:
            world = World(broker, r)
            replace_runs(patch, world.run)
            ending = await tell(story, world, len(endings))
        await r.flushall()
        if ending is None:
            return endings
        endings.append(ending)


@pytest.mark.parametrize("story", STORIES, ids=lambda story: story.act.__name__)
async def test_an_action_in_which_redis_gets_full_is_done_later_or_not_begun(
    broker: RedisBroker, r: Redis, monkeypatch: pytest.MonkeyPatch, story: Story
) -> None:
    monkeypatch.setattr(flow_recoverer, "FLOW_IDLE_S", -1)
    endings = await tell_all(story, broker, r, monkeypatch)
    assert len(endings) > 2
    assert endings == [Ending(is_right=True, twice=[], left=0)] * len(endings)
