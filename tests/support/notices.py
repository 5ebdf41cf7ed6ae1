"""Listen to what operators tell servers, without long silences."""

from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing, asynccontextmanager
from typing import cast

import anyio
import pytest

from pyasynq.broker import Broker
from pyasynq.broker.ports.registry import News

SILENCE_S = 0.02
"""Silence after which a listener gets None; much longer in production."""

PATIENCE_S = 60.0


@asynccontextmanager
async def listening(broker: Broker) -> AsyncGenerator[AsyncGenerator[News | None]]:
    """Yield the notices that come after entering, among them one None for each short silence."""
    with pytest.MonkeyPatch.context() as patch, anyio.fail_after(PATIENCE_S):
        for kind in ("redis", "sqlite"):
            patch.setattr(f"pyasynq.broker.{kind}.registry.LISTEN_S", SILENCE_S)
        notices = cast("AsyncGenerator[News | None]", broker.registry.notices())
        async with aclosing(notices):
            # Redis has answered before the third: the second sends a ping after the subscription.
            assert [await anext(notices) for _ in range(3)] == [None] * 3
            yield notices


async def next_notice(notices: AsyncIterator[News | None]) -> News:
    """Return the next notice after any silence."""
    async for notice in notices:
        if notice is not None:
            return notice
    msg = "the listener ended"
    raise AssertionError(msg)
