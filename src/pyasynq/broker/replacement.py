"""Let one broker answer in place of all others; for tests.

A program opens its brokers in many places, some when a module is imported. Replacing the broker
must reach all of them, and cost nothing while there is no replacement. So the ports of every open
broker get the methods of the replacement, as attributes of the port, which Python finds before the
methods of its class.
"""

from collections.abc import Generator
from contextlib import ExitStack, contextmanager
from typing import Any, Final, NoReturn, get_type_hints
from weakref import WeakSet

from pyasynq.broker.ports import OPTIONAL, Broker
from pyasynq.core.errors import NotSupportedError, PyasynqError

PORTS: Final = {
    name: [member for member in dir(kind) if not member.startswith("_")]
    for name, kind in get_type_hints(Broker).items()
    if isinstance(kind, type) and kind.__module__.startswith("pyasynq.broker.ports")
}
"""The ports of a broker, and the members of each."""

OWN: Final = ("name", "bound_to_loop", "ping")
"""Other members that are replaced; `Broker.aclose` still closes what the broker has opened."""

_opened: Final[WeakSet[Broker]] = WeakSet()


class _Current:
    """The replacement; both attributes are None without one."""

    broker: Broker | None = None
    undo: ExitStack | None = None


def track(broker: Broker) -> None:
    """Let a replacement, now or later, answer in place of *broker*."""
    _opened.add(broker)
    if _Current.broker is not None and _Current.undo is not None:
        _redirect(broker, _Current.broker, _Current.undo)


@contextmanager
def replacing_all(replacement: Broker) -> Generator[None]:
    """While the block runs, let *replacement* answer in place of every broker of this process.

    It reaches the brokers that `open_broker` has opened or opens in the block, but no method of a
    port that somebody has kept, and no redis-py client that the program uses on its own.

    Raises:
        PyasynqError: If there is a replacement already.
    """
    if _Current.broker is not None:
        msg = "the brokers of this process are replaced already: leave the other block first"
        raise PyasynqError(msg)
    with ExitStack() as undo:
        undo.callback(_forget)
        _Current.broker, _Current.undo = replacement, undo
        for broker in [*_opened]:
            _redirect(broker, replacement, undo)
        yield


def is_replaced() -> bool:
    """Return whether a replacement answers in place of all brokers now."""
    return _Current.broker is not None


def _forget() -> None:
    _Current.broker = _Current.undo = None


def _redirect(broker: Broker, to: Broker, undo: ExitStack) -> None:
    _set(broker, {name: getattr(to, name) for name in OWN}, undo)
    supported = {name for name in PORTS if broker.supports(name)}
    for name in supported:
        members = PORTS[name]
        port = getattr(broker, name)
        if not to.supports(name):
            _set(port, dict.fromkeys(members, _Refusal(name, to)), undo)
        elif port is not getattr(to, name):  # it is, if a program uses the replacement itself
            _set(port, {member: getattr(getattr(to, name), member) for member in members}, undo)
    # A server asks first, and does without what the replacement lacks.
    both = {name for name in supported if to.supports(name)}
    _set(broker, {"supports": both.__contains__}, undo)


def _set(thing: object, new: dict[str, Any], undo: ExitStack) -> None:
    """Set attributes of *thing*; at the end of *undo*, restore what was there."""
    attributes = vars(thing)
    before = {name: attributes[name] for name in new if name in attributes}
    attributes.update(new)

    def restore() -> None:
        for name in new:
            del attributes[name]
        attributes.update(before)

    undo.callback(restore)


class _Refusal:
    """Stands for a member of a port that the replacement lacks."""

    def __init__(self, port: str, broker: Broker) -> None:
        self._error = NotSupportedError(OPTIONAL[port], broker.name)

    def __call__(self, *_args: object, **_options: object) -> NoReturn:
        raise self._error
