"""Django: the project's app, tasks after a commit, an outbox, and a backend for Django's tasks.

Needs Django: the extra ``django``. Add ``"pyasynq.integrations.django"`` to ``INSTALLED_APPS``.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pyasynq.app import App
    from pyasynq.integrations.django.enqueueing import enqueue
    from pyasynq.integrations.django.orm_outbox import Outbox

    app: App
    """The app of the project, made of the setting ``PYASYNQ``."""

    outbox: Outbox
    """The outbox of the project: a table that is written with Django's ORM."""

__all__ = ["app", "enqueue", "outbox"]

_HOMES = {"app": "project", "enqueue": "enqueueing", "outbox": "orm_outbox"}


if not TYPE_CHECKING:  # type checkers must see only the names above

    def __getattr__(name: str) -> object:
        if name not in _HOMES:
            msg = f"module {__name__!r} has no attribute {name!r}"
            raise AttributeError(msg)
        module = import_module(f"{__name__}.{_HOMES[name]}")
        return module.project_app() if name == "app" else getattr(module, name)
