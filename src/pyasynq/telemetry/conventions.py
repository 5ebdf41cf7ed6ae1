"""The names of attributes and instruments.

Names that begin with ``messaging.`` are those of OpenTelemetry's semantic conventions for
messaging, and names that begin with ``messaging.asynq.`` are ours in the same style. The package
with the constants of the conventions counts these names among its unstable ones, so they are here.
"""

from importlib.metadata import version
from typing import Final

SYSTEM: Final = "messaging.system"
ASYNQ: Final = "asynq"
QUEUE: Final = "messaging.destination.name"
OPERATION: Final = "messaging.operation.name"
OPERATION_TYPE: Final = "messaging.operation.type"
ID: Final = "messaging.message.id"
SIZE: Final = "messaging.message.body.size"
ERROR: Final = "error.type"

TYPE: Final = "messaging.asynq.task.type"
TRY: Final = "messaging.asynq.task.try"
MAX_RETRY: Final = "messaging.asynq.task.max_retry"
GROUP: Final = "messaging.asynq.group"
OUTCOME: Final = "messaging.asynq.outcome"

SENT: Final = "messaging.client.sent.messages"
CONSUMED: Final = "messaging.client.consumed.messages"
RUN_TIME: Final = "messaging.process.duration"
WAIT: Final = "messaging.asynq.wait.duration"

SCOPE: Final = "pyasynq"
VERSION: Final = version(SCOPE)
"""Name and version of the tracer and of the meter."""

READY_AT: Final = "pyasynq:ready-at"
"""Header with the instant from which the task could run, milliseconds since 1970."""
