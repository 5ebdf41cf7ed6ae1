"""The OpenAPI document, made from the routes."""

from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any, Final, cast

import msgspec

from pyasynq import __version__
from pyasynq.dashboard.routes import API, Call, Handler, Nothing, Route
from pyasynq.operations.permissions import LEAST_ROLE

REFERENCE: Final = "#/components/schemas/{name}"
PROBLEM: Final[Mapping[str, object]] = {
    "type": "object",
    "description": "An error, as RFC 9457 describes it.",
    "properties": {
        "type": {"type": "string"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "code": {"type": "string"},
        "detail": {"type": "string"},
        "field": {"type": "string"},
    },
    "required": ["type", "title", "status", "code", "detail"],
}


def document(routes: Sequence[Route]) -> dict[str, object]:
    """Return the OpenAPI document of *routes*."""
    bodies = [route.input for route in routes if route.changes]
    schemas, components = msgspec.json.schema_components(bodies, ref_template=REFERENCE)
    by_input = dict(zip(bodies, schemas, strict=True))
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "pyasynq dashboard",
            "version": __version__,
            "description": "Read queues and tasks, and act on them.",
        },
        "servers": [{"url": "."}],
        "paths": {
            route.path.removeprefix(API): {
                route.method.lower(): _operation(route, by_input.get(route.input))
            }
            for route in routes
        },
        "components": {"schemas": {**components, "Problem": PROBLEM}},
    }


def _operation(route: Route, body: Mapping[str, object] | None) -> dict[str, object]:
    role = LEAST_ROLE[route.permission]
    stream = route.name == "streamOverview"
    media_type = "text/event-stream" if stream else "application/json"
    schema = {"type": "string"} if stream else {"type": "object"}
    operation: dict[str, object] = {
        "operationId": route.name,
        "summary": route.summary,
        "description": f"Asks for the permission `{route.permission}`: role {role} or higher.",
        "x-permission": route.permission.value,
        "responses": {
            str(route.status): {
                "description": route.summary,
                "content": {media_type: {"schema": schema}},
            },
            "default": {
                "description": "An error",
                "content": {
                    "application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}
                },
            },
        },
    }
    if body is not None:
        content = {"application/json": {"schema": body}}
        operation["requestBody"] = {"required": True, "content": content}
    elif route.input is not Nothing:
        operation["parameters"] = _parameters(route.input)
    return operation


def _parameters(input: type[msgspec.Struct]) -> list[dict[str, object]]:
    """Return the parameters of a query."""
    _, components = msgspec.json.schema_components([input], ref_template=REFERENCE)
    schema = cast("dict[str, Any]", components[input.__name__])
    required = schema.get("required", [])
    return [
        {"name": name, "in": "query", "required": name in required, "schema": value}
        for name, value in schema["properties"].items()
    ]


def handler(routes: Sequence[Route]) -> Handler:
    """Return what answers with the document of *routes*, which is made for the first request."""
    make = cache(lambda: document(routes))

    async def show(_call: Call, _given: Nothing) -> object:
        return make()

    return show
