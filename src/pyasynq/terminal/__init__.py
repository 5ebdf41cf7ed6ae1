"""A dashboard for terminals: queues, tasks, workers and schedules, and actions on them.

It needs the extra ``tui``.
"""

from pyasynq.terminal.app import TerminalDashboard

__all__ = ["TerminalDashboard"]
