"""Routes about everything at once: the user, the overview, and the stream of it."""

import asyncio
import time
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Final

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from pyasynq import __version__
from pyasynq.broker.ports import OPTIONAL
from pyasynq.dashboard.api.inputs import MAX_LIMIT, MAX_SELECTED
from pyasynq.dashboard.problems import Problem
from pyasynq.dashboard.routes import Call, Nothing, reads
from pyasynq.dashboard.streams import Streams
from pyasynq.operations.finder import MOST_LOOKED_AT
from pyasynq.operations.payloads import MAX_SHOWN
from pyasynq.operations.permissions import Permission

MOST_STREAMS: Final = 100
"""Streams that are open at once."""

SEND_S: Final = 15.0
"""Longest time for a client to take what is sent, seconds; a slower one is cut off."""

LONGEST_S: Final = 600.0
"""Seconds after which a stream ends: the browser opens another one, if its user still may look."""

RETRY_MS: Final = 2000
"""Milliseconds after which a browser connects again."""


async def show_user(call: Call, _given: Nothing) -> object:
    """Return the user, what it may do, and what the broker supports."""
    services, principal = call.services, call.principal
    allowed = [
        permission.value
        for permission in Permission
        if principal.may(permission) and (permission is Permission.READ or not services.read_only)
    ]
    return {
        "name": principal.name,
        "role": principal.role,
        "actions": allowed,
        "read_only": services.read_only,
        "version": __version__,
        "broker": {"name": services.broker.name, "url": services.url},
        "features": {port: services.broker.supports(port) for port in OPTIONAL},
        "limits": {
            "page": MAX_LIMIT,
            "looked_at": MOST_LOOKED_AT,
            "selected": MAX_SELECTED,
            "payload": MAX_SHOWN,
        },
    }


async def show_overview(call: Call, _given: Nothing) -> object:
    """Return queues, totals and alerts."""
    return await call.services.streams.document()


async def stream(call: Call, _given: Nothing) -> Response:
    """Return the stream of overviews.

    Raises:
        Problem: If too many streams are open.
    """
    streams = call.services.streams
    if streams.responses >= MOST_STREAMS:
        text = f"{MOST_STREAMS} streams are open already: ask for the overview instead"
        raise Problem(503, "too-many", text, headers={"Retry-After": "10"})
    return EventStream(streams)


class EventStream(Response):
    """Server-sent events; a client that takes one too slowly misses some, or is cut off."""

    def __init__(self, streams: Streams) -> None:
        """Send the events of *streams*."""
        super().__init__(media_type="text/event-stream", headers={"Cache-Control": "no-store"})
        del self.headers["content-length"]
        # Proxies such as nginx would collect events before they pass them on.
        self.headers["X-Accel-Buffering"] = "no"
        self._streams = streams

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send events until the client leaves."""
        if scope["method"] == "HEAD":
            await super().__call__(scope, receive, send)
            return
        self._streams.responses += 1  # before any wait: many may come together
        try:
            await self._stream(receive, send)
        finally:
            self._streams.responses -= 1

    async def _stream(self, receive: Receive, send: Send) -> None:
        leaving = asyncio.create_task(_wait_for_leave(receive), name="pyasynq dashboard client")
        sending = asyncio.create_task(self._send(send), name="pyasynq dashboard stream")
        try:
            await asyncio.wait([leaving, sending], return_when=asyncio.FIRST_COMPLETED)
        finally:
            leaving.cancel()
            sending.cancel()
            await asyncio.wait([leaving, sending])
        if not sending.cancelled() and (error := sending.exception()) is not None:
            raise error

    async def _send(self, send: Send) -> None:
        start = {"type": "http.response.start", "status": 200, "headers": self.raw_headers}
        await send(start)
        try:
            async with aclosing(self._chunks()) as chunks:
                async for chunk in chunks:
                    async with asyncio.timeout(SEND_S):
                        await send({"type": "http.response.body", "body": chunk, "more_body": True})
        except TimeoutError:
            return  # the server closes the connection, as the body has no end
        await send({"type": "http.response.body", "body": b"", "more_body": False})

    async def _chunks(self) -> AsyncGenerator[bytes]:
        ends_s = time.monotonic() + LONGEST_S
        yield b"retry: %d\n\n" % RETRY_MS
        async with aclosing(self._streams.events()) as events:
            async for event in events:
                yield b"event: %s\ndata: %s\n\n" % (event.name.encode(), event.data)
                if time.monotonic() >= ends_s:
                    return


async def _wait_for_leave(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


ROUTES: Final = (
    reads("showUser", "/me", Nothing, show_user, "The user, and what it may do"),
    reads("showOverview", "/overview", Nothing, show_overview, "Queues, totals and alerts"),
    reads("streamOverview", "/events", Nothing, stream, "The overview, each second"),
)
