"""The fixtures of tests that read the keys of Redis."""

from collections.abc import AsyncIterator

import pytest

from pyasynq.broker.redis import RedisBroker, connect


@pytest.fixture
async def broker(redis_url: str) -> AsyncIterator[RedisBroker]:
    """Yield a broker over an empty Redis."""
    broker = connect(redis_url)
    yield broker
    await broker.aclose()
