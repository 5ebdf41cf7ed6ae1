"""The audit: who did what, in the log and in the broker."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Final, Generic, TypeVar

from pyasynq.broker import AuditEntry, Broker
from pyasynq.core.errors import BrokerError, BrokerUnavailableError, PyasynqError
from pyasynq.core.json_form import to_json_types
from pyasynq.operations.concurrency import gather
from pyasynq.operations.permissions import Principal
from pyasynq.runtime.loggers import get_logger

T = TypeVar("T")

NAMED: Final = 10
"""Things that an entry of the audit names; of the others it gives the number."""

log: Final = get_logger("pyasynq.audit")


@dataclass(slots=True, kw_only=True)
class Outcome(Generic[T]):
    """What an action on several things did.

    Attributes:
        done: Number of things that were changed.
        refused: The others, each with the reason.
    """

    done: int = 0
    refused: list[tuple[T, PyasynqError]] = field(default_factory=list[tuple[T, PyasynqError]])

    @property
    def why(self) -> str:
        """Why the first of those that refused did; empty if none did."""
        return str(self.refused[0][1]) if self.refused else ""


class Audit:
    """Writes every action to the log and, if the broker keeps an audit, there."""

    def __init__(self, broker: Broker) -> None:
        """Write to *broker*."""
        self._broker = broker

    async def write(
        self,
        principal: Principal,
        action: str,
        target: str,
        *,
        count: int = 1,
        outcome: str = "done",
        detail: str = "",
    ) -> None:
        """Write one action.

        Args:
            principal: The person or program that did it.
            action: What was done: a `Permission`, or another name of this form.
            target: To what: a queue, a task, a search line.
            count: Number of tasks or queues that were changed.
            outcome: ``begun``, ``done``, ``stopped``, ``failed`` or ``refused``.
            detail: Why it was refused or has failed.
        """
        entry = AuditEntry(
            at=datetime.now(UTC),
            principal=principal.name,
            role=principal.role,
            action=str(action),
            target=target,
            count=count,
            outcome=outcome,
            detail=detail,
        )
        text = "%s %s %s: %s, %d"
        values = (entry.principal, entry.action, entry.target, outcome, count)
        log.info(text, *values, extra={"audit": to_json_types(entry)})
        if not self._broker.supports("audit"):
            return
        try:
            await self._broker.audit.write(entry)
        except BrokerError:  # the action is done, and the log has it
            log.exception("the audit could not be written to the broker")

    async def act_on_each(
        self,
        principal: Principal,
        action: str,
        items: Sequence[T],
        act: Callable[[T], Awaitable[object]],
        name: Callable[[T], str],
        *,
        detail: str = "",
    ) -> Outcome[T]:
        """Call *act* for each of *items*, and write that as one action.

        It is written even if it ends early: what was done until then is done.

        Args:
            principal: The person or program that does it.
            action: As in `write`.
            items: What it is done to.
            act: Does it to one of them; an error of pyasynq means that this one refuses.
            name: Names one of them.
            detail: More about all of them, for the audit; an error replaces it.

        Raises:
            BrokerUnavailableError: If the broker does not answer.
        """
        result: Outcome[T] = Outcome()

        async def try_one(item: T) -> None:
            try:
                await act(item)
            except BrokerUnavailableError:
                raise
            except PyasynqError as error:
                result.refused.append((item, error))
            else:
                result.done += 1

        outcome, why = "failed", ""
        try:
            await gather(items, try_one)
            outcome, why = "done" if result.done else "refused", result.why
        except BrokerUnavailableError as error:
            why = str(error)
            raise
        finally:
            target = _target([name(item) for item in items])
            await self.write(
                principal, action, target, count=result.done, outcome=outcome, detail=why or detail
            )
        return result


def _target(names: Sequence[str]) -> str:
    text = ", ".join(names[:NAMED])
    more = len(names) - NAMED
    return f"{text} and {more} more" if more > 0 else text
