"""Mail is delivered once, however often it is sent, and waits while it cannot be delivered."""

import logging
from collections.abc import AsyncIterator
from contextlib import closing
from typing import Any, cast

import msgspec
import pytest
from redis.asyncio import Redis

from pyasynq.broker import RemoveResult
from pyasynq.broker.redis import RedisBroker, connect, keys
from pyasynq.broker.redis.connection import execute
from pyasynq.core.compose import Plan
from pyasynq.core.errors import BrokerError, BrokerFullError
from pyasynq.core.policy import MAX_TASKS
from pyasynq.core.states import TaskState
from pyasynq.core.verdict import DONE, Verdict
from tests.broker.redis.stored_keys import GROUP, PENDING, SCHEDULED, scored
from tests.support.factories import (
    FUTURE_S,
    LOCK,
    a_grouped,
    a_lease,
    a_pending,
    a_scheduled,
    enqueue,
    ids,
    many_pending,
    settle,
    take,
)
from tests.support.servers import RedisCluster

MAIL = keys.mail("q")
BODIES = keys.mail_bodies("q")
PENDING_R = keys.container("r", TaskState.PENDING)


def followed(*plans: Plan, verdict: Verdict = DONE) -> Verdict:
    return msgspec.structs.replace(verdict, then=plans)


async def post(broker: RedisBroker, *plans: Plan) -> None:
    """End a task of the queue ``q`` that *plans* follow."""
    lease = await a_lease(broker, a_pending("ended"))
    assert await settle(broker, lease, followed(*plans)) is True


async def make_due(r: Redis) -> None:
    """Let the time pass for which nobody else sends letters that were taken."""
    await r.zadd(MAIL, dict.fromkeys(await scored(r, MAIL), 0))


async def test_a_letter_is_deleted_when_it_was_delivered(broker: RedisBroker, r: Redis) -> None:
    await post(broker, a_pending("1", queue="r"))
    delivery = await broker.mail.deliver("q")
    assert (delivery.delivered, delivery.more) == (1, False)
    assert await r.exists(MAIL, BODIES) == 0
    assert ids(await take(broker, queue="r")) == ["1"]


async def test_a_letter_that_was_taken_is_not_taken_again_at_once(
    broker: RedisBroker, r: Redis
) -> None:
    await post(broker, a_pending("1", queue="r"))
    await r.set(PENDING_R, "wrong type")
    await broker.mail.deliver("q")
    await r.delete(PENDING_R)
    assert (await broker.mail.deliver("q")).delivered == 0
    await make_due(r)
    assert (await broker.mail.deliver("q")).delivered == 1


async def test_a_letter_that_is_sent_again_creates_no_second_task(
    broker: RedisBroker, r: Redis
) -> None:
    await post(broker, a_pending("1", queue="r"))
    letters, bodies = await scored(r, MAIL), await r.dump(BODIES)
    await broker.mail.deliver("q")
    (lease,) = await take(broker, queue="r")
    await settle(broker, lease, DONE)
    await r.zadd(MAIL, letters)  # as if the first courier had died before it deleted them
    await r.restore(BODIES, 0, cast("bytes", bodies))
    assert (await broker.mail.deliver("q")).delivered == 1
    assert await take(broker, queue="r") == []
    assert await r.exists(MAIL, BODIES) == 0


async def test_the_receipt_lasts_until_the_letter_is_deleted(broker: RedisBroker, r: Redis) -> None:
    await post(broker, a_pending("1", queue="r"))
    (letter,) = await scored(r, MAIL)
    await broker.mail.deliver("q")
    assert 0 < await r.ttl(keys.receipt("r", letter)) <= 600


async def test_more_letters_than_one_batch_are_due_at_once(broker: RedisBroker) -> None:
    await enqueue(broker, *many_pending(2))
    for lease in await take(broker, 2):
        plans = [a_pending(f"{lease.id}/{n}", queue="r") for n in range(MAX_TASKS)]
        assert await settle(broker, lease, followed(*plans)) is True
    first, second, third = [await broker.mail.deliver("q") for _ in range(3)]
    assert (first.delivered, first.more) == (MAX_TASKS, True)
    assert (second.delivered, second.more) == (MAX_TASKS, False)
    assert third.delivered == 0


async def test_a_queue_that_takes_no_letter_stops_no_other(broker: RedisBroker, r: Redis) -> None:
    await post(broker, a_pending("1", queue="r"), a_pending("2", queue="s"))
    await r.set(PENDING_R, "wrong type")
    delivery = await broker.mail.deliver("q")
    assert (delivery.delivered, type(delivery.error)) == (1, BrokerError)
    assert ids(await take(broker, queue="s")) == ["2"]
    await r.delete(PENDING_R)
    await make_due(r)
    await broker.mail.deliver("q")
    assert ids(await take(broker, queue="r")) == ["1"]


@pytest.mark.parametrize(
    ("plan", "key"),
    [
        (a_pending("2"), PENDING),
        (a_scheduled("2", at_s=FUTURE_S), SCHEDULED),
        (a_grouped("2"), GROUP),
    ],
    ids=["pending", "scheduled", "group"],
)
async def test_a_follower_in_the_same_queue_waits_as_mail_while_a_key_has_a_wrong_type(
    plan: Plan, key: str, broker: RedisBroker, r: Redis
) -> None:
    lease = await a_lease(broker, a_pending("ended"))
    await r.delete(key)
    await r.set(key, "wrong type")
    assert await settle(broker, lease, followed(plan)) is True
    (letter,) = await broker.mail.letters("q", 0, 10)
    assert (letter.to_queue, letter.task_id, letter.type) == ("q", "2", "t")
    await r.delete(key)
    assert (await broker.mail.deliver("q")).delivered == 1
    assert await broker.inspection.task("q", "2") is not None


