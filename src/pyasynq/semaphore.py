"""A semaphore that all workers share, Go's included.

Source:
    Protocol section 11.2 (asynq v0.26.0 ``x/rate/semaphore.go``).
"""

import asyncio
import functools
import random
import secrets
from collections.abc import Iterable
from contextlib import suppress
from datetime import timedelta
from typing import Final, Self

from pyasynq.broker import Broker, BrokerAddress, Token, open_broker
from pyasynq.core.errors import (
    BrokerError,
    NoTokenError,
    OptionError,
    PyasynqError,
    SemaphoreTimeoutError,
)
from pyasynq.core.options import check_name, check_time, check_timeout
from pyasynq.runtime.calls import must_await
from pyasynq.runtime.cleanup import run_to_end
from pyasynq.runtime.clock import Clock
from pyasynq.runtime.loggers import get_logger
from pyasynq.server import current_task

log: Final = get_logger("pyasynq.semaphore")

LEASE: Final = timedelta(seconds=30)
SHORTEST_LEASE: Final = timedelta(seconds=3)
RENEWALS: Final = 3
"""Renewals in one lease: two may fail before the token is lost."""

FIRST_WAIT_S: Final = 0.02
LONGEST_WAIT_S: Final = 1.0
"""Pauses between tries while waiting: nobody is notified of a release by Go, or of an expiry."""


