"""The one app that the HTTP server serves, put together from what the roles ask for."""

from starlette.applications import Starlette
from starlette.routing import BaseRoute, Mount
from starlette.types import ASGIApp

from member.health import Health
from member.web.health import health_routes


def web_app(health: Health, pages: ASGIApp | None) -> Starlette:
    """Return the app; *pages* is what members see, None in a process without the role ``http``."""
    routes: list[BaseRoute] = [*health_routes(health)]
    if pages:
        routes.append(Mount("/", app=pages))
    return Starlette(routes=routes)
