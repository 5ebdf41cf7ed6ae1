"""The audit: who did what, in the log and in the broker."""

from datetime import UTC, datetime
from typing import Final

from pyasynq.broker import AuditEntry, Broker
from pyasynq.core.errors import BrokerError
from pyasynq.core.json_form import to_json_types
from pyasynq.operations.permissions import Principal
from pyasynq.runtime.loggers import get_logger

log: Final = get_logger("pyasynq.audit")


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
