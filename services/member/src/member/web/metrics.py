"""Count HTTP requests, and serve all metrics at ``/metrics``."""

from http import HTTPMethod, HTTPStatus

from prometheus_client import CONTENT_TYPE_PLAIN_0_0_4
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from member.metrics import Calls
from member.scrape import Scrape
from member.web.health import NO_STORE

_OTHER = "(other)"
_METHODS = frozenset(HTTPMethod)


def metrics_route(scrape: Scrape) -> Route:
    """Return the route of ``/metrics``."""

    async def metrics(_request: Request) -> Response:
        page = await scrape.page()
        return Response(page, headers=NO_STORE, media_type=CONTENT_TYPE_PLAIN_0_0_4)

    return Route("/metrics", metrics)


class Measured:
    """Middleware that counts and times requests, by the template of their path."""

    def __init__(self, app: ASGIApp, requests: Calls) -> None:
        """Count the requests to *app* in *requests*."""
        self._app = app
        self._requests = requests

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        with self._requests.timing(str(HTTPStatus.INTERNAL_SERVER_ERROR.value)) as call:

            async def send_and_note(message: Message) -> None:
                if message["type"] == "http.response.start":
                    call.code = str(message["status"])
                await send(message)

            try:
                await self._app(scope, receive, send_and_note)
            finally:
                call.what = (_method(scope), _template(scope))


def _method(scope: Scope) -> str:
    """Return the method if it is a standard one, because a caller may send any word."""
    method: str = scope["method"]
    return method if method in _METHODS else _OTHER


def _template(scope: Scope) -> str:
    """Return the path template of the route, never the path that the caller sent."""
    return getattr(scope.get("route"), "path", "") or _OTHER
