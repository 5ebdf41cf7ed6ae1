"""The dashboard as an ASGI app."""

import re
from collections.abc import Sequence
from typing import Final, Self
from urllib.parse import quote

from starlette.applications import Starlette
from starlette.datastructures import MutableHeaders
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route as StarletteRoute
from starlette.types import Message, Receive, Scope, Send

from pyasynq.broker import BrokerAddress
from pyasynq.core.codec import Codec
from pyasynq.core.errors import OptionError
from pyasynq.dashboard import openapi
from pyasynq.dashboard.api import ROUTES
from pyasynq.dashboard.gate import Gate
from pyasynq.dashboard.login import Authorize, LoopbackLogin, NoLogin, is_address
from pyasynq.dashboard.problems import Problem
from pyasynq.dashboard.routes import Handler, Nothing, Route, check_routes, reads
from pyasynq.dashboard.services import Services
from pyasynq.dashboard.static_files import show_file, show_index
from pyasynq.operations.payloads import Redact
from pyasynq.operations.permissions import Permission

POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
    "connect-src 'self'; font-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors {}"
)
HEADERS: Final = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
}
_HOST: Final = re.compile(r"(?P<name>\[[0-9A-Fa-f:.]+\]|[^:\[\]]*)(:\d+)?")
_ANCESTOR: Final = re.compile(r"'self'|[\w.*:/\[\]-]+")


def all_routes() -> list[Route]:
    """Return all routes; each asks for one permission."""
    api = list(ROUTES)
    document = openapi.handler(api)
    return [
        _page("showIndex", "/", show_index, "The page"),
        _page("showFile", "/static/{file:path}", show_file, "A file of the page"),
        reads("showOpenapi", "/openapi.json", Nothing, document, "The OpenAPI document"),
        *api,
    ]


def _page(name: str, path: str, handler: Handler, summary: str) -> Route:
    return Route(
        name=name,
        method="GET",
        path=path,
        permission=Permission.READ,
        input=Nothing,
        handler=handler,
        summary=summary,
    )


class Dashboard:
    """Shows queues, tasks, workers and schedules, and acts on them; an ASGI app.

    It can be mounted at any prefix. It opens its connections with the first request, because the
    lifespan of a mounted app does not run; all requests must come from one event loop.
    """

    def __init__(  # noqa: PLR0913 - all but one are by keyword
        self,
        broker: BrokerAddress,
        *,
        authorize: Authorize | None = None,
        read_only: bool = False,
        redact: Redact | None = None,
        codecs: Sequence[Codec] = (),
        hosts: Sequence[str] | None = None,
        frame_ancestors: Sequence[str] = (),
    ) -> None:
        """Show what is in *broker*; nothing is sent before the first request.

        Args:
            broker: A URL, a bare ``host:port``, a redis-py asyncio client, or an open broker; the
                last two stay yours to close.
            authorize: Returns the `Principal` of a request, or None if it must log in; may be
                async. None lets in every program on this machine, as an administrator.
            read_only: Whether nothing may be changed.
            redact: Takes the type of a task and its payload or result, and returns what may be
                shown of it; searches see the same.
            codecs: Open payloads and results.
            hosts: Names in the ``Host`` header that are accepted beside addresses, without ports;
                other names may be an attack by DNS rebinding. None accepts ``localhost`` if
                *authorize* looks at no credentials, and else all names.
            frame_ancestors: Sources whose pages may embed the dashboard, as in the directive of the
                same name, for example ``'self'``; by default none.

        Raises:
            OptionError: If the broker, a codec or a source cannot be used.
        """
        for source in frame_ancestors:
            if not _ANCESTOR.fullmatch(source):
                raise OptionError("frame_ancestors", source, "'self', or an origin")
        if hosts is None and (authorize is None or isinstance(authorize, NoLogin)):
            hosts = ("localhost",)
        self._hosts = None if hosts is None else {name.lower() for name in hosts}
        policy = POLICY.format(" ".join(frame_ancestors) or "'none'")
        self._headers = {**HEADERS, "Content-Security-Policy": policy}
        self._services = Services(broker, read_only=read_only, redact=redact, codecs=codecs)
        gate = Gate(self._services, authorize or LoopbackLogin())
        routes = all_routes()
        check_routes(routes)
        self._app = Starlette(
            routes=[
                StarletteRoute(it.path, gate.endpoint(it), methods=[it.method], name=it.name)
                for it in routes
            ],
            exception_handlers={HTTPException: _answer_error},
        )
        self._app.router.redirect_slashes = False

    async def __aenter__(self) -> Self:
        """Return the dashboard."""
        return self

    async def __aexit__(self, *_exc: object) -> None:
        """Close the dashboard."""
        await self.aclose()

    def end_streams(self) -> None:
        """End all streams, for which a server would wait when it stops."""
        self._services.streams.end_streams()

    async def aclose(self) -> None:
        """Stop what runs, and close the connections that the dashboard opened."""
        await self._services.aclose()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, or run the lifespan."""
        match scope["type"]:
            case "http":
                await self._answer(scope, receive, self._add_headers(send))
            case "lifespan":
                await self._live(receive, send)
            case _:
                await send({"type": "websocket.close", "code": 1000})

    async def _live(self, receive: Receive, send: Send) -> None:
        await receive()
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await self.aclose()
        await send({"type": "lifespan.shutdown.complete"})

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope)
        if not self._accepts(request.headers.getlist("host")):
            text = "this name is not among the hosts of the dashboard"
            response: Response = Problem(421, "host-not-allowed", text).response()
            await response(scope, receive, send)
        elif scope["path"] == scope.get(
            "root_path", ""
        ):  # the page has relative links, so its path needs the slash
            response = RedirectResponse(f"{scope.get('root_path', '')}/", 307)
            await response(scope, receive, send)
        else:
            await self._app(scope, receive, send)

    def _accepts(self, hosts: Sequence[str]) -> bool:
        if self._hosts is None:
            return True
        found = _HOST.fullmatch(hosts[0]) if len(hosts) == 1 else None
        if found is None:
            return False
        return found["name"].lower() in self._hosts or is_address(found["name"].strip("[]"))

    def _add_headers(self, send: Send) -> Send:
        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in self._headers.items():
                    headers[name] = value
            await send(message)

        return send_with_headers


async def _answer_error(request: Request, error: Exception) -> Response:
    """Answer what no route answers."""
    status = error.status_code if isinstance(error, HTTPException) else 500
    code = {404: "not-found", 405: "method-not-allowed"}.get(status, "invalid")
    if code == "not-found" and (page := _page_of(request)):
        return RedirectResponse(page, 307)
    headers = error.headers if isinstance(error, HTTPException) else None
    return Problem(status, code, "there is nothing here", headers=headers).response()


def _page_of(request: Request) -> str | None:
    """Return the address of the page that a reader means who has typed a plain path."""
    root = request.scope.get("root_path", "")
    path = request.scope["path"].removeprefix(root)
    if "text/html" not in request.headers.get("accept", ""):
        return None
    if path.startswith(("/api/", "/static/")):
        return None
    query = f"?{request.url.query}" if request.url.query else ""
    return f"{root}/#{quote(path)}{query}"
