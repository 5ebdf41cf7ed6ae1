"""The gate that every request to a route passes: login, origin, permission, input, errors."""

import asyncio
import inspect
import re
from collections.abc import Callable
from typing import Final, TypeVar

import msgspec
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from pyasynq.core.errors import PyasynqError
from pyasynq.core.json_form import to_json_types
from pyasynq.dashboard.login import Authorize
from pyasynq.dashboard.problems import Problem, problem_of
from pyasynq.dashboard.routes import Call, Route
from pyasynq.dashboard.services import Services
from pyasynq.operations.permissions import LEAST_ROLE, Principal
from pyasynq.runtime.loggers import get_logger

T = TypeVar("T")

MAX_BODY: Final = 1024 * 1024
"""Largest body of a request, bytes."""

MAX_DISCARDED: Final = 64 * 1024 * 1024
"""Bytes of a larger body that are read nevertheless: most clients read no answer before they have
sent everything, and would see only that the connection breaks."""

BODY_S: Final = 20.0
"""Longest time for a client to send a body, seconds."""

JSON: Final = "application/json"
_FIELD: Final = re.compile(r"`\$\.(?P<field>\w+)")

log: Final = get_logger("pyasynq.dashboard")


class Gate:
    """Lets requests in, and turns every error into a problem document."""

    def __init__(self, services: Services, authorize: Authorize) -> None:
        """Ask *authorize* for the principal of each request."""
        self._services = services
        self._authorize = authorize

    def endpoint(self, route: Route) -> Callable[[Request], object]:
        """Return the endpoint of *route*."""

        async def answer(request: Request) -> Response:
            try:
                return await self._answer(route, request)
            except Problem as problem:
                return problem.response()
            except PyasynqError as error:
                return problem_of(error).response()
            except ClientDisconnect:
                return Response(status_code=400)
            except Exception:
                log.exception("route %s failed", route.name)
                text = "the dashboard has a fault; its log has the traceback"
                return Problem(500, "internal", text).response()

        return answer

    async def _answer(self, route: Route, request: Request) -> Response:
        check_site(request, changes=route.changes)
        principal = await self._principal(request)
        self._check_permission(route, principal)
        given = await read_body(request, route) if route.changes else read_query(request, route)
        call = Call(services=self._services, principal=principal, request=request)
        result = await route.handler(call, given)
        if isinstance(result, Response):
            return result
        body = msgspec.json.encode(to_json_types(result))
        headers = {"Cache-Control": "no-store"}
        return Response(body, route.status, headers=headers, media_type=JSON)

    async def _principal(self, request: Request) -> Principal:
        found = self._authorize(request)
        principal = await found if inspect.isawaitable(found) else found
        if principal is None:
            raise Problem(401, "login-required", "log in first")
        return principal

    def _check_permission(self, route: Route, principal: Principal) -> None:
        permission = route.permission
        if not principal.may(permission):
            role = LEAST_ROLE[permission]
            text = f"{principal.name} may not do this: {permission} needs the role {role}"
            raise Problem(403, "forbidden", text, action=permission.value, role=role.value)
        if route.changes and self._services.read_only:
            text = "this dashboard is read-only"
            raise Problem(403, "read-only", text, action=permission.value)


def check_site(request: Request, *, changes: bool) -> None:
    """Return if a page of another site has not sent *request*.

    Browsers say which site a request comes from; programs send neither header.

    Raises:
        Problem: If it has, or if it may have and *changes* something.
    """
    site = request.headers.get("sec-fetch-site")
    if site is not None:
        navigates = request.headers.get("sec-fetch-mode") == "navigate" and not changes
        if site == "same-origin" or navigates or (site == "none" and not changes):
            return
        raise Problem(403, "cross-site", "requests from pages of other sites are refused")
    origin = request.headers.get("origin")
    if origin is not None and origin.partition("://")[2] != request.headers.get("host"):
        raise Problem(403, "cross-site", "requests from pages of other sites are refused")


def read_query(request: Request, route: Route) -> msgspec.Struct:
    """Return the query of *request* as the input of *route*.

    Raises:
        Problem: If it is not one.
    """
    given = dict(request.query_params)
    if unknown := given.keys() - set(route.input.__struct_fields__):
        text = f"there is no parameter {min(unknown)!r}"
        raise Problem(400, "invalid", text, field=min(unknown))
    return _convert(lambda: msgspec.convert(given, route.input, strict=False))


async def read_body(request: Request, route: Route) -> msgspec.Struct:
    """Return the body of *request* as the input of *route*.

    Raises:
        Problem: If it is not one.
    """
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != JSON:
        raise Problem(415, "not-json", f"send the body as {JSON}")
    try:
        async with asyncio.timeout(BODY_S):
            body = await _read(request)
    except TimeoutError:
        raise Problem(408, "too-slow", "the body did not arrive in time") from None
    return _convert(lambda: msgspec.json.decode(body, type=route.input))


async def _read(request: Request) -> bytes:
    body, size = bytearray(), 0
    async for chunk in request.stream():
        size += len(chunk)
        if size <= MAX_BODY:
            body += chunk
        elif size > MAX_DISCARDED:
            break
    if size > MAX_BODY:
        text = f"the body may have at most {MAX_BODY} bytes"
        raise Problem(413, "too-large", text, headers={"Connection": "close"})
    return bytes(body)


def _convert(convert: Callable[[], T]) -> T:
    try:
        return convert()
    except (msgspec.DecodeError, UnicodeError) as error:
        found = _FIELD.search(str(error))
        raise Problem(400, "invalid", str(error), field=found and found["field"]) from error
