"""The app of the HTTP server, with the routes that the roles need."""

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.routing import BaseRoute, Mount
from starlette.types import ASGIApp

from member.health import Health
from member.metrics import Metrics
from member.scrape import Scrape
from member.web.health import health_routes
from member.web.metrics import Measured, metrics_route
from member.web.requests import RequestLog


def web_app(
    health: Health, metrics: Metrics, scrape: Scrape | None, pages: ASGIApp | None
) -> Starlette:
    """Return the app.

    Args:
        health: The health of the process.
        metrics: Counts the requests.
        scrape: Answers ``/metrics``; None: there is no such page.
        pages: The pages and REST for members; None in a process without the role ``http``.
    """
    routes: list[BaseRoute] = [*health_routes(health)]
    if scrape:
        routes.append(metrics_route(scrape))
    if pages:
        routes.append(Mount("/", app=RequestLog(pages)))
    return Starlette(routes=routes, middleware=[Middleware(Measured, requests=metrics.requests)])
