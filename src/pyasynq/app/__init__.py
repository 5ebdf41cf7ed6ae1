"""Typed tasks over client and server."""

from pyasynq.app.app import App, PlainTask, TypedTask

__all__ = ["App", "PlainTask", "TypedTask"]
