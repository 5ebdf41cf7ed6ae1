"""Brokers: where tasks are kept between being enqueued and being done.

`open_broker` is the only way in; everything above sees the ports alone.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Final, TypeAlias, cast

from pyasynq.broker.ports import Broker
from pyasynq.broker.ports.cluster import ClusterPort
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
    Reclaimed,
    RipeGroups,
    StagedSet,
)
from pyasynq.broker.ports.inspection import Found, InspectPort, Move, Page, Place, Removed, Updated
from pyasynq.broker.ports.receipts import ReceiptPort
from pyasynq.broker.ports.registry import RegistryPort
from pyasynq.broker.ports.results import ResultPort
from pyasynq.broker.ports.schedules import Begun, Position, SchedulePort
from pyasynq.broker.ports.semaphores import SemaphorePort, Token
from pyasynq.broker.ports.upkeep import Forwarded, UpkeepPort
from pyasynq.broker.ports.work import Lease, Taken, WorkPort
from pyasynq.broker.url import KINDS, parse
from pyasynq.broker.url import shown as _shown
from pyasynq.runtime.clock import Clock

if TYPE_CHECKING:
    from pyasynq.broker.redis import Driver

__all__ = [
    "Begun",
    "Broker",
    "BrokerAddress",
    "ClusterPort",
    "CreatePort",
    "Created",
    "Forwarded",
    "Found",
    "GroupPort",
    "GroupRules",
    "InspectPort",
    "Lease",
    "Member",
    "Move",
    "NewTask",
    "Page",
    "Place",
    "Position",
    "Receipt",
    "ReceiptPort",
    "Reclaimed",
    "Refusal",
    "RegistryPort",
    "Removed",
    "Replaces",
    "ResultPort",
    "RipeGroups",
    "SchedulePort",
    "SemaphorePort",
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


_PACKAGES: Final = dict.fromkeys(KINDS, "pyasynq.broker.redis")
"""Where the broker of a scheme is; it is loaded when one is opened, which takes 0.1 s."""

BrokerAddress: TypeAlias = "str | Broker | Driver"
"""Where a broker is: a URL (``redis://``, ``rediss://``, ``unix://``, ``redis-sentinel://``,
``redis-cluster://``), a bare ``host:port``, a redis-py asyncio client, or a broker that is open.
"""


def open_broker(address: BrokerAddress, clock: Clock | None = None) -> Broker:
    """Return a broker; nothing is sent before the first call.

    Args:
        address: Where it is; a client or a broker is never closed by us.
        clock: Tells the time of this machine; a test may bring its own.

    Raises:
        OptionError: If the URL or the client cannot be used.
    """
    if isinstance(address, Broker):
        return _Lent(address)
    scheme = parse(address).scheme if isinstance(address, str) and address else "redis"
    package = import_module(_PACKAGES[scheme])
    return cast("Broker", package.connect(address, clock))


class _Lent(Broker):
    """A broker that somebody else closes."""

    def __init__(self, broker: Broker) -> None:
        """Hand on all that is asked of *broker*, but not its end."""
        self.name: str = broker.name
        self._broker = broker

    async def ping(self) -> None:
        await self._broker.ping()

    async def aclose(self) -> None:
        pass

    if not TYPE_CHECKING:

        def __getattr__(self, name: str) -> object:
            return getattr(self._broker, name)


def check_address(address: BrokerAddress) -> None:
    """Return if `open_broker` takes *address*; a text is read without loading the driver.

    Raises:
        OptionError: If the URL or the client cannot be used.
    """
    if address and isinstance(address, str):
        parse(address)
        return
    if isinstance(address, Broker):
        return
    # Whoever has made a client has loaded the driver.
    from pyasynq.broker.redis.address import open_driver

    open_driver(address)


def shown(address: BrokerAddress) -> str:
    """Return *address* for people, without the passwords in it."""
    if isinstance(address, Broker):
        return f"the program's own {address.name}"
    if not isinstance(address, str):
        return "the program's own client"
    return _shown(address)
