"""Limit the size, the time and the number of HTTP requests."""

import asyncio
from collections.abc import Mapping
from http import HTTPStatus

from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from member.bounds import Bounds
from member.web import problems

# Programs that watch the process need an answer even while it is busy.
_WATCHERS = frozenset({"/healthz", "/readyz", "/metrics"})
_RETRY_AFTER = {"Retry-After": "1"}


class _RefusedError(Exception):
    """The request is above a limit."""

    def __init__(self, status: HTTPStatus, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(status.phrase)
        self.answer = problems.of_http(HTTPException(status, headers=headers))


class Bounded:
    """Passes complete requests to an app, if they are not too big and not too many at once.

    A request counts only once it is complete, so slow clients do not keep others out.
    """

    def __init__(self, app: ASGIApp, bounds: Bounds) -> None:
        """Limit the requests to *app* by *bounds*."""
        self._app = app
        self._bounds = bounds
        self._running = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, or refuse it."""
        try:
            self._check_head(Headers(scope=scope))
            body = await self._body(receive)
            self._enter(scope)
        except _RefusedError as refused:
            await refused.answer(scope, receive, send)
        except ClientDisconnect:
            return  # there is nobody to answer
        else:
            try:
                await self._app(scope, _replay(body, receive), send)
            finally:
                self._running -= 1

    def _check_head(self, headers: Headers) -> None:
        # h11 limits the size of incomplete heads only.
        if sum(len(name) + len(value) for name, value in headers.raw) > self._bounds.header_bytes:
            raise _RefusedError(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE)
        if int(headers.get("Content-Length", "0")) > self._bounds.request_bytes:
            raise _RefusedError(HTTPStatus.REQUEST_ENTITY_TOO_LARGE)

    async def _body(self, receive: Receive) -> bytes:
        try:
            async with asyncio.timeout(self._bounds.sending.total_seconds()):
                return await _read(receive, self._bounds.request_bytes)
        except TimeoutError:
            raise _RefusedError(HTTPStatus.REQUEST_TIMEOUT, {"Connection": "close"}) from None

    def _enter(self, scope: Scope) -> None:
        if self._running >= self._bounds.calls_at_once and scope["path"] not in _WATCHERS:
            raise _RefusedError(HTTPStatus.SERVICE_UNAVAILABLE, _RETRY_AFTER)
        self._running += 1


async def _read(receive: Receive, most: int) -> bytes:
    """Return the body, in however many pieces it comes; refuse more than *most* bytes."""
    body, more = bytearray(), True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientDisconnect
        body += message.get("body", b"")
        more = message.get("more_body", False)
        if len(body) > most:
            raise _RefusedError(HTTPStatus.REQUEST_ENTITY_TOO_LARGE)
    return bytes(body)


def _replay(body: bytes, receive: Receive) -> Receive:
    """Return a receiver that returns the complete *body* first, then the messages of *receive*."""
    messages: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

    async def give() -> Message:
        return messages.pop() if messages else await receive()

    return give
