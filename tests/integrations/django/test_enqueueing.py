"""Tasks are enqueued once the transaction is committed in which they were meant."""

import pytest
from asgiref.sync import sync_to_async
from django.db import transaction

from pyasynq import Inspector, OptionError, Task
from pyasynq.integrations.django import enqueue

pytestmark = pytest.mark.usefixtures("database", "broker_url")

TASK = Task("order:confirm", b'{"order": 1}')


async def pending(inspector: Inspector) -> list[str]:
    """Return the ids of pending tasks; none if there is no queue yet."""
    if await inspector.queues() == []:
        return []
    return [task.id for task in await inspector.list_tasks("default", "pending")]


async def test_without_a_transaction_a_task_is_enqueued_at_once(inspector: Inspector) -> None:
    task_id = await sync_to_async(enqueue)(TASK)
    assert await pending(inspector) == [task_id]


async def test_a_task_is_enqueued_after_the_commit(inspector: Inspector) -> None:
    block = transaction.atomic()
    await sync_to_async(block.__enter__)()
    task_id = await sync_to_async(enqueue)(TASK)
    before = await pending(inspector)
    await sync_to_async(block.__exit__)(None, None, None)
    assert (before, await pending(inspector)) == ([], [task_id])


@sync_to_async
def enqueue_in_blocks(*, fail: bool, using: str | None = None, block: str = "default") -> str:
    """Enqueue in a savepoint, which is perhaps rolled back, of a transaction."""
    with transaction.atomic(using=block), transaction.atomic(using=block):
        task_id = enqueue(TASK, using=using)
        transaction.set_rollback(fail, using=block)
    return task_id


async def test_after_a_rollback_of_its_savepoint_it_is_not(inspector: Inspector) -> None:
    await enqueue_in_blocks(fail=True)
    kept = await enqueue_in_blocks(fail=False)
    assert await pending(inspector) == [kept]


async def test_only_the_transaction_of_the_named_database_counts(inspector: Inspector) -> None:
    at_once = await enqueue_in_blocks(fail=True, block="other")
    await enqueue_in_blocks(fail=True, block="other", using="other")
    after_commit = await enqueue_in_blocks(fail=False, block="other", using="other")
    assert sorted(await pending(inspector)) == sorted([at_once, after_commit])


async def test_a_wrong_option_is_refused_at_the_call() -> None:
    @sync_to_async
    def enqueue_wrongly() -> None:
        with transaction.atomic():
            enqueue(TASK, queue=" ")

    with pytest.raises(OptionError, match="queue must be"):
        await enqueue_wrongly()


async def test_an_id_of_its_own_is_kept(inspector: Inspector) -> None:
    assert await sync_to_async(enqueue)(TASK, task_id="mine") == "mine"
    assert await pending(inspector) == ["mine"]
