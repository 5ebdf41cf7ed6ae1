"""A transactional outbox: tasks written with your own data, moved to their queues after the commit.

Needs SQLAlchemy: the extra ``sqlalchemy``.
"""

from pyasynq.outbox.outbox import Outbox
from pyasynq.outbox.relay import Relay

__all__ = ["Outbox", "Relay"]
