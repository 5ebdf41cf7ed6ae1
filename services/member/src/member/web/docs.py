"""The documentation of REST: ``/openapi.json``, and ``/docs`` to read it and try it out."""

import functools
from collections.abc import Mapping
from http import HTTPStatus
from importlib import metadata
from typing import Any

from fastapi import APIRouter, Response
from fastapi.openapi.utils import get_openapi
from fastapi.responses import HTMLResponse, JSONResponse
from fastapi.staticfiles import StaticFiles
from pydantic.json_schema import models_json_schema

from member.web import problems

ASSETS = "/docs/assets"

_DESCRIPTION = """\
The RPCs of `member.v1.MemberService` as JSON. Fields have the names of the proto file; times are
RFC 3339, UTC. Unknown fields are refused.

Errors are problem details (RFC 9457). `code` is the status code that the RPC answers; `violations`
lists every invalid field, and `fields` those whose values another member has.
"""
_TAGS = [
    {"name": "members", "description": "What members do with their accounts."},
    {"name": "sessions", "description": "Log in, renew, list and end sessions, log out."},
    {"name": "verification", "description": "Prove that an address belongs to a member."},
    {"name": "passwords", "description": "Set a new password by a link in a mail."},
]

_PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>Member service</title>
<link rel="stylesheet" href="docs/assets/swagger-ui.css">
</head>
<body>
<div id="docs"></div>
<script src="docs/assets/swagger-ui-bundle.js"></script>
<script src="docs/start.js"></script>
</body>
</html>
"""
_START = 'SwaggerUIBundle({url: "openapi.json", dom_id: "#docs", deepLinking: true})\n'

# Nothing from other hosts; the viewer sets styles and draws its images by itself.
_POLICY = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; "
        "img-src 'self' data:; connect-src 'self'; frame-ancestors 'none'; base-uri 'none'"
    )
}


def assets() -> StaticFiles:
    """Return the files of the viewer."""
    return StaticFiles(packages=[("fastapi_swagger", "resources")])


def router(described: APIRouter) -> APIRouter:
    """Return the routes that document *described*."""
    routes = APIRouter(include_in_schema=False)
    # Built at the first request, so that the start does not wait for it.
    schema = functools.cache(lambda: openapi(described))

    async def show_schema() -> Response:
        return JSONResponse(schema())

    async def show_page() -> Response:
        return HTMLResponse(_PAGE, headers=_POLICY)

    async def start() -> Response:
        return Response(_START, media_type="text/javascript")

    routes.get("/openapi.json")(show_schema)
    routes.get("/docs")(show_page)
    routes.get("/docs/start.js")(start)
    return routes


def openapi(described: APIRouter) -> dict[str, Any]:
    """Return the OpenAPI schema of *described*."""
    schema = get_openapi(
        title="Member service",
        version=metadata.version("member"),
        summary="Members, their sessions, and their verified e-mail addresses",
        description=_DESCRIPTION,
        routes=described.routes,
        tags=_TAGS,
    )
    _, problem = models_json_schema(
        [(problems.Problem, "serialization")], ref_template="#/components/schemas/{model}"
    )
    schema["components"]["schemas"] |= problem["$defs"]
    return schema


def operation(rpc: str, tag: str, *refusals: int) -> dict[str, Any]:
    """Return the description of a route.

    Args:
        rpc: Name of the RPC that the route answers.
        tag: The group of the route.
        refusals: HTTP statuses of its problems, without those that any route may answer.
    """
    statuses = sorted({*refusals, *_ALWAYS})
    return {
        "operation_id": rpc,
        "tags": [tag],
        "responses": {status: _refusal(HTTPStatus(status)) for status in statuses},
    }


def header(description: str) -> dict[str, Any]:
    """Return the description of a response header."""
    return {"description": description, "schema": {"type": "string"}, "required": True}


def _refusal(status: HTTPStatus) -> dict[str, Any]:
    schema = {"$ref": f"#/components/schemas/{problems.Problem.__name__}"}
    described = {"description": status.phrase, "content": {problems.MEDIA_TYPE: {"schema": schema}}}
    return described | ({"headers": _HEADERS[status]} if status in _HEADERS else {})


_ALWAYS = (
    HTTPStatus.UNPROCESSABLE_ENTITY,
    HTTPStatus.TOO_MANY_REQUESTS,
    HTTPStatus.INTERNAL_SERVER_ERROR,
    HTTPStatus.SERVICE_UNAVAILABLE,
)
_HEADERS: Mapping[HTTPStatus, dict[str, Any]] = {
    HTTPStatus.UNAUTHORIZED: {"WWW-Authenticate": header("The authentication scheme: Bearer.")},
    HTTPStatus.TOO_MANY_REQUESTS: {"Retry-After": header("Seconds to wait.")},
}
