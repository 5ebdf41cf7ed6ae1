"""The one app that the HTTP server serves, put together from what the roles ask for."""

from starlette.applications import Starlette
from starlette.routing import BaseRoute, Mount
from starlette.types import ASGIApp

from member.web.requests import RequestLog


def web_app(pages: ASGIApp | None) -> Starlette:
    """Return the app; *pages* is what members see, None in a process without the role ``http``."""
    routes: list[BaseRoute] = []
    if pages:
        routes.append(Mount("/", app=RequestLog(pages)))
    return Starlette(routes=routes)