class Semaphore:
    """Limits how many tokens are held at once, on all machines together.

    Every acquisition takes a token of its own, also a second one by the same task. A token is
    renewed while it is held; if its holder dies, it is free within the lease. A running task
    releases only the tokens that it took itself; outside of handlers, any coroutine may release a
    token that another one took. Coroutines of one event loop may share a semaphore.

    Source:
        Protocol section 11.2 (asynq v0.26.0 ``x/rate`` ``Semaphore``).

    Differs:
        A holder is one acquisition, not a task. A token ends with its lease, which is renewed, and
        not only with the task's deadline. `acquire` can wait (D59).
    """

    def __init__(
        self,
        broker: BrokerAddress,
        scope: str,
        limit: int,
        *,
        lease: timedelta = LEASE,
        clock: Clock | None = None,
    ) -> None:
        """Use *broker*; nothing is sent before the first call.

        Args:
            broker: A URL, a bare ``host:port``, a redis-py asyncio client, or an open broker; the
                last two stay yours to close.
            scope: Name of what is limited; semaphores with the same name share the tokens.
            limit: Number of tokens; semaphores with the same name should agree on it.
            lease: Time after which the token of a dead holder is free, at least 3 s.
            clock: Tells the time and waits; a test may pass its own.

        Raises:
            OptionError: If an argument cannot be used.
        """
        self.scope: str = check_name("scope", scope)
        self.limit: int = _check_limit(limit)
        self._lease_s = check_time("lease", lease, SHORTEST_LEASE).total_seconds()
        self._clock = clock or Clock()
        self._broker: Broker = open_broker(broker, self._clock)
        self._tokens: list[Token] = []
        self._renewing: asyncio.Task[None] | None = None
        self._releasing: set[asyncio.Task[None]] = set()

    @must_await
    async def try_acquire(self) -> bool:
        """Take a token if one is free; return whether one was.

        Raises:
            BrokerError: If the broker did not answer; a token that it may have given ends with its
                lease.
        """
        return await self._take(_new_token(self.scope))

    @must_await
    async def acquire(self, timeout: timedelta | None = None) -> None:  # noqa: ASYNC109 - see `asyncio.Queue.get`
        """Take a token; wait until one is free.

        Args:
            timeout: Longest wait; None waits until a token is free, or the running task ends.

        Raises:
            SemaphoreTimeoutError: If no token was free in time.
            OptionError: If the timeout is not a timedelta.
            BrokerError: If the broker did not answer.
        """
        limit_s = None if timeout is None else check_timeout(timeout).total_seconds()
        give_up = None if limit_s is None else self._clock.monotonic() + limit_s
        token = _new_token(self.scope)
        wait_s = FIRST_WAIT_S
        while not await self._take(token):
            left_s = LONGEST_WAIT_S if give_up is None else give_up - self._clock.monotonic()
            if left_s <= 0:
                raise SemaphoreTimeoutError(self.scope, self.limit)
            await self._clock.sleep(min(left_s, random.uniform(wait_s / 2, wait_s)))
            wait_s = min(wait_s * 2, LONGEST_WAIT_S)

    @must_await
    async def release(self) -> None:
        """Release a token.

        Raises:
            NoTokenError: If the running task, or the code outside of handlers, holds none.
            BrokerError: If the broker did not answer; the token ends with its lease.
        """
        token = self._next_to_release()
        self._tokens.remove(token)
        if not self._tokens:
            self._stop_renewing()
        if not await run_to_end(functools.partial(self._broker.semaphores.release, token)):
            log.warning("a token of semaphore %r was lost before it was released", self.scope)

    async def aclose(self) -> None:
        """Release all tokens and close the connections that this semaphore opened."""
        self._stop_renewing()
        tokens, self._tokens = self._tokens, []
        await run_to_end(functools.partial(self._close, tokens))

    async def __aenter__(self) -> Self:
        """Acquire a token; wait until one is free."""
        await self.acquire()
        return self

    async def __aexit__(self, *_exc: object) -> None:
        """Release a token."""
        await self.release()

    async def _close(self, tokens: Iterable[Token]) -> None:
        releases = (self._broker.semaphores.release(token) for token in tokens)
        try:
            answers = await asyncio.gather(*releases, *self._releasing, return_exceptions=True)
        finally:
            await self._broker.aclose()
        for answer in answers:
            if isinstance(answer, BaseException):
                raise answer

    async def _take(self, token: Token) -> bool:
        try:
            port = self._broker.semaphores
            acquired = await port.acquire(token, limit=self.limit, lease_s=self._lease_s)
        except asyncio.CancelledError:
            self._release_unclaimed(token)
            raise
        if acquired:
            self._tokens.append(token)
            if self._renewing is None:
                self._renewing = asyncio.create_task(self._renew(), name="pyasynq semaphore")
        return acquired

    def _release_unclaimed(self, token: Token) -> None:
        """Release *token*, which the broker may have given to a caller that was cancelled."""
        releasing = asyncio.create_task(self._release_quietly(token), name="pyasynq semaphore")
        self._releasing.add(releasing)
        releasing.add_done_callback(self._releasing.discard)

    async def _release_quietly(self, token: Token) -> None:
        with suppress(BrokerError):  # then it ends with its lease
            await self._broker.semaphores.release(token)

    def _next_to_release(self) -> Token:
        """Return the token to release: of the running task's tokens, the one that ends first.

        Any of them would do, but a lost token must go first, because the others are in use.

        Raises:
            NoTokenError: If the running task has no token.
        """
        owner, _ = _current_owner()
        own = [token for token in self._tokens if _owner_of(token) == owner]
        if not own:
            raise NoTokenError(self.scope)
        return min(own, key=lambda token: token.ends_s)

    async def _renew(self) -> None:
        """Renew the tokens until cancelled."""
        while True:
            await self._clock.sleep(self._lease_s / RENEWALS)
            try:
                tokens = [token for token in self._tokens if token.ends_s]
                lost = await self._broker.semaphores.renew(tokens, lease_s=self._lease_s)
            except BrokerError as error:
                log.warning("tokens of semaphore %r were not renewed: %s", self.scope, error)
                continue
            for token in lost:
                if token in self._tokens:
                    log.error("%s lost its token of semaphore %r", token.holder, self.scope)
                    token.ends_s = 0

    def _stop_renewing(self) -> None:
        if self._renewing is not None:
            self._renewing.cancel()
            self._renewing = None


def _new_token(scope: str) -> Token:
    """Return a new token of *scope* for the running task, or for code outside of handlers."""
    owner, deadline_s = _current_owner()
    unique = secrets.token_hex(8)
    holder = f"{owner}:{unique}" if owner else unique
    return Token(scope=scope, holder=holder, deadline_s=deadline_s)


def _current_owner() -> tuple[str, int]:
    """Return the running task and its deadline (Unix seconds); "" and 0 outside of handlers.

    The text names the queue, too, because ids are unique only within a queue. Names of queues have
    no braces.
    """
    try:
        task = current_task()
    except PyasynqError:
        return "", 0
    return f"{{{task.queue}}}:{task.id}", int(task.deadline.timestamp())


def _owner_of(token: Token) -> str:
    return token.holder.rpartition(":")[0]


def _check_limit(limit: object) -> int:
    if not isinstance(limit, int) or isinstance(limit, bool) or limit < 1:
        raise OptionError("limit", limit, "a whole number from 1")
    return limit
