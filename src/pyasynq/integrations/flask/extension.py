"""The extension of Flask: tasks run in the context of the application."""

from typing import Final

from flask import Flask

from pyasynq.app import App, PlainTask
from pyasynq.core.errors import PyasynqError
from pyasynq.server import ActiveTask
from pyasynq.server.mux import AsyncHandler

NAME: Final = "pyasynq"
"""Key of the extension in ``Flask.extensions``."""


class Pyasynq:
    """An extension of Flask: its tasks run in the application's context.

    A plain function runs in the context that was opened in its thread, which is closed there when
    it returns; an ``async def`` in one of the event loop. So each task has ``current_app``, an
    empty ``g``, and its own sessions of Flask-SQLAlchemy.

    Attributes:
        app: The tasks.
    """

    def __init__(self, app: App, flask: Flask | None = None) -> None:
        """Add to *app* a middleware that opens the context.

        Args:
            app: Your tasks.
            flask: The application; None if a factory will call `init_app`.
        """
        self.app: App = app
        self._flask: Flask | None = None
        app.use(self._run_in_context)
        if flask is not None:
            self.init_app(flask)

    def init_app(self, flask: Flask) -> None:
        """Run tasks in the context of *flask* from now on, and be its extension ``pyasynq``."""
        self._flask = flask
        flask.extensions[NAME] = self

    async def _run_in_context(self, task: ActiveTask, call_next: AsyncHandler) -> object:
        if self._flask is None:
            msg = "the tasks have no Flask application: make it where the worker imports its app"
            raise PyasynqError(msg)
        if isinstance(self.app.tasks.get(task.type), PlainTask):
            # What is closed with the context, such as a session, belongs to the function's thread.
            task.use_in_thread(self._flask.app_context)
            return await call_next(task)
        with self._flask.app_context():
            return await call_next(task)
