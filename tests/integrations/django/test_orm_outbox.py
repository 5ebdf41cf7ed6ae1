"""Tasks are rows of the user's own transaction."""

from datetime import timedelta

import pytest
from asgiref.sync import sync_to_async
from django.db import transaction

from pyasynq import Inspector, OptionError, Task
from pyasynq.integrations.django import outbox
from pyasynq.integrations.django.models import OutboxTask

pytestmark = pytest.mark.usefixtures("database", "one_broker_url")

TASK = Task("t", b"payload", headers={"trace": "1"})


@sync_to_async
def add(*, fail: bool = False, using: str = "default") -> str:
    with transaction.atomic(using=using):
        task_id = outbox.add(TASK, using=using)
        transaction.set_rollback(fail, using=using)
    return task_id


async def test_a_row_is_part_of_the_transaction() -> None:
    await add(fail=True)
    await add()
    row = await OutboxTask.objects.aget()
    assert (row.type, row.queue, str(row)) == ("t", "default", "t in 'default'")


async def test_a_row_is_in_the_named_database() -> None:
    await add(using="other")
    assert await OutboxTask.objects.acount() == 0
    assert await OutboxTask.objects.using("other").acount() == 1


async def test_flushed_rows_are_enqueued_as_they_were_written(inspector: Inspector) -> None:
    task_id = await add()
    later = await sync_to_async(outbox.add)(TASK, process_in=timedelta(hours=1), max_retry=3)
    await sync_to_async(outbox.flush)()
    info = await inspector.task_info("default", task_id)
    assert (info.payload, info.headers, info.state) == (b"payload", {"trace": "1"}, "pending")
    delayed = await inspector.task_info("default", later)
    assert (delayed.max_retry, delayed.state) == (3, "scheduled")
    assert await OutboxTask.objects.acount() == 0


async def test_a_wrong_option_writes_nothing() -> None:
    with pytest.raises(OptionError, match="max_retry must be"):
        await sync_to_async(outbox.add)(TASK, max_retry=-1)
    assert await OutboxTask.objects.acount() == 0
