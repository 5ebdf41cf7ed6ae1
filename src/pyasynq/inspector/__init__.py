"""Read queues and tasks, and change them, for operators."""

from pyasynq.inspector.filters import Criteria, TaskChanges
from pyasynq.inspector.inspector import Inspector

__all__ = ["Criteria", "Inspector", "TaskChanges"]
