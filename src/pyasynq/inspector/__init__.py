"""What operators see and order."""

from pyasynq.inspector.inspector import Inspector
from pyasynq.inspector.questions import Criteria, TaskChanges

__all__ = ["Criteria", "Inspector", "TaskChanges"]
