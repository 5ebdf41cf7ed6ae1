"""Log every HTTP request, and give its log lines an id."""

import time

import structlog
from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from member import request_ids, tracing

log: structlog.stdlib.BoundLogger = structlog.get_logger(__name__)


class RequestLog:
    """Middleware that logs requests, but never their URL, because the query may hold a token."""

    def __init__(self, app: ASGIApp) -> None:
        """Log the requests to *app*."""
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers, method = Headers(scope=scope), scope["method"]
        request_id = request_ids.request_id(headers.get(request_ids.HEADER))
        start, status = time.perf_counter(), 0

        async def send_and_note(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = int(message["status"])  # a plain number, not an HTTPStatus
                MutableHeaders(scope=message)[request_ids.HEADER] = request_id
            await send(message)

        with request_ids.bind(request_id):
            try:
                with tracing.span("server", method, headers) as rename:
                    await self._app(scope, receive, send_and_note)
                    rename(f"{method} {_template(scope)}".rstrip())
            except Exception:  # the caller already has an answer, without details
                log.exception("request failed")
            log.info(
                "request answered",
                method=method,
                route=_template(scope),
                status=status,
                ms=round((time.perf_counter() - start) * 1000, 1),
            )


def _template(scope: Scope) -> str:
    """Return the path template of the route, never the path that the caller sent."""
    return getattr(scope.get("route"), "path", "")
