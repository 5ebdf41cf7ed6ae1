"""The pages that links in mails open: to verify an address, and to set a new password.

Opening a page changes nothing, so a mail scanner that fetches links verifies nobody. Only
the button, which posts, changes something. A post needs nothing but the token in the link,
so another site gains nothing if it makes a reader's browser post.
"""

from collections.abc import Awaitable, Callable
from http import HTTPStatus
from pathlib import Path
from typing import TypeAlias
from urllib.parse import parse_qs

import structlog
from fastapi import APIRouter, FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import RedirectResponse
from starlette.exceptions import HTTPException

from member import locales
from member.errors import InvalidInputError, MemberError
from member.service import MemberService
from member.statuses import status_of
from member.web import problems, rest
from member.web.callers import caller_of
from member.web.html import page
from member.web.inbox import inbox
from member.web.texts import TEXTS

log: structlog.stdlib.BoundLogger = structlog.get_logger(__name__)

Next: TypeAlias = Callable[[Request], Awaitable[Response]]


def pages(
    service: MemberService,
    mailbox: Path | None = None,
    *,
    public_url: str = "",
    documented: bool = True,
) -> FastAPI:
    """Return the pages of *service*.

    Args:
        service: The service that the pages call.
        mailbox: Folder that the development inbox shows; None: there is no inbox.
        public_url: How browsers reach the pages.
        documented: Whether the documentation of REST exists.
    """
    app = FastAPI(openapi_url=None)
    app.include_router(_verify_email(service))
    app.include_router(_reset_password(service))
    if mailbox:
        app.include_router(inbox(mailbox, public_url))
    rest.add_to(app, service, documented=documented, otherwise=_http_error)
    app.add_exception_handler(MemberError, _refuse)
    app.add_exception_handler(RequestValidationError, _answer_invalid)
    app.middleware("http")(_catch_errors)
    return app


def _verify_email(service: MemberService) -> APIRouter:
    router = APIRouter()

    async def show(request: Request, token: str = "") -> Response:
        already = await service.verifications.check(caller_of(request), token)
        return _page(request, "already" if already else "confirm")

    async def confirm(request: Request, token: str = "") -> Response:
        verified = await service.verifications.verify(caller_of(request), token)
        # Redirect, so that a reload does not post again; relative, for proxies with a path prefix.
        where = f"?{request.url.query}" if verified.already else "verify-email/verified"
        return RedirectResponse(where, HTTPStatus.SEE_OTHER)

    async def verified(request: Request) -> Response:
        return _page(request, "verified")

    router.add_api_route("/verify-email", show, methods=["GET", "HEAD"])
    router.add_api_route("/verify-email", confirm, methods=["POST"])
    router.add_api_route("/verify-email/verified", verified, methods=["GET", "HEAD"])
    return router


def _reset_password(service: MemberService) -> APIRouter:
    router = APIRouter()

    async def show(request: Request, token: str = "") -> Response:
        await service.password_resets.check(caller_of(request), token)
        return _page(request, "reset")

    async def reset(request: Request, token: str = "") -> Response:
        new = await _field(request, "new_password")
        try:
            await service.password_resets.reset(caller_of(request), token, new)
        except InvalidInputError as error:
            return _page(request, "unfit", status_of(error).http)
        # Redirect: a reload would post the password again.
        return RedirectResponse("reset-password/done", HTTPStatus.SEE_OTHER)

    async def done(request: Request) -> Response:
        return _page(request, "reset_done")

    router.add_api_route("/reset-password", show, methods=["GET", "HEAD"])
    router.add_api_route("/reset-password", reset, methods=["POST"])
    router.add_api_route("/reset-password/done", done, methods=["GET", "HEAD"])
    return router


async def _field(request: Request, name: str) -> str:
    """Return the value of a form's field, as browsers send it; empty if it is missing."""
    try:
        form = parse_qs((await request.body()).decode("ascii"), errors="strict", max_num_fields=8)
    except ValueError:
        return ""
    return form.get(name, [""])[0]


async def _refuse(request: Request, error: Exception) -> Response:
    if not isinstance(error, MemberError):
        raise error
    response = _page(request, type(error).__name__, status_of(error).http)
    response.headers.update(problems.headers_of(error))
    return response


async def _http_error(request: Request, error: Exception) -> Response:
    if not isinstance(error, HTTPException):
        raise error
    return _failure(request, error)


async def _answer_invalid(request: Request, _error: Exception) -> Response:
    return _failure(request, HTTPException(HTTPStatus.UNPROCESSABLE_ENTITY))


async def _catch_errors(request: Request, call_next: Next) -> Response:
    try:
        return await call_next(request)
    except Exception:  # the reader must not see it
        log.exception("page failed", path=request.url.path)
        return _failure(request, HTTPException(HTTPStatus.INTERNAL_SERVER_ERROR))


def _failure(request: Request, error: HTTPException) -> Response:
    """Return *error*: a page for people, problem details for programs."""
    if "text/html" not in request.headers.get("Accept", ""):
        return problems.of_http(error)
    status = HTTPStatus(error.status_code)
    response = _page(request, f"{status:d}", status)
    response.headers.update(error.headers or {})
    return response


def _page(request: Request, scene: str, status: HTTPStatus = HTTPStatus.OK) -> Response:
    locale = locales.from_accept_language(request.headers.get("Accept-Language", ""))
    text = TEXTS[locale]
    key = next(known for known in (scene, f"{status:d}", "500") if known in text.titles)
    return page(
        "link.html",
        status,
        style="link.css",
        lang="zh-Hant-TW" if locale == "zh-TW" else locale,
        scene=scene,
        title=text.titles[key],
        body=text.bodies[key],
        button=text.buttons.get(scene, ""),
        label=text.label,
    )
