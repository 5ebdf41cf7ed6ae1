"""A transactional outbox: tasks are written with your own data, and enqueued after the commit.

`Outbox` and `Relay` need SQLAlchemy: the extra ``sqlalchemy``. With Django's ORM use
`pyasynq.integrations.django`.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pyasynq.outbox.outbox import Outbox
    from pyasynq.outbox.relay import Relay

__all__ = ["Outbox", "Relay"]

_HOMES = {"Outbox": "outbox", "Relay": "relay"}


if not TYPE_CHECKING:  # type checkers must see only the names above

    def __getattr__(name: str) -> object:
        if name not in _HOMES:
            msg = f"module {__name__!r} has no attribute {name!r}"
            raise AttributeError(msg)
        try:
            return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
        except ModuleNotFoundError as error:
            error.add_note("install the extra sqlalchemy: pip install 'pyasynq[sqlalchemy]'")
            raise
