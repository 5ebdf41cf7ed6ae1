"""Keep HTTP requests within bounds, as gRPC keeps its own."""

import asyncio
from collections.abc import Mapping
from http import HTTPStatus

from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from member.bounds import Bounds
from member.web import problems

# What watches the process must learn how it is just when it has much to do.
_WATCHERS = frozenset({"/healthz", "/readyz", "/metrics"})
_RETRY_AFTER = {"Retry-After": "1"}


class _RefusedError(Exception):
    """The request goes beyond a bound."""

    def __init__(self, status: HTTPStatus, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(status.phrase)
        self.answer = problems.of_http(HTTPException(status, headers=headers))


class Bounded:
    """Gives an app whole requests that are not too big, and not too many at once.

    A request is counted only when all of it is there, so slow clients keep nobody out.
    """

    def __init__(self, app: ASGIApp, bounds: Bounds) -> None:
        """Keep the requests to *app* within *bounds*."""
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
        # h11 bounds heads only as long as they are not whole.
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
    """Return the body, however many pieces it comes in, if it has *most* bytes or less."""
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
    """Return what gives the whole *body* first, then what *receive* gives."""
    messages: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

    async def give() -> Message:
        return messages.pop() if messages else await receive()

    return give
