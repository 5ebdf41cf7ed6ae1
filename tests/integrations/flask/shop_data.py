"""The data of `gunicorn_shop`."""

from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from pyasynq.outbox import Outbox


class Base(DeclarativeBase):
    pass


class Order(Base):
    """An order.

    Attributes:
        id: Its number.
        pid: The process that took it.
    """

    __tablename__ = "orders"
    id: Mapped[int] = mapped_column(primary_key=True)
    pid: Mapped[int]


outbox = Outbox(Base.metadata)
