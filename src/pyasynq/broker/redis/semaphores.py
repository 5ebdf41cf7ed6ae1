"""Tokens that all machines share.

Source:
    Protocol section 11.2 (asynq v0.26.0 ``x/rate/semaphore.go``).
"""

from collections.abc import Sequence
from typing import cast

from pyasynq.broker.ports.semaphores import Token
from pyasynq.broker.redis import pipeline, shared_keys
from pyasynq.broker.redis.connection import Driver
from pyasynq.broker.redis.lua import semaphores as scripts
from pyasynq.core.policy import MAX_TASKS


class RedisSemaphores:
    """The port for semaphores."""

    def __init__(self, driver: Driver) -> None:
        """Send calls over *driver*."""
        self._driver = driver

    async def acquire(self, token: Token, *, limit: int, lease_s: float) -> bool:
        """Take *token* if its holder has it or fewer than *limit* are taken; set its end.

        Differs:
            The clock of Redis decides (D31). A token ends with the lease, not only at the task's
            deadline, so that the token of a dead holder is soon free (D59).
        """
        call = scripts.acquire_token(
            semaphore=shared_keys.semaphore(token.scope),
            holder=token.holder,
            limit=limit,
            lease_s=lease_s,
            deadline_s=token.deadline_s,
        )
        ends_s = cast("int", await pipeline.run(self._driver, call))
        if ends_s:
            token.ends_s = ends_s
        return bool(ends_s)

    async def renew(self, tokens: Sequence[Token], *, lease_s: float) -> list[Token]:
        """Renew *tokens*, all of one scope, in Redis and in place; return those that are lost."""
        lost: list[Token] = []
        for start in range(0, len(tokens), MAX_TASKS):
            batch = tokens[start : start + MAX_TASKS]
            each = [it for token in batch for it in (token.holder, token.deadline_s)]
            call = scripts.renew_tokens(
                each, semaphore=shared_keys.semaphore(batch[0].scope), lease_s=lease_s
            )
            answers = cast("list[int]", await pipeline.run(self._driver, call))
            for token, ends_s in zip(batch, answers, strict=True):
                if ends_s:
                    token.ends_s = ends_s
                else:
                    lost.append(token)
        return lost

    async def release(self, token: Token) -> bool:
        """Release *token*; False if it is no longer held."""
        call = scripts.release_token(
            semaphore=shared_keys.semaphore(token.scope), holder=token.holder
        )
        return bool(await pipeline.run(self._driver, call))
