"""The parts that use the queue; they begin when Redis answers.

If Redis refuses the connection, for example for a wrong password, the program ends. If Redis is
away at the start, the program goes on, because people can sign up without it.
"""

import asyncio
import ssl
from contextlib import suppress
from dataclasses import dataclass

import structlog

import pyasynq
from member.parts import Start, Stop, wait_for_first
from member.worker.processor import TaskProcessor
from pyasynq.outbox import Relay

log: structlog.stdlib.BoundLogger = structlog.get_logger(__name__)

_PATIENCE_S = 2.0
_PAUSE_S = 0.5


class RedisPart:
    """Pings Redis until it answers once; after that, the users of Redis handle its outages.

    Attributes:
        answered: Set once Redis has answered.
    """

    def __init__(self, client: pyasynq.Client, user: str) -> None:
        """Ping with *client*; *user* is the log's name for the part that needs Redis."""
        self.answered = asyncio.Event()
        self._client = client
        self._user = user

    async def run(self, started: Start, stop: Stop) -> None:
        """Return when Redis has answered, or at *stop*; it may be away when the program starts.

        Raises:
            pyasynq.BrokerError: If Redis refuses the connection: waiting would not help.
        """
        start = f"start {self._user}"
        log.info(start)
        try:
            await self._ask(started, stop)
        except pyasynq.PyasynqError as error:
            failed = f"failed to {start}"
            log.critical(failed, error=str(error))
            raise

    async def _ask(self, started: Start, stop: Stop) -> None:
        away = await self._problem()
        started("")
        if away:
            log.warning("Redis is away; trying again until it answers", error=away)
            while away and not stop.is_set():
                await _wait_within(stop, _PAUSE_S)
                away = await self._problem()
        if not away:
            log.info("Redis answers")
            self.answered.set()

    async def _problem(self) -> str:
        """Return why Redis does not answer; empty if it does."""
        try:
            async with asyncio.timeout(_PATIENCE_S):
                await self._client.ping()
        except TimeoutError:
            return "no answer in time"
        except pyasynq.BrokerUnavailableError as error:
            if _is_about_tls(error):
                raise
            return str(error)
        return ""


@dataclass(frozen=True, slots=True)
class WorkerPart:
    """Runs tasks and queues the periodic ones, once *redis* has answered."""

    processor: TaskProcessor
    scheduler: pyasynq.Scheduler
    redis: RedisPart

    async def run(self, started: Start, stop: Stop) -> None:
        """Wait for Redis, then work until *stop*."""
        started("")
        await wait_for_first(self.redis.answered, stop)
        if self.redis.answered.is_set():
            async with self.processor.running(), self.scheduler.running():
                await stop.wait()


@dataclass(frozen=True, slots=True)
class RelayPart:
    """Moves tasks from the outbox to the queue, once *redis* has answered."""

    relay: Relay
    redis: RedisPart

    async def run(self, started: Start, stop: Stop) -> None:
        """Wait for Redis, then relay until *stop*."""
        started("")
        await wait_for_first(self.redis.answered, stop)
        if self.redis.answered.is_set():
            async with self.relay.running():
                await stop.wait()


def _is_about_tls(error: BaseException | None) -> bool:
    """Tell whether TLS failed; only other settings can fix that."""
    while error is not None:
        if isinstance(error, ssl.SSLError):
            return True
        error = error.__cause__ or error.__context__
    return False


async def _wait_within(event: asyncio.Event, seconds: float) -> None:
    with suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await event.wait()
