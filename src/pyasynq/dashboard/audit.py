"""The audit: who did what, in the log and in the broker."""

import logging

from pyasynq.broker import Broker
from pyasynq.dashboard.permissions import Permission, Principal

logger = logging.getLogger("pyasynq.audit")


class Audit:
    """Writes every action to the log and, if the broker keeps an audit, there."""

    def __init__(self, broker: Broker) -> None:
        """Write to *broker*."""
        self._broker = broker

    async def write(
        self,
        principal: Principal,
        action: Permission,
        target: str,
        *,
        count: int = 1,
        outcome: str = "done",
        detail: str = "",
    ) -> None:
        """Write one action.

        Args:
            principal: Who did it.
            action: What was done.
            target: To what: a queue, a task, a search line.
            count: Number of tasks or queues that were changed.
            outcome: ``begun``, ``done``, ``stopped``, ``failed`` or ``refused``.
            detail: Why it was refused or has failed.
        """
        extra = {"principal": principal.name, "role": principal.role, "action": action.value}
        logger.info(
            "%s %s %s: %s, %d",
            principal.name,
            action,
            target,
            outcome,
            count,
            extra={"audit": extra},
        )
