"""What the worker and the relay of the shop run: ``pyasynq worker worker:app`` and so on."""

from shop import DATA, app, create_app, outbox
from sqlalchemy.ext.asyncio import create_async_engine

from pyasynq.outbox import Relay

create_app()  # tasks run in its context

relay = Relay(
    outbox,
    create_async_engine(DATA.replace("sqlite:", "sqlite+aiosqlite:")),
    app.new_client(),
)
__all__ = ["app", "relay"]
