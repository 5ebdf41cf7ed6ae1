"""Streams of overviews: all get the same samples, which are taken while there is one."""

import asyncio
from collections.abc import AsyncGenerator, Callable, Mapping
from datetime import UTC, datetime
from typing import Any, Final

import msgspec

from pyasynq.core.errors import PyasynqError
from pyasynq.core.json_form import to_json_types
from pyasynq.dashboard.problems import Problem, problem_of
from pyasynq.operations.sampler import Sampler
from pyasynq.runtime.loggers import get_logger

log: Final = get_logger("pyasynq.dashboard")


class Event(msgspec.Struct, frozen=True):
    """What a stream sends: its name, and its data as JSON."""

    name: str
    data: bytes


class Streams:
    """Sends what a sampler reads to all who look.

    Attributes:
        responses: Responses that send streams, also those that have not begun to.
    """

    def __init__(self, sampler: Sampler, extras: Callable[[], Mapping[str, object]]) -> None:
        """Send what *sampler* reads; *extras* returns further members of each document."""
        self.responses: int = 0
        self._sampler = sampler
        self._extras = extras
        self._failing_since: datetime | None = None
        self._event: Event | None = None
        self._news = asyncio.Event()
        self._streams = 0
        self._runs = False
        self._job: asyncio.Task[None] | None = None

    @property
    def streams(self) -> int:
        """Number of open streams."""
        return self._streams

    async def document(self) -> dict[str, Any]:
        """Return the overview, as streams send it."""
        return {**await self._sampler.document(), **self._extras()}

    async def events(self) -> AsyncGenerator[Event]:
        """Yield the newest event, and then each later one that the caller is not too slow for."""
        self._streams += 1
        seen: Event | None = None
        try:
            if not self._runs:
                self._event, self._runs = None, True
                self._job = asyncio.create_task(self._run(), name="pyasynq dashboard sampler")
            while True:
                seen = await self._next(seen)
                if seen is None:  # the sampler has failed, and its log says why
                    return
                yield seen
        finally:
            self._streams -= 1

    async def _next(self, seen: Event | None) -> Event | None:
        while self._event is seen and self._runs:
            await self._news.wait()
        return self._event if self._event is not seen else None

    async def _run(self) -> None:
        """Sample while there are streams."""
        try:
            while self._streams:
                self._publish(await self._sample())
                await asyncio.sleep(self._sampler.interval_s)
        except Exception:
            log.exception("the sampler failed")
        finally:
            self._runs = False
            self._publish(None)

    def _publish(self, event: Event | None) -> None:
        self._event = event
        news, self._news = self._news, asyncio.Event()
        news.set()

    async def _sample(self) -> Event:
        try:
            document = await self.document()
        except PyasynqError as error:
            return self._failure(problem_of(error))
        self._failing_since = None
        return Event("sample", msgspec.json.encode(to_json_types(document)))

    def _failure(self, problem: Problem) -> Event:
        self._failing_since = self._failing_since or datetime.now(UTC)
        members = {**problem.members(), "since": self._failing_since}
        return Event("problem", msgspec.json.encode(to_json_types(members)))

    def end_streams(self) -> None:
        """End all streams."""
        if self._job is not None:
            self._job.cancel()

    async def aclose(self) -> None:
        """Stop sampling."""
        if self._job is not None:
            self._job.cancel()
            await asyncio.wait([self._job])
