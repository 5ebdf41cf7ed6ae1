"""Rights: roles, permissions, and the person or program behind a request."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final


class Role(StrEnum):
    """What a principal may do; each role includes those before it."""

    VIEWER = "viewer"
    OPERATOR = "operator"
    ADMIN = "admin"


RANKS: Final = {role: rank for rank, role in enumerate(Role)}


class Permission(StrEnum):
    """The right to perform one kind of action; each route asks for one."""

    READ = "read"
    TASK_RUN = "task.run"
    TASK_ARCHIVE = "task.archive"
    TASK_RESCHEDULE = "task.reschedule"
    TASK_CANCEL = "task.cancel"
    TASK_DUPLICATE = "task.duplicate"
    TASK_UPDATE = "task.update"
    TASK_DELETE = "task.delete"
    QUEUE_PAUSE = "queue.pause"
    QUEUE_RESUME = "queue.resume"
    QUEUE_DELETE = "queue.delete"
    JOB_STOP = "job.stop"
    SERVER_QUIET = "server.quiet"
    SERVER_RESUME = "server.resume"
    SERVER_SET = "server.set"
    SERVER_RESET = "server.reset"
    SERVER_STOP = "server.stop"
    ENTRY_PAUSE = "entry.pause"
    ENTRY_RESUME = "entry.resume"
    ENTRY_RUN = "entry.run"
    FLOW_CANCEL = "flow.cancel"
    FLOW_RETRY = "flow.retry"
    FLOW_SKIP = "flow.skip"
    FLOW_SIGNAL = "flow.signal"
    BATCH_CANCEL = "batch.cancel"
    BATCH_RETRY = "batch.retry"


LEAST_ROLE: Final[Mapping[Permission, Role]] = {
    Permission.READ: Role.VIEWER,
    Permission.TASK_RUN: Role.OPERATOR,
    Permission.TASK_ARCHIVE: Role.OPERATOR,
    Permission.TASK_RESCHEDULE: Role.OPERATOR,
    Permission.TASK_CANCEL: Role.OPERATOR,
    Permission.TASK_DUPLICATE: Role.OPERATOR,
    Permission.TASK_UPDATE: Role.OPERATOR,
    Permission.TASK_DELETE: Role.OPERATOR,
    Permission.QUEUE_PAUSE: Role.OPERATOR,
    Permission.QUEUE_RESUME: Role.OPERATOR,
    Permission.QUEUE_DELETE: Role.ADMIN,
    Permission.JOB_STOP: Role.OPERATOR,
    Permission.SERVER_QUIET: Role.OPERATOR,
    Permission.SERVER_RESUME: Role.OPERATOR,
    Permission.SERVER_SET: Role.OPERATOR,
    Permission.SERVER_RESET: Role.OPERATOR,
    Permission.SERVER_STOP: Role.ADMIN,
    Permission.ENTRY_PAUSE: Role.OPERATOR,
    Permission.ENTRY_RESUME: Role.OPERATOR,
    Permission.ENTRY_RUN: Role.OPERATOR,
    Permission.FLOW_CANCEL: Role.OPERATOR,
    Permission.FLOW_RETRY: Role.OPERATOR,
    Permission.FLOW_SKIP: Role.OPERATOR,
    Permission.FLOW_SIGNAL: Role.OPERATOR,
    Permission.BATCH_CANCEL: Role.OPERATOR,
    Permission.BATCH_RETRY: Role.OPERATOR,
}
"""The least role that has each permission."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Principal:
    """The person or program behind a request.

    Attributes:
        name: Name in the audit.
        role: Its role.
        more: Permissions beyond those of the role, such as ``queue.pause``.
    """

    name: str
    role: Role = Role.VIEWER
    more: frozenset[str] = frozenset()

    def may(self, permission: Permission) -> bool:
        """Return whether the principal has *permission*."""
        return (
            RANKS[Role(self.role)] >= RANKS[LEAST_ROLE[permission]] or permission.value in self.more
        )
