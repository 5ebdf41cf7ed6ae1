"""Do something to several things, say which of them refused, and write that to the audit."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Final, TypeVar

from pyasynq.core.errors import BrokerUnavailableError, PyasynqError
from pyasynq.dashboard.problems import problem_of
from pyasynq.dashboard.routes import Call
from pyasynq.operations.concurrency import gather
from pyasynq.operations.permissions import Permission

T = TypeVar("T")

AT_ONCE: Final = 16
"""Calls that run together."""

NAMED: Final = 10
"""Things that an entry of the audit names; of the others it gives the number."""


class Outcomes:
    """Counts what was done, and lists what was refused."""

    def __init__(self) -> None:
        """Begin with nothing."""
        self.done = 0
        self.refused: list[dict[str, object]] = []

    async def try_each(
        self,
        items: Sequence[T],
        act: Callable[[T], Awaitable[object]],
        name: Callable[[T], Mapping[str, object]],
    ) -> None:
        """Call *act* for each of *items*; *name* returns the members that identify one.

        Raises:
            BrokerUnavailableError: If the broker does not answer.
        """

        async def try_one(item: T) -> None:
            try:
                await act(item)
            except BrokerUnavailableError:
                raise
            except PyasynqError as error:
                problem = problem_of(error)
                self.refused.append({**name(item), "code": problem.code, "detail": problem.detail})
            else:
                self.done += 1

        await gather(AT_ONCE, items, try_one)

    def members(self) -> dict[str, object]:
        """Return the members of the answer."""
        return {"done": self.done, "refused": self.refused}


async def do_each(
    call: Call,
    permission: Permission,
    items: Sequence[T],
    act: Callable[[T], Awaitable[object]],
    name: Callable[[T], Mapping[str, object]],
    *,
    detail: str = "",
) -> Outcomes:
    """Call *act* for each of *items*, which *permission* allows, and write that to the audit.

    *name* returns the members that identify one of them; *detail* says more about all of them.
    """
    outcomes = Outcomes()
    await outcomes.try_each(items, act, name)
    names = ["/".join(map(str, name(item).values())) for item in items]
    target = ", ".join(names[:NAMED])
    if more := names[NAMED:]:
        target += f" and {len(more)} more"
    await call.services.audit.write(
        call.principal,
        permission,
        target,
        count=outcomes.done,
        outcome="done" if outcomes.done else "refused",
        detail=str(outcomes.refused[0]["detail"]) if outcomes.refused else detail,
    )
    return outcomes
