"""Typed tasks, on top of client and server."""

from pyasynq.app.app import App
from pyasynq.app.typed_task import PlainTask, TypedTask

__all__ = ["App", "PlainTask", "TypedTask"]
