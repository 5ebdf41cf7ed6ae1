"""Typed tasks over client and server."""

from pyasynq.app.app import App, TypedTask

__all__ = ["App", "TypedTask"]
