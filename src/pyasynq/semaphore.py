"""A semaphore that all workers share, Go's included.

Source:
    Protocol section 11.2 (asynq v0.26.0 ``x/rate/semaphore.go``).
"""

import asyncio
import logging
import random
import uuid
from datetime import timedelta
from typing import TYPE_CHECKING, Final, Self

from pyasynq.broker import Broker, Token, connect
from pyasynq.clock import Clock
from pyasynq.errors import (
    BrokerError,
    NoTokenError,
    OptionError,
    PyasynqError,
    SemaphoreTimeoutError,
    seconds,
)
from pyasynq.options import check_name, check_timeout
from pyasynq.server import current_task

if TYPE_CHECKING:
    from pyasynq.broker.redis import Driver

log = logging.getLogger("pyasynq.semaphore")

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
    when it was released twice. Elsewhere every acquisition is a token of its own. A token is
    renewed while it is held; when its holder dies it is free within the lease. Safe to share
    between the coroutines of one event loop.

    Source:
        Protocol section 11.2 (asynq v0.26.0 ``x/rate`` ``Semaphore``).

    Differs:
        The holder is known by queue and id and not by id alone; a token ends with its lease, which
        is renewed, and not with the task's deadline only; there is a waiting `acquire`; a holder
        may ask again when all tokens are taken (D59).
    """

    def __init__(
        self,
        broker: "str | Driver",
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
        self.scope = check_name("scope", scope)
        self.limit = _checked_limit(limit)
        self._lease_s = _checked_lease(lease).total_seconds()
        self._clock = clock or Clock()
        self._broker: Broker = connect(broker)
        self._tokens: dict[str, Token] = {}
        self._renewing: asyncio.Task[None] | None = None

    async def try_acquire(self) -> bool:
        """Take a token if one is free; return whether one was.

        Raises:
            BrokerError: If Redis did not answer; a token it may have given ends with its lease.
        """
        return await self._take(_token(self.scope))

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
        if not self._tokens:
            self._stop_renewing()
        if not await self._broker.semaphores.release(token):
            log.warning("a token of semaphore %r was lost before it was released", self.scope)

    async def aclose(self) -> None:
        """Give all tokens back and close the connections that this semaphore opened."""
        self._stop_renewing()
        tokens, self._tokens = self._tokens, {}
        try:
            for token in tokens.values():
                await self._broker.semaphores.release(token)
        finally:
            await self._broker.aclose()

    async def __aenter__(self) -> Self:
        """Wait for a token."""
        await self.acquire()
        return self

    async def __aexit__(self, *_exc: object) -> None:
        """Give the token back."""
        await self.release()

    async def _take(self, token: Token) -> bool:
        held = self._tokens.get(token.holder)
        if held is None:
            path = self._broker.semaphores
            if not await path.acquire(token, limit=self.limit, lease_s=self._lease_s):
                return False
            held = self._tokens.setdefault(token.holder, token)
            held.ends_s = token.ends_s  # another coroutine of this task may have been faster
        held.times += 1
        if self._renewing is None:
            self._renewing = asyncio.create_task(self._renew(), name="pyasynq semaphore")
        return True

    def _held(self) -> Token:
        """Return the running task's token; outside a handler, the one taken last.

        Raises:
            NoTokenError: If there is none.
        """
        task = _running()
        own = [token for token in self._tokens.values() if not token.task] if task is None else []
        token = self._tokens.get(task[0]) if task is not None else own[-1] if own else None
        if token is None:
            raise NoTokenError(self.scope)
        return token

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


def _token(scope: str) -> Token:
    """Return a token for the running task, or for a holder of its own."""
    task = _running()
    if task is None:
        return Token(scope=scope, holder=str(uuid.uuid4()))
    holder, deadline_s = task
    return Token(scope=scope, holder=holder, deadline_s=deadline_s, task=True)


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


def _checked_lease(lease: object) -> timedelta:
    if not isinstance(lease, timedelta) or lease < SHORTEST_LEASE:
        raise OptionError("lease", lease, f"a timedelta of at least {seconds(SHORTEST_LEASE)}")
    return lease
