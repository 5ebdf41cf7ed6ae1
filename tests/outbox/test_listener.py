"""A listener that cannot listen logs it at level DEBUG, and tries again."""

import asyncio
import logging

import pytest
from sqlalchemy.ext.asyncio import create_async_engine

from pyasynq import Clock
from pyasynq.outbox.listener import Listener
from pyasynq.runtime.actor import cancel_and_wait
from tests.support.servers import free_port


async def test_a_database_that_is_away_is_tried_again_without_a_warning(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.DEBUG, "pyasynq.outbox")
    engine = create_async_engine(f"postgresql+asyncpg://127.0.0.1:{free_port()}/none")
    listener = Listener(engine, "tasks", lambda *_: None, clock=Clock())
    job = asyncio.create_task(listener.run())
    await listener.steps.next()
    await listener.steps.next()
    await cancel_and_wait([job])
    await engine.dispose()
    assert [record.levelno for record in caplog.records] == [logging.DEBUG]
    assert "cannot listen on tasks" in caplog.text
