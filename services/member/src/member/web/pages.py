"""The page that a verification link opens.

Opening it changes nothing, so a mail scanner that fetches links verifies nobody; the
button on it posts, and only that verifies.
"""

from collections.abc import Awaitable, Callable
from http import HTTPStatus
from typing import TypeAlias

from fastapi import FastAPI, Request, Response
from fastapi.responses import HTMLResponse
from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape

from member import locales
from member.callers import Caller
from member.errors import LinkError
from member.service import MemberService
from member.statuses import status_of
from member.web import rest
from member.web.texts import TEXTS

Next: TypeAlias = Callable[[Request], Awaitable[Response]]

_TEMPLATES = Environment(
    loader=PackageLoader("member.web"),
    autoescape=select_autoescape(["html"]),
    undefined=StrictUndefined,
)

# The address of the page holds the token: it must not reach other sites, caches or frames.
_HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": (
        "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'; "
        "frame-ancestors 'none'; base-uri 'none'"
    ),
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Robots-Tag": "noindex",
}


def pages(service: MemberService) -> FastAPI:
    """Return the pages of *service*."""
    app = FastAPI(openapi_url=None)

    async def look(request: Request, token: str = "") -> Response:
        already = await service.verifications.look(_caller(request), token)
        return _page(request, "already" if already else "confirm")

    async def confirm(request: Request, token: str = "") -> Response:
        verified = await service.verifications.verify(_caller(request), token)
        return _page(request, "already" if verified.already else "verified")

    app.get("/verify-email")(look)
    app.post("/verify-email")(confirm)
    app.add_exception_handler(LinkError, _link_error)
    app.middleware("http")(_add_headers)
    rest.add_to(app, service)
    return app


def _caller(request: Request) -> Caller:
    return Caller(address=request.client.host if request.client else "")


async def _link_error(request: Request, error: Exception) -> Response:
    if not isinstance(error, LinkError):
        raise error
    return _page(request, type(error).__name__, status_of(error).http)


async def _add_headers(request: Request, call_next: Next) -> Response:
    response = await call_next(request)
    response.headers.update({**_HEADERS, **response.headers})
    return response


def _page(request: Request, scene: str, status: HTTPStatus = HTTPStatus.OK) -> Response:
    locale = locales.accepted(request.headers.get("Accept-Language", ""))
    text = TEXTS[locale]
    html = _TEMPLATES.get_template("verify_email.html").render(
        lang="zh-Hant-TW" if locale == "zh-TW" else locale,
        scene=scene,
        title=text.titles[scene],
        body=text.bodies[scene],
        button=text.button,
    )
    return HTMLResponse(html, status)
