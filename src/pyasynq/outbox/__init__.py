"""A transactional outbox: tasks are written with your own data, and enqueued after the commit.

Needs SQLAlchemy: the extra ``sqlalchemy``.
"""

try:
    from pyasynq.outbox.outbox import Outbox
    from pyasynq.outbox.relay import Relay
except ModuleNotFoundError as _error:
    _error.add_note("install the extra sqlalchemy: pip install 'pyasynq[sqlalchemy]'")
    raise

__all__ = ["Outbox", "Relay"]
