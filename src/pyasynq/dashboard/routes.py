"""What a route is: a method, a path, the permission that it asks for, and its handler."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Literal, TypeAlias, TypeVar

import msgspec
from starlette.requests import Request

from pyasynq.operations.permissions import Permission, Principal

if TYPE_CHECKING:
    from pyasynq.dashboard.services import Services

API: Final = "/api/v1"
"""Where the JSON API begins."""


class Nothing(msgspec.Struct, frozen=True, kw_only=True):
    """The input of a route that takes none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One request that was let in.

    Attributes:
        services: What answers it.
        principal: The person or program behind it.
        request: The request.
    """

    services: "Services"
    principal: Principal
    request: Request


T = TypeVar("T", bound=msgspec.Struct)
Handler: TypeAlias = Callable[[Call, Any], Awaitable[object]]
"""Takes a call and its input; returns a response, or what becomes the JSON of one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """A route.

    Attributes:
        name: Its name, which is the ``operationId`` in the OpenAPI document.
        method: ``GET`` reads, ``POST`` changes something.
        path: Path below the dashboard's prefix.
        permission: What its principal must be permitted.
        input: Struct of the query of a ``GET``, or of the body of a ``POST``.
        handler: Answers a call.
        summary: What it does, in one line.
        status: Status of a successful answer.
    """

    name: str
    method: Literal["GET", "POST"]
    path: str
    permission: Permission
    input: type[msgspec.Struct]
    handler: Handler
    summary: str
    status: int = 200

    @property
    def changes(self) -> bool:
        """Whether the route changes something."""
        return self.method == "POST"


MakeRoute: TypeAlias = Callable[[Permission, type[msgspec.Struct], Handler, str], Route]


def reads(
    name: str,
    path: str,
    input: type[T],
    handler: Callable[[Call, T], Awaitable[object]],
    summary: str,
) -> Route:
    """Return a route of the API that reads."""
    return Route(
        name=name,
        method="GET",
        path=API + path,
        permission=Permission.READ,
        input=input,
        handler=handler,
        summary=summary,
    )


def acts_on(target: str, path: str, *, status: int = 200) -> MakeRoute:
    """Return a function that makes routes of the API that act, each named after its permission.

    It takes what the principal must be permitted, the struct of the body, the handler, and what
    the route does, in one line.

    Args:
        target: What they act on, for their names: ``Tasks`` makes ``runTasks`` of ``task.run``.
        path: Path that the action follows, such as ``/tasks``.
        status: Status of a successful answer.
    """

    def act(
        permission: Permission, input: type[msgspec.Struct], handler: Handler, summary: str
    ) -> Route:
        action = permission.value.partition(".")[2]
        return Route(
            name=action + target,
            method="POST",
            path=f"{API}{path}/{action}",
            permission=permission,
            input=input,
            handler=handler,
            summary=summary,
            status=status,
        )

    return act


def check_routes(routes: Sequence[Route]) -> None:
    """Return if each route asks for a permission that fits its method, and is there once.

    Raises:
        ValueError: If one does not.
    """
    for route in routes:
        if route.changes == (route.permission is Permission.READ):
            msg = f"route {route.name} may not be {route.method} with permission {route.permission}"
            raise ValueError(msg)
    for attribute in ("name", "path"):
        values = [getattr(route, attribute) for route in routes]
        if len(values) != len(set(values)):
            msg = f"two routes have the same {attribute}"
            raise ValueError(msg)
