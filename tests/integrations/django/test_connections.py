"""Connections of the database around tasks: each task finds one that works."""

import asyncio
import threading

import pytest
from asgiref.sync import sync_to_async
from django.db import connections

from pyasynq import ActiveTask, App, Inspector, TypedTask
from pyasynq.integrations.django import app
from pyasynq.integrations.django.connections import in_own_thread
from tests.integrations.django.site.orders import tasks
from tests.integrations.django.site.orders.models import Order
from tests.support.postgres import PostgresServer
from tests.support.waiting import wait_until

POSTGRES = "postgres"
SESSIONS = (
    "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()"
    " AND pid <> pg_backend_pid()"
)


async def order(using: str = "default") -> int:
    """Make an order; return its number."""
    made = await Order.objects.using(using).acreate(customer="ann")
    return int(made.pk)


async def is_confirmed(number: int, using: str = "default") -> bool:
    return await Order.objects.using(using).filter(pk=number, confirmed=True).aexists()


@pytest.mark.usefixtures("database", "broker_url", "worker")
@pytest.mark.parametrize("task", [tasks.confirm, tasks.aconfirm])
async def test_tasks_read_and_write_the_database(task: TypedTask[..., None]) -> None:
    number = await order()
    async with app:
        await task.enqueue(number)
    await wait_until(lambda: is_confirmed(number))


async def failures(inspector: Inspector) -> int:
    """Return the number of tasks that have failed."""
    return (await inspector.queue_info("default")).archived


@pytest.mark.usefixtures("one_broker_url", "postgres", "worker")
@pytest.mark.parametrize("task", [tasks.confirm_in, tasks.aconfirm_in])
async def test_after_a_restart_of_postgresql_only_lost_connections_fail(
    task: TypedTask[[int, str], None], postgres: PostgresServer, inspector: Inspector
) -> None:
    numbers = [await order(POSTGRES) for _ in range(8)]
    async with app:
        await app.client.enqueue_many([task.task(number, POSTGRES) for number in numbers[:4]])
        await wait_until(lambda: ended(numbers[:4], inspector))
        assert await failures(inspector) == 0
        await sync_to_async(connections.close_all)()  # those of this test
        await asyncio.to_thread(restart, postgres)
        await app.client.enqueue_many([task.task(number, POSTGRES) for number in numbers[4:]])
        await wait_until(lambda: ended(numbers, inspector))
    assert await failures(inspector) <= 2  # the worker has two threads


def restart(server: PostgresServer) -> None:
    server.halt("immediate")
    server.start_again()


async def ended(numbers: list[int], inspector: Inspector) -> bool:
    rows = Order.objects.using(POSTGRES).filter(pk__in=numbers, confirmed=True)
    return await rows.acount() + await failures(inspector) == len(numbers)


@pytest.mark.usefixtures("one_broker_url", "postgres", "worker")
async def test_no_connection_of_an_async_task_is_left() -> None:
    number = await order(POSTGRES)
    async with app:
        await app.client.enqueue_many([tasks.aconfirm_in.task(number, POSTGRES) for _ in range(5)])
        await wait_until(lambda: is_confirmed(number, POSTGRES))

    @sync_to_async
    def is_alone() -> bool:
        with connections[POSTGRES].cursor() as cursor:
            cursor.execute(SESSIONS)
            return cursor.fetchone() == (0,)

    await wait_until(is_alone)


class Meeting:
    """Synchronous code of several tasks that goes on once all of them are there."""

    def __init__(self, count: int) -> None:
        self.threads: set[int] = set()
        self._barrier = threading.Barrier(count)

    def come(self) -> None:
        self.threads.add(threading.get_ident())
        self._barrier.wait(timeout=30)


async def test_queries_of_different_async_tasks_run_side_by_side(one_broker_url: str) -> None:
    meeting, own = Meeting(3), App(one_broker_url)
    own.use(in_own_thread)

    @own.task("meet")
    async def meet() -> None:
        await sync_to_async(meeting.come)()

    async with own:
        infos = [await meet.enqueue() for _ in range(3)]
    await asyncio.wait_for(own.server(burst=True).run(), 60)
    async with own.inspector() as inspector:
        assert (await inspector.queue_info("default")).processed == len(infos)
    assert len(meeting.threads) == 3


async def test_what_one_async_task_calls_runs_in_one_thread(one_broker_url: str) -> None:
    threads, own = list[int](), App(one_broker_url)
    own.use(in_own_thread)

    @own.task("look")
    async def look(task: ActiveTask) -> None:
        threads.append(await sync_to_async(threading.get_ident)())
        threads.append(await sync_to_async(threading.get_ident)())
        assert task.retried == 0

    async with own:
        await look.enqueue()
    await asyncio.wait_for(own.server(burst=True).run(), 60)
    assert len(threads) == 2
    assert len({*threads, threading.get_ident()}) == 2