async def test_letters_are_listed_the_next_to_be_delivered_first(
    broker: RedisBroker, r: Redis
) -> None:
    await post(broker, *(a_pending(f"{n}", queue="r") for n in range(5)))
    letters = await broker.mail.letters("q", 1, 2)
    assert [(letter.to_queue, letter.task_id) for letter in letters] == [("r", "1"), ("r", "2")]
    server_s, _ = await r.time()
    assert 0 <= server_s - letters[0].posted_at.timestamp() < 60


async def test_a_letter_that_cannot_be_read_stays_and_stops_no_other(
    broker: RedisBroker, r: Redis
) -> None:
    await r.zadd(MAIL, {"0": 0})
    await r.hset(BODIES, "0", b"1000000000:\xff")
    await post(broker, a_pending("1", queue="r"))
    delivery = await broker.mail.deliver("q")
    assert (delivery.delivered, "cannot be read" in str(delivery.error)) == (1, True)
    (letter,) = await broker.mail.letters("q", 0, 10)
    assert (letter.id, letter.type, letter.posted_at.timestamp()) == ("0", "", 1_000_000_000)


async def test_an_entry_without_a_letter_is_dropped(broker: RedisBroker, r: Redis) -> None:
    await r.zadd(MAIL, {"0": 0})
    delivery = await broker.mail.deliver("q")
    assert (delivery.delivered, delivery.error) == (0, None)
    assert await r.exists(MAIL) == 0


async def test_what_followed_a_task_is_named_if_it_is_refused(
    broker: RedisBroker, caplog: pytest.LogCaptureFixture
) -> None:
    await enqueue(broker, a_pending("holder", lock=LOCK))
    lease = await a_lease(broker, a_pending("1", queue="p"))
    plans = [a_pending("2", queue="p"), a_pending("3", queue="q", lock=LOCK)]
    with caplog.at_level(logging.WARNING, "pyasynq.broker"):
        await settle(broker, lease, followed(*plans))
        await broker.mail.deliver("p")
    assert "3 was not created in 'q': another task holds its unique lock" in caplog.text


# -- a cluster -------------------------------------------------------------------------------------


async def queues_apart(broker: RedisBroker) -> list[tuple[str, str]]:
    """Return a queue on each node of the cluster, with the node's address."""
    homes = {(await broker.cluster.nodes(name))[0].address: name for name in "abcdefghijkl"}
    return [(name, address) for address, name in homes.items()]


@pytest.fixture
async def of_cluster(cluster_url: str) -> AsyncIterator[RedisBroker]:
    broker = connect(cluster_url)
    yield broker
    await broker.aclose()


async def test_a_node_that_accepts_nothing_stops_no_mail_to_another(
    of_cluster: RedisBroker, redis_cluster: RedisCluster
) -> None:
    (home, _), (away, address), (other, _) = await queues_apart(of_cluster)
    node = next(it for it in redis_cluster.nodes if address.endswith(f":{it.port}"))
    lease = await a_lease(of_cluster, a_pending(queue=home))
    plans = [a_pending("1", queue=away), a_pending("2", queue=other)]
    await settle(of_cluster, lease, followed(*plans))
    with closing(node.client()) as client:
        client.config_set("maxmemory", "1")
        first = await of_cluster.mail.deliver(home)
        client.config_set("maxmemory", "0")
    assert (first.delivered, type(first.error)) == (1, BrokerFullError)
    assert ids(await take(of_cluster, queue=other)) == ["2"]
    await execute(of_cluster._driver, "ZADD", keys.mail(home), 0, (await waiting(of_cluster, home)))
    assert (await of_cluster.mail.deliver(home)).delivered == 1
    assert ids(await take(of_cluster, queue=away)) == ["1"]


async def waiting(broker: RedisBroker, queue: str) -> str:
    """Return the id of the only letter of *queue*."""
    (letter,) = await broker.mail.letters(queue, 0, 10)
    return letter.id


# -- a queue that is removed -----------------------------------------------------------------------


async def test_a_queue_with_mail_is_not_empty(broker: RedisBroker) -> None:
    await post(broker, a_pending("1", queue="r"))
    assert await broker.inspection.remove("q", force=False) is RemoveResult.NOT_EMPTY
    assert len(await broker.mail.letters("q", 0, 10)) == 1


async def test_a_queue_that_is_removed_leaves_no_mail(broker: RedisBroker, r: Redis) -> None:
    await post(broker, a_pending("1", queue="r"))
    assert await broker.inspection.remove("q", force=True) is RemoveResult.DONE
    assert await r.keys("asynq:{q}*") == []


# -- what a plain task costs -----------------------------------------------------------------------

PLAIN_DONE = """
    EVALSHA TIME LLEN ZMSCORE HGET LRANGE LTRIM ZREM DEL INCRBY GET INCRBY HELLO
"""
"""The commands that ended a task before any could follow, and the next of another client."""


async def test_a_task_that_nothing_follows_is_ended_by_the_same_commands_as_ever(
    broker: RedisBroker, r: Redis
) -> None:
    await settle(broker, await a_lease(broker, a_pending("loads the script")), DONE)
    lease = await a_lease(broker, a_pending("1"))
    async with r.monitor() as monitor:
        await settle(broker, lease, DONE)
        await r.ping()
        lines = [cast("Any", await monitor.next_command()) for _ in PLAIN_DONE.split()]
    assert [line["command"].split()[0] for line in lines] == PLAIN_DONE.split()
