"""After a failover the name leads to another server, while old connections stay open."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack, closing
from typing import cast

import pytest
from redis.asyncio import BlockingConnectionPool, Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from pyasynq import BrokerReadOnlyError, Client, Inspector, QueueNotPausedError, Server, Task
from pyasynq.broker.redis import RedisBroker, connect, pipeline
from pyasynq.broker.redis.scripts import Script
from pyasynq.core.errors import BrokerError
from pyasynq.core.verdict import DONE, REQUEUE, Verdict
from tests.broker.redis.stored_keys import SCRIPTS
from tests.server.handlers import Handler
from tests.support.factories import a_pending, a_scheduled, create, enqueue, take
from tests.support.proxy import Proxy
from tests.support.servers import RedisServer, free_port
from tests.support.waiting import wait_until

_READS = ("queue_stats", "memory_usage", "list_tasks", "find_errors", "find_staged", "get_task")
READS = {
    *(f"inspection/{name}" for name in _READS),
    "batches/read_batches",
    "groups/group_sizes",
    "diagnosis/probe",
    "mail/read_mail",
    "registry/read_workers",
    "schedules/read_entries",
}
"""Scripts that only read, for people; a replica may run them."""

WITHOUT_FILES = {"repl_diskless_sync": "yes", "repl_diskless_sync_delay": "0"}
"""Options of a primary: replicate at once, without a child process that outlives the server."""

WRITERS = [script for script in SCRIPTS if script.name not in READS]


class Pair:
    """Two servers, and a name that leads to the primary."""

    def __init__(self, a: RedisServer, b: RedisServer, proxy: Proxy) -> None:
        self.a, self.b = a, b
        self.proxy = proxy

    @property
    def url(self) -> str:
        return self.proxy.url

    def promote_b(self) -> None:
        """Make b the primary: the name leads new connections to b, and a replicates b."""
        self.proxy.lead(self.b.port)
        self.demote_a()

    def demote_a(self) -> None:
        """Make a replicate b, while the name still leads to a."""
        with closing(self.a.client()) as client:
            client.replicaof("127.0.0.1", str(self.b.port))


@pytest.fixture(scope="module")
def servers() -> Iterator[tuple[RedisServer, RedisServer]]:
    with ExitStack() as stack:
        a, b = (
            stack.enter_context(RedisServer(port=free_port(), **WITHOUT_FILES)) for _ in range(2)
        )
        yield a, b


@pytest.fixture
async def pair(servers: tuple[RedisServer, RedisServer]) -> AsyncIterator[Pair]:
    for server in servers:
        with closing(server.client()) as client:
            client.replicaof("no", "one")
            client.flushall()
    async with Proxy(servers[0].port) as proxy:
        yield Pair(*servers, proxy)


@pytest.fixture
async def broker(pair: Pair) -> AsyncIterator[RedisBroker]:
    """Yield a broker that has several idle connections to a."""
    broker = connect(pair.url)
    await asyncio.gather(*(broker.ping() for _ in range(5)))
    yield broker
    await broker.aclose()


# -- connections -----------------------------------------------------------------------------------


async def test_after_one_refusal_every_call_reaches_the_new_primary(
    pair: Pair, broker: RedisBroker
) -> None:
    pair.promote_b()
    with pytest.raises(BrokerReadOnlyError):
        await broker.ping()
    await asyncio.gather(*(broker.ping() for _ in range(5)))


async def test_a_refused_script_leads_to_the_new_primary(pair: Pair, broker: RedisBroker) -> None:
    pair.promote_b()
    (refused,) = await create(broker, [a_pending()])
    assert isinstance(refused, BrokerReadOnlyError)
    await enqueue(broker, a_pending())


async def test_a_refused_pipeline_leads_to_the_new_primary(pair: Pair, broker: RedisBroker) -> None:
    plans = [a_pending("1"), a_scheduled("2")]
    await enqueue(broker, a_pending("3"), a_scheduled("4"))
    pair.promote_b()
    refused = await create(broker, plans)
    assert [type(one) for one in refused] == [BrokerReadOnlyError] * 2
    await enqueue(broker, *plans)


async def test_a_blocked_call_is_reported_and_leads_to_the_new_primary(
    pair: Pair, broker: RedisBroker
) -> None:
    waiting = asyncio.ensure_future(broker.work.wait("q"))
    await wait_until(lambda: pair.proxy.count(b"BLMOVE") == 1)
    pair.promote_b()
    with pytest.raises(BrokerError):
        await waiting
    await broker.ping()


async def test_a_connection_that_was_in_use_is_closed_when_it_is_given_back(
    pair: Pair, broker: RedisBroker
) -> None:
    waiting = asyncio.ensure_future(broker.work.wait("q"))
    await wait_until(lambda: pair.proxy.count(b"BLMOVE") == 1)
    pair.promote_b()
    with pytest.raises(BrokerReadOnlyError):
        await broker.ping()
    await asyncio.gather(waiting, return_exceptions=True)
    await wait_until(lambda: pair.proxy.count() == 0)


async def test_a_client_of_ones_own_reaches_the_new_primary(pair: Pair) -> None:
    pool = BlockingConnectionPool.from_url(pair.url, retry=Retry(NoBackoff(), 0))
    async with Redis.from_pool(pool) as redis, Client(redis) as client:
        await client.ping()
        pair.promote_b()
        with pytest.raises(BrokerReadOnlyError):
            await client.enqueue(Task("t"))
        await client.enqueue(Task("t"))


async def test_a_cancelation_is_not_sent_to_a_replica_alone(
    pair: Pair, broker: RedisBroker
) -> None:
    pair.promote_b()
    with pytest.raises(BrokerReadOnlyError):
        await broker.registry.cancel("1")


# -- scripts ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("script", WRITERS, ids=lambda script: script.name)
async def test_a_replica_refuses_to_say_that_there_is_nothing_to_do(
    script: Script, pair: Pair, broker: RedisBroker
) -> None:
    pair.demote_a()
    names = dict.fromkeys(script.args, "1")
    names |= {name: "asynq:{q}:x:" for name in script.args if name.endswith("prefix")}
    names |= {name: f"asynq:{{q}}:{name}" for name in script.keys}
    call = script([1] * len(script.each), **names)
    with pytest.raises(BrokerReadOnlyError):
        await pipeline.run(cast("Redis", broker._driver), call)


async def test_a_replica_refuses_to_say_that_an_id_is_taken(
    pair: Pair, broker: RedisBroker
) -> None:
    await enqueue(broker, a_pending())
    pair.demote_a()
    (refused,) = await create(broker, [a_pending()])
    assert isinstance(refused, BrokerReadOnlyError)


async def test_a_replica_refuses_to_say_that_a_queue_is_paused(
    pair: Pair, broker: RedisBroker
) -> None:
    await broker.inspection.pause("q", paused=True)
    pair.demote_a()
    (result,) = await broker.work.dequeue({"q": 1}, owner="server/1", lease_s=30)
    assert isinstance(result.error, BrokerReadOnlyError)


@pytest.mark.parametrize("verdict", [DONE, REQUEUE])
async def test_a_replica_refuses_to_say_that_a_lease_is_lost(
    verdict: Verdict, pair: Pair, broker: RedisBroker
) -> None:
    await enqueue(broker, a_pending())
    (lease,) = await take(broker)
    lease.owner = "another/1"
    pair.demote_a()
    (answer,) = await broker.work.settle([(lease, verdict)])
    assert isinstance(answer, BrokerReadOnlyError)


# -- clients and servers ---------------------------------------------------------------------------


async def test_a_server_whose_primary_was_demoted_runs_every_task_once(pair: Pair) -> None:
    with closing(pair.b.client()) as b:
        b.replicaof("127.0.0.1", str(pair.a.port))
        await wait_until(lambda: b.info("replication")["master_link_status"] == "up")
        handler = Handler(hold=True)
        async with Client(pair.url) as client:
            await client.enqueue_many([Task("t") for _ in range(10)])
            async with Server(pair.url, concurrency=10).running(handler):
                await wait_until(lambda: handler.running == 10)
                await wait_until(lambda: b.llen("asynq:{default}:active") == 10)
                b.replicaof("no", "one")
                pair.promote_b()
                handler.release()
                await wait_until(lambda: b.get("asynq:{default}:processed") == b"10")
        assert len(handler.tasks) == 10


async def test_a_server_that_is_led_to_a_replica_is_not_well(pair: Pair) -> None:
    server = Server(pair.url)
    async with server.running(Handler()):
        pair.demote_a()
        with pytest.raises(BrokerReadOnlyError):
            await server.ping()
        with pytest.raises(BrokerReadOnlyError):
            await server.ping()


async def test_a_client_that_waits_for_a_result_follows_the_name(
    pair: Pair, broker: RedisBroker
) -> None:
    await enqueue(broker, a_pending())
    waiting = asyncio.ensure_future(broker.results.wait("q", "1", longest_s=0.1))
    await wait_until(lambda: pair.proxy.count(b"BLPOP") == 1)
    pair.promote_b()
    await waiting
    assert await broker.results.wait("q", "1", longest_s=0.1) is None


async def test_an_inspector_follows_the_name(pair: Pair) -> None:
    async with Inspector(pair.url) as inspector:
        with closing(pair.a.client()) as a:
            a.set("asynq:{default}:paused", 1)
        await inspector.queues()
        pair.promote_b()
        with pytest.raises(BrokerReadOnlyError):
            await inspector.unpause("default")
        with pytest.raises(QueueNotPausedError):
            await inspector.unpause("default")
