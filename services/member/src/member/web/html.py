"""HTML from templates, and the headers that keep every answer to its reader."""

from base64 import b64encode
from collections.abc import Mapping
from hashlib import sha256
from http import HTTPStatus

from fastapi import Response
from fastapi.responses import HTMLResponse
from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape
from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

_TEMPLATES = Environment(
    loader=PackageLoader("member.web"),
    autoescape=select_autoescape(["html"]),
    undefined=StrictUndefined,
    trim_blocks=True,
)


_POLICY = (
    "default-src 'none'; img-src data:; form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
)

# The address of a page may hold a token: it must not reach other sites, caches or frames.
HEADERS: Mapping[str, str] = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": _POLICY,
    "Cross-Origin-Opener-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Robots-Tag": "noindex",
}


class Shielded:
    """Gives every answer the headers that keep it to its reader, unless it has its own."""

    def __init__(self, app: ASGIApp) -> None:
        """Shield the answers of *app*."""
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on."""

        async def answering(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    headers.setdefault(name, value)
            await send(message)

        await self._app(scope, receive, answering)


def page(
    template: str,
    status: HTTPStatus = HTTPStatus.OK,
    *,
    style: str,
    policy: str = "",
    **values: object,
) -> Response:
    """Return a page made of *template*.

    Args:
        template: Extends ``page.html``.
        status: The answer's status.
        style: The template of the only style sheet that the page may have.
        policy: What the page may do besides, as directives of a content security policy.
        values: What *template* asks for.
    """
    html = _TEMPLATES.get_template(template).render(style=style, **values)
    whole = "; ".join(filter(None, (_POLICY, f"style-src {_hash_of(style)}", policy)))
    return HTMLResponse(html, status, headers={"Content-Security-Policy": whole})


def _hash_of(style: str) -> str:
    digest = sha256(_TEMPLATES.get_template(style).render().encode()).digest()
    return f"'sha256-{b64encode(digest).decode()}'"
