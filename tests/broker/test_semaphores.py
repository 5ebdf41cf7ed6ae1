"""Every broker lets holders take as many tokens as there are, and release them."""

import pytest

from pyasynq.broker import Broker, Token

pytestmark = pytest.mark.needs("semaphores")


async def test_a_token_goes_from_one_holder_to_the_next(broker: Broker) -> None:
    mine, yours = Token(scope="s", holder="a"), Token(scope="s", holder="b")
    assert await broker.semaphores.acquire(mine, limit=1, lease_s=30)
    assert not await broker.semaphores.acquire(yours, limit=1, lease_s=30)
    assert await broker.semaphores.renew([mine], lease_s=30) == []
    assert await broker.semaphores.release(mine)
    assert await broker.semaphores.acquire(yours, limit=1, lease_s=30)


async def test_a_token_that_is_asked_for_again_is_still_one(broker: Broker) -> None:
    token = Token(scope="s", holder="a")
    assert await broker.semaphores.acquire(token, limit=2, lease_s=30)
    assert await broker.semaphores.acquire(token, limit=2, lease_s=30)
    assert await broker.semaphores.acquire(Token(scope="s", holder="b"), limit=2, lease_s=30)
    assert not await broker.semaphores.acquire(Token(scope="s", holder="c"), limit=2, lease_s=30)
    assert await broker.semaphores.acquire(token, limit=2, lease_s=30)


async def test_scopes_do_not_know_each_other(broker: Broker) -> None:
    for scope in ("a", "b", "{c}", "d e"):
        token = Token(scope=scope, holder="h")
        assert await broker.semaphores.acquire(token, limit=1, lease_s=30)
