"""Brokers: where tasks are kept between being enqueued and being done.

`open_broker` is the only way in; everything above sees the ports alone.
"""

from typing import TYPE_CHECKING, TypeAlias

from pyasynq.broker.ports import Broker
from pyasynq.broker.ports.create import (
    Created,
    CreatePort,
    NewTask,
    Receipt,
    Refusal,
    Replaces,
    Tick,
    Ticked,
    Withheld,
)
from pyasynq.broker.ports.groups import (
    GroupPort,
    GroupRules,
    Member,
    RipeGroups,
    StagedSet,
)
from pyasynq.broker.ports.inspection import Found, InspectPort, Place, Removed, Spot, Updated
from pyasynq.broker.ports.registry import RegistryPort
from pyasynq.broker.ports.results import ResultPort
from pyasynq.broker.ports.schedules import Begun, Position, SchedulePort
from pyasynq.broker.ports.semaphores import SemaphorePort, Token
from pyasynq.broker.ports.upkeep import Forwarded, UpkeepPort
from pyasynq.broker.ports.work import Lease, Taken, WorkPort
from pyasynq.broker.url import parse
from pyasynq.broker.url import shown as _shown
from pyasynq.runtime.clock import Clock

if TYPE_CHECKING:
    from pyasynq.broker.redis import Driver

__all__ = [
    "Begun",
    "Broker",
    "BrokerAddress",
    "CreatePort",
    "Created",
    "Forwarded",
    "Found",
    "GroupPort",
    "GroupRules",
    "InspectPort",
    "Lease",
    "Member",
    "NewTask",
    "Place",
    "Position",
    "Receipt",
    "Refusal",
    "RegistryPort",
    "Removed",
    "Replaces",
    "ResultPort",
    "RipeGroups",
    "SchedulePort",
    "SemaphorePort",
    "Spot",
    "StagedSet",
    "Taken",
    "Tick",
    "Ticked",
    "Token",
    "Updated",
    "UpkeepPort",
    "Withheld",
    "WorkPort",
    "check_address",
    "open_broker",
    "shown",
]


BrokerAddress: TypeAlias = "str | Driver"
"""Where a broker is: a URL (``redis://``, ``rediss://``, ``unix://``, ``redis-sentinel://``,
``redis-cluster://``), a bare ``host:port``, or a redis-py asyncio client.
"""


def open_broker(address: BrokerAddress, clock: Clock | None = None) -> Broker:
    """Return a broker; nothing is sent before the first call.

    Args:
        address: Where it is; a client is never closed by us.
        clock: Tells the time of this machine; a test may bring its own.

    Raises:
        OptionError: If the URL or the client cannot be used.
    """
    from pyasynq.broker.redis import RedisBroker  # imported late: the driver takes 0.1 s to load

    return RedisBroker.connect(address, clock)


def check_address(address: BrokerAddress) -> None:
    """Return if `open_broker` takes *address*; a text is read without loading the driver.

    Raises:
        OptionError: If the URL or the client cannot be used.
    """
    if address and isinstance(address, str):
        parse(address)
        return
    # Whoever has made a client has loaded the driver.
    from pyasynq.broker.redis.address import open_driver

    open_driver(address)


def shown(address: BrokerAddress) -> str:
    """Return *address* for people, without the passwords in it."""
    if not isinstance(address, str):
        return "the program's own client"
    return _shown(address)
