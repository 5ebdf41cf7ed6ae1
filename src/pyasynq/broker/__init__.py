"""Brokers: where tasks are kept between being enqueued and being done.

`connect` is the only way in; everything above sees the protocols alone.
"""

from typing import TYPE_CHECKING

from pyasynq.broker.inspecting import Found, InspectPath, Place, Removed, ResultPath, Spot, Updated
from pyasynq.broker.protocols import (
    EARLY_S,
    MARKS,
    Begun,
    Broker,
    Created,
    CreatePath,
    Forwarded,
    GroupPath,
    GroupRules,
    Lease,
    MaintainPath,
    Member,
    NewTask,
    Position,
    ProcessPath,
    Receipt,
    Refusal,
    RegistryPath,
    Replaces,
    RipeGroups,
    SchedulePath,
    SemaphorePath,
    StagedSet,
    Taken,
    Tick,
    Ticked,
    Token,
    Withheld,
)
from pyasynq.broker.url import parse
from pyasynq.broker.url import shown as _shown
from pyasynq.clock import Clock

if TYPE_CHECKING:
    from pyasynq.broker.redis import Driver

__all__ = [
    "EARLY_S",
    "MARKS",
    "Begun",
    "Broker",
    "CreatePath",
    "Created",
    "Forwarded",
    "Found",
    "GroupPath",
    "GroupRules",
    "InspectPath",
    "Lease",
    "MaintainPath",
    "Member",
    "NewTask",
    "Place",
    "Position",
    "ProcessPath",
    "Receipt",
    "Refusal",
    "RegistryPath",
    "Removed",
    "Replaces",
    "ResultPath",
    "RipeGroups",
    "SchedulePath",
    "SemaphorePath",
    "Spot",
    "StagedSet",
    "Taken",
    "Tick",
    "Ticked",
    "Token",
    "Updated",
    "Withheld",
    "check_broker",
    "connect",
    "shown",
]


def connect(broker: "str | Driver", clock: Clock | None = None) -> Broker:
    """Return a broker; nothing is sent before the first call.

    Args:
        broker: A URL (``redis://``, ``rediss://``, ``unix://``, ``redis-sentinel://``,
            ``redis-cluster://``), a bare ``host:port``, or a redis-py asyncio client, which is
            never closed by us.
        clock: Tells the time of this machine; a test may bring its own.

    Raises:
        OptionError: If the URL or the client cannot be used.
    """
    from pyasynq.broker.redis import RedisBroker  # imported late: the driver takes 0.1 s to load

    return RedisBroker.connect(broker, clock)


def check_broker(broker: "str | Driver") -> None:
    """Return if `connect` takes *broker*; the form of a text is read without loading the driver.

    Raises:
        OptionError: If the URL or the client cannot be used.
    """
    if broker and isinstance(broker, str):
        parse(broker)
        return
    # Whoever has made a client has loaded the driver.
    from pyasynq.broker.redis.address import open_driver

    open_driver(broker)


def shown(broker: "str | Driver") -> str:
    """Return where *broker* is, without the passwords in it."""
    if not isinstance(broker, str):
        return "the program's own client"
    return _shown(broker)
