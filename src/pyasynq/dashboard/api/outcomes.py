"""Do something to several things, and say which of them refused."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Final, TypeVar

from pyasynq.core.errors import BrokerUnavailableError, PyasynqError
from pyasynq.dashboard.problems import problem_of
from pyasynq.operations.concurrency import gather

T = TypeVar("T")

AT_ONCE: Final = 16
"""Calls that run together."""


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
