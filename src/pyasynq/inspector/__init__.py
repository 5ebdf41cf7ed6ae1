"""Read queues and tasks, and change them, for operators."""

from pyasynq.inspector.errors import ErrorGroup
from pyasynq.inspector.filters import Criteria, TaskChanges
from pyasynq.inspector.inspector import Inspector
from pyasynq.inspector.sync import SyncInspector

__all__ = ["Criteria", "ErrorGroup", "Inspector", "SyncInspector", "TaskChanges"]
