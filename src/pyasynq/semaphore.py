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
"""Go releases in silence, and tokens of the dead end by themselves; so whoever waits must look."""


class Semaphore:
    """Lets at most so many hold a token at once, on all machines together.

    Every acquisition takes a token of its own, also the second one of the same task. A token is
    renewed while it is held; when its holder dies it is free within the lease. A running task gives
    back what it has taken itself; outside of handlers, any coroutine gives back what another has
    taken. Safe to share between the coroutines of one event loop.

    Source:
        Protocol section 11.2 (asynq v0.26.0 ``x/rate`` ``Semaphore``).

    Differs:
        A holder is one acquisition and not a task; a token ends with its lease, which is renewed,
        and not with the task's deadline only; there is a waiting `acquire` (D59).
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
            scope: Name of what is limited; those who give the same name share the tokens.
            limit: Tokens there are; those who share a scope should agree.
            lease: Time after which the token of a dead holder is free, at least 3 s.
            clock: Waits; a test may bring its own.

        Raises:
            OptionError: If an argument cannot be used.
        """
        self.scope: str = check_name("scope", scope)
        self.limit: int = _checked_limit(limit)
        self._lease_s = check_time("lease", lease, SHORTEST_LEASE).total_seconds()
        self._clock = clock or Clock()
        self._broker: Broker = open_broker(broker, self._clock)
        self._tokens: list[Token] = []
        self._renewing: asyncio.Task[None] | None = None
        self._leaving: set[asyncio.Task[None]] = set()

    @must_await
    async def try_acquire(self) -> bool:
        """Take a token if one is free; return whether one was.

        Raises:
            BrokerError: If Redis did not answer; a token it may have given ends with its lease.
        """
        return await self._take(_token(self.scope))

    @must_await
    async def acquire(self, timeout: timedelta | None = None) -> None:  # noqa: ASYNC109 - see `asyncio.Queue.get`
        """Take a token; wait until one is free.

        Args:
            timeout: Longest wait; None waits for ever, or until the running task is over.

        Raises:
            SemaphoreTimeoutError: If none was free in time.
            OptionError: If the timeout is no timedelta.
            BrokerError: If Redis did not answer.
        """
        limit_s = None if timeout is None else check_timeout(timeout).total_seconds()
        give_up = None if limit_s is None else self._clock.monotonic() + limit_s
        token = _token(self.scope)
        wait_s = FIRST_WAIT_S
        while not await self._take(token):
            left_s = LONGEST_WAIT_S if give_up is None else give_up - self._clock.monotonic()
            if left_s <= 0:
                raise SemaphoreTimeoutError(self.scope, self.limit)
            await self._clock.sleep(min(left_s, random.uniform(wait_s / 2, wait_s)))
            wait_s = min(wait_s * 2, LONGEST_WAIT_S)

    @must_await
    async def release(self) -> None:
        """Give the token back.

        Raises:
            NoTokenError: If none is held here.
            BrokerError: If Redis did not answer; the token ends with its lease.
        """
        token = self._ending_first()
        self._tokens.remove(token)
        if not self._tokens:
            self._stop_renewing()
        if not await run_to_end(functools.partial(self._broker.semaphores.release, token)):
            log.warning("a token of semaphore %r was lost before it was released", self.scope)

    async def aclose(self) -> None:
        """Give all tokens back and close the connections that this semaphore opened."""
        self._stop_renewing()
        tokens, self._tokens = self._tokens, []
        await run_to_end(functools.partial(self._close, tokens))

    async def __aenter__(self) -> Self:
        """Wait for a token."""
        await self.acquire()
        return self

    async def __aexit__(self, *_exc: object) -> None:
        """Give the token back."""
        await self.release()

    async def _close(self, tokens: Iterable[Token]) -> None:
        given_back = (self._broker.semaphores.release(token) for token in tokens)
        try:
            answers = await asyncio.gather(*given_back, *self._leaving, return_exceptions=True)
        finally:
            await self._broker.aclose()
        for answer in answers:
            if isinstance(answer, BaseException):
                raise answer

    async def _take(self, token: Token) -> bool:
        try:
            path = self._broker.semaphores
            taken = await path.acquire(token, limit=self.limit, lease_s=self._lease_s)
        except asyncio.CancelledError:
            self._leave(token)
            raise
        if taken:
            self._tokens.append(token)
            if self._renewing is None:
                self._renewing = asyncio.create_task(self._renew(), name="pyasynq semaphore")
        return taken

    def _leave(self, token: Token) -> None:
        """Give *token* back, which Redis may have given out to a caller who is gone."""
        leaving = asyncio.create_task(self._give_back(token), name="pyasynq semaphore")
        self._leaving.add(leaving)
        leaving.add_done_callback(self._leaving.discard)

    async def _give_back(self, token: Token) -> None:
        with suppress(BrokerError):  # then it ends with its lease
            await self._broker.semaphores.release(token)

    def _ending_first(self) -> Token:
        """Return the token to release: of those of the running task, the one that ends first.

        It does not matter which of them is given back, unless one was lost: that one goes first,
        for the others are in use.

        Raises:
            NoTokenError: If there is none.
        """
        owner, _ = _owner()
        own = [token for token in self._tokens if _owner_of(token) == owner]
        if not own:
            raise NoTokenError(self.scope)
        return min(own, key=lambda token: token.ends_s)

    async def _renew(self) -> None:
        """Renew tokens while there are some."""
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


def _token(scope: str) -> Token:
    """Return a new token of *scope* for the running task, or for whoever else asks."""
    owner, deadline_s = _owner()
    unique = secrets.token_hex(8)
    holder = f"{owner}:{unique}" if owner else unique
    return Token(scope=scope, holder=holder, deadline_s=deadline_s)


def _owner() -> tuple[str, int]:
    """Return the running task and its deadline (Unix seconds); "" and 0 if none runs here.

    Ids are unique within a queue only, and names of queues have no braces.
    """
    try:
        task = current_task()
    except PyasynqError:
        return "", 0
    return f"{{{task.queue}}}:{task.id}", int(task.deadline.timestamp())


def _owner_of(token: Token) -> str:
    return token.holder.rpartition(":")[0]


def _checked_limit(limit: object) -> int:
    if not isinstance(limit, int) or isinstance(limit, bool) or limit < 1:
        raise OptionError("limit", limit, "a whole number from 1")
    return limit
