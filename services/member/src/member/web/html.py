"""HTML from templates."""

from base64 import b64encode
from hashlib import sha256
from http import HTTPStatus

from fastapi import Response
from fastapi.responses import HTMLResponse
from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape

from member.web.shield import POLICY

_TEMPLATES = Environment(
    loader=PackageLoader("member.web"),
    autoescape=select_autoescape(["html"]),
    undefined=StrictUndefined,
    trim_blocks=True,
)


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
        template: Name of the template; it extends ``page.html``.
        status: HTTP status of the answer.
        style: Name of the template of the page's only style sheet.
        policy: More directives for the content security policy.
        values: Values for *template*.
    """
    html = _TEMPLATES.get_template(template).render(style=style, **values)
    whole = "; ".join(filter(None, (POLICY, f"style-src {_hash_of(style)}", policy)))
    return HTMLResponse(html, status, headers={"Content-Security-Policy": whole})


def _hash_of(style: str) -> str:
    digest = sha256(_TEMPLATES.get_template(style).render().encode()).digest()
    return f"'sha256-{b64encode(digest).decode()}'"
