"""Tasks in the outbox belong to the transaction that writes them."""

from datetime import timedelta

import pytest
from sqlalchemy import select

from member.errors import DistributeError
from member.store.database import Database
from member.store.tables import OUTBOX
from member.worker.distributor import OutboxTaskDistributor
from member.worker.tasks import PayloadSendVerifyEmail

PAYLOAD = PayloadSendVerifyEmail("alice")


@pytest.fixture
def distributor(db: Database) -> OutboxTaskDistributor:
    return OutboxTaskDistributor(OUTBOX, db)


async def queues(db: Database) -> list[str]:
    """Return the queues of the tasks that wait."""
    async with db.reading() as session:
        return list(await session.scalars(select(OUTBOX.table.c.queue)))


async def test_a_task_is_committed_with_the_transaction(
    db: Database, distributor: OutboxTaskDistributor
) -> None:
    async with db.writing():
        await distributor.distribute_task_send_verify_email(PAYLOAD, queue="critical")
    assert await queues(db) == ["critical"]


async def test_a_task_is_undone_with_the_transaction(
    db: Database, distributor: OutboxTaskDistributor
) -> None:
    async with db.writing() as session:
        await distributor.distribute_task_send_verify_email(PAYLOAD)
        await session.rollback()
    assert await queues(db) == []


async def test_outside_a_transaction_nothing_is_distributed(
    distributor: OutboxTaskDistributor,
) -> None:
    with pytest.raises(LookupError):
        await distributor.distribute_task_send_verify_email(PAYLOAD)


async def test_an_invalid_option_is_reported_in_the_words_of_the_lesson(
    db: Database, distributor: OutboxTaskDistributor
) -> None:
    with pytest.raises(DistributeError, match="failed to distribute task to send verify email"):
        async with db.writing():
            await distributor.distribute_task_send_verify_email(
                PAYLOAD, process_in=timedelta(seconds=-1)
            )
