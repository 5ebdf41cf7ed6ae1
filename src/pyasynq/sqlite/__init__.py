"""Tasks in your own transaction, if your data is in the file of the SQLite broker.

The task is a row of pyasynq's own tables in the same file, so there is nothing to relay.
"""

from pyasynq.sqlite.engines import immediate
from pyasynq.sqlite.outbox import Outbox

__all__ = ["Outbox", "immediate"]
