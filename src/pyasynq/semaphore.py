"""A semaphore that all workers share, Go's included.

Source:
    Protocol section 11.2 (asynq v0.26.0 ``x/rate/semaphore.go``).
"""

import asyncio
import functools
import random
import secrets
import uuid
from collections.abc import Iterable
from contextlib import suppress
from datetime import timedelta
from typing import Final, Self

from pyasynq.broker import MARKS, Broker, BrokerAddress, Token, open_broker
from pyasynq.core.errors import (
    BrokerError,
    NoTokenError,
    OptionError,
    PyasynqError,
    SemaphoreTimeoutError,
)
from pyasynq.core.options import check_name, check_time, check_timeout
from pyasynq.runtime.calls import must_await
from pyasynq.runtime.clock import Clock
from pyasynq.runtime.endings import finish
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

    Inside a handler the holder is the running task: asked twice it holds one token, which is free
    when it was released twice. Elsewhere every acquisition is a token of its own, which the asyncio
    task that took it gives back, or any other once that one has ended. A token is renewed while it
    is held; when its holder dies it is free within the lease. Safe to share between the coroutines
    of one event loop.

    Source:
        Protocol section 11.2 (asynq v0.26.0 ``x/rate`` ``Semaphore``).

    Differs:
        The holder is known by queue and id and not by id alone; a token ends with its lease, which
        is renewed, and not with the task's deadline only; there is a waiting `acquire`; a holder
        may ask again when all tokens are taken (D59).
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
            broker: A URL, a bare ``host:port``, or a redis-py asyncio client, which stays yours to
                close.
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
        self._broker: Broker = open_broker(broker)
        self._mark = 1 + secrets.randbelow(MARKS - 1)
        self._tokens: dict[str, Token] = {}
        self._takers: dict[str, asyncio.Task[object] | None] = {}
        self._renewing: asyncio.Task[None] | None = None
        self._leaving: set[asyncio.Task[None]] = set()

    @must_await
    async def try_acquire(self) -> bool:
        """Take a token if one is free; return whether one was.

        Raises:
            BrokerError: If Redis did not answer; a token it may have given ends with its lease.
        """
        return await self._take(self._token())

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
        token = self._token()
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
        token = self._held()
        token.times -= 1
        if token.times:
            return
        del self._tokens[token.holder]
        self._takers.pop(token.holder, None)
        if not self._tokens:
            self._stop_renewing()
        if not await finish(functools.partial(self._broker.semaphores.release, token)):
            log.warning("a token of semaphore %r was lost before it was released", self.scope)

    async def aclose(self) -> None:
        """Give all tokens back and close the connections that this semaphore opened."""
        self._stop_renewing()
        tokens, self._tokens = self._tokens, {}
        self._takers.clear()
        await finish(functools.partial(self._close, tokens.values()))

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
        held = self._tokens.get(token.holder)
        if held is None or not held.ends_s:  # what was lost is for Redis to give
            try:
                path = self._broker.semaphores
                taken = await path.acquire(token, limit=self.limit, lease_s=self._lease_s)
            except asyncio.CancelledError:
                self._leave(token)
                raise
            if not taken:
                return False
            held = self._tokens.setdefault(token.holder, token)
            held.ends_s = token.ends_s  # another coroutine of this task may have been faster
        held.times += 1
        if not held.task:
            self._takers[held.holder] = asyncio.current_task()
        if self._renewing is None:
            self._renewing = asyncio.create_task(self._renew(), name="pyasynq semaphore")
        return True

    def _leave(self, token: Token) -> None:
        """Give *token* back, which Redis may have given out to a caller who is gone."""
        leaving = asyncio.create_task(self._give_back(token), name="pyasynq semaphore")
        self._leaving.add(leaving)
        leaving.add_done_callback(self._leaving.discard)

    async def _give_back(self, token: Token) -> None:
        if token.holder not in self._tokens:  # another coroutine of this task may have it
            with suppress(BrokerError):  # then it ends with its lease
                await self._broker.semaphores.release(token)

    def _held(self) -> Token:
        """Return the running task's token; outside a handler, the one taken last by who runs here.

        Of several, one that was lost goes first: another may still be in use. What was taken in an
        asyncio task that has ended, as by Python 3.11's `asyncio.wait_for`, is anybody's.

        Raises:
            NoTokenError: If there is none.
        """
        task = _running()
        holder = self._taken_here() if task is None else task[0]
        token = self._tokens.get(holder)
        if token is None:
            raise NoTokenError(self.scope)
        return token

    def _taken_here(self) -> str:
        here = asyncio.current_task()
        own = [holder for holder, taker in self._takers.items() if taker is here]
        left = [holder for holder, taker in self._takers.items() if taker and taker.done()]
        held = own or left
        lost = [holder for holder in held if not self._tokens[holder].ends_s]
        return next(reversed(lost or held), "")

    async def _renew(self) -> None:
        """Renew tokens while there are some."""
        while True:
            await self._clock.sleep(self._lease_s / RENEWALS)
            try:
                tokens = [token for token in self._tokens.values() if token.ends_s]
                lost = await self._broker.semaphores.renew(tokens, lease_s=self._lease_s)
            except BrokerError as error:
                log.warning("tokens of semaphore %r were not renewed: %s", self.scope, error)
                continue
            for token in lost:
                if self._tokens.get(token.holder) is token:
                    log.error("%s lost its token of semaphore %r", token.holder, self.scope)
                    token.ends_s = 0

    def _stop_renewing(self) -> None:
        if self._renewing is not None:
            self._renewing.cancel()
            self._renewing = None

    def _token(self) -> Token:
        """Return a token for the running task, or for a holder of its own."""
        running = _running()
        holder, deadline_s = running or (str(uuid.uuid4()), 0)
        return Token(
            scope=self.scope,
            holder=holder,
            mark=self._mark,
            deadline_s=deadline_s,
            task=running is not None,
        )


def _running() -> tuple[str, int] | None:
    """Return holder and deadline (Unix seconds) of the running task, if one runs here.

    Ids are unique within a queue only, and names of queues have no braces.
    """
    try:
        task = current_task()
    except PyasynqError:
        return None
    return f"{{{task.queue}}}:{task.id}", int(task.deadline.timestamp())


def _checked_limit(limit: object) -> int:
    if not isinstance(limit, int) or isinstance(limit, bool) or limit < 1:
        raise OptionError("limit", limit, "a whole number from 1")
    return limit
