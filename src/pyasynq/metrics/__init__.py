"""Numbers for Prometheus: of queues, as the reference exports them, and of the tasks of a worker.

Needs the extra ``metrics``: ``pip install '.[metrics]'`` in a checkout.
"""

from pyasynq.metrics.queues import QueueCollector
from pyasynq.metrics.tasks import TaskMetrics

__all__ = ["QueueCollector", "TaskMetrics"]
