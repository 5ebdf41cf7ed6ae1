"""Do something to several things, and say which of them refused."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import TypeVar

from pyasynq.core.errors import PyasynqError
from pyasynq.dashboard.problems import problem_of
from pyasynq.dashboard.routes import Call
from pyasynq.operations.permissions import Permission

T = TypeVar("T")


async def do_each(
    call: Call,
    permission: Permission,
    items: Sequence[T],
    act: Callable[[T], Awaitable[object]],
    name: Callable[[T], Mapping[str, object]],
    *,
    detail: str = "",
) -> dict[str, object]:
    """Call *act* for each of *items*, which *permission* allows; return the members of the answer.

    *name* returns the members that identify one of them; *detail* says more about all of them in
    the audit.

    Raises:
        BrokerUnavailableError: If the broker does not answer.
    """
    outcome = await call.services.audit.act_on_each(
        call.principal,
        permission,
        items,
        act,
        lambda item: "/".join(map(str, name(item).values())),
        detail=detail,
    )
    refused = [{**name(item), **_reason(error)} for item, error in outcome.refused]
    return {"done": outcome.done, "refused": refused}


def _reason(error: PyasynqError) -> dict[str, object]:
    problem = problem_of(error)
    return {"code": problem.code, "detail": problem.detail}
