"""Metrics for Prometheus: of queues, as the reference exports them, and of a worker and its tasks.

Needs the extra ``metrics``: ``pip install '.[metrics]'`` in a checkout.
"""

try:
    from pyasynq.metrics.queues import QueueCollector
    from pyasynq.metrics.tasks import TaskMetrics
    from pyasynq.metrics.worker import WorkerMetrics
except ModuleNotFoundError as _error:
    _error.add_note("install the extra metrics: pip install 'pyasynq[metrics]'")
    raise

__all__ = ["QueueCollector", "TaskMetrics", "WorkerMetrics"]
