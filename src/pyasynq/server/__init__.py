"""The worker side: servers, handlers, and the running task."""

from pyasynq.server.config import GroupAggregator, ServerOptions
from pyasynq.server.context import ActiveTask
from pyasynq.server.current import current_task
from pyasynq.server.hooks import Hooks
from pyasynq.server.mux import AsyncHandler, Handler, Middleware, Mux
from pyasynq.server.run.slots import ServerLoad
from pyasynq.server.server import Server

__all__ = [
    "ActiveTask",
    "AsyncHandler",
    "GroupAggregator",
    "Handler",
    "Hooks",
    "Middleware",
    "Mux",
    "Server",
    "ServerLoad",
    "ServerOptions",
    "current_task",
]
