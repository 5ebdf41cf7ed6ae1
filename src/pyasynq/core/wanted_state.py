"""What operators want of running servers, and which of several wishes holds.

Each is a state and not a step, so nothing is applied twice: a concurrency of 20, never 5 more.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final, Literal, TypeAlias, get_args

import msgspec

from pyasynq.core.errors import OptionError
from pyasynq.core.options import check_count
from pyasynq.core.queue_weights import check_weights

EVERY: Final = "*"
"""The target that names every server."""

MOST_SLOTS: Final = 100_000

MOST_QUEUES: Final = 1_000

RunState: TypeAlias = Literal["active", "quiet", "stop"]

RUN_STATES: Final[tuple[RunState, ...]] = get_args(RunState)


class Setting(msgspec.Struct, frozen=True, kw_only=True):
    """One setting that operators want servers to have.

    Attributes:
        target: Id of a server, name of a deployment, or `EVERY`.
        name: Name of the setting: a key of `CHECKS`.
        value: The wanted value, as JSON.
        at_us: When it was written, microseconds since 1970 on the broker's clock.
        for_server: Whether the target is the id of a server, so that the setting ends with it.
    """

    target: str
    name: str
    value: str
    at_us: int
    for_server: bool


class WantedState(msgspec.Struct, frozen=True, kw_only=True):
    """What operators want of one server; None where its own options hold.

    Attributes:
        state: ``active`` (take tasks), ``quiet`` (take none) or ``stop`` (end).
        concurrency: Tasks that run at once.
        queues: Queues with their weights.
        problems: Settings that cannot be used, with the reason.
    """

    state: RunState | None = None
    concurrency: int | None = None
    queues: Mapping[str, int] | None = None
    problems: Mapping[str, str] = msgspec.field(default_factory=dict[str, str])


@dataclass(frozen=True, kw_only=True)
class ServerControl:
    """What operators want of the servers with one id or deployment, or of all; None for nothing.

    Attributes:
        target: Id of a server, name of a deployment, or ``*`` for all servers.
        state: ``active`` (take tasks), ``quiet`` (take none) or ``stop`` (end).
        concurrency: Tasks that run at once.
        queues: Queues, or patterns of queues, with their weights.
        changed_at: When the last of these was set.
    """

    target: str
    state: RunState | None
    concurrency: int | None
    queues: Mapping[str, int] | None
    changed_at: datetime


def _check_state(value: object) -> RunState:
    if value not in RUN_STATES:
        raise OptionError("state", value, f"one of {', '.join(RUN_STATES)}")
    return value


def _check_concurrency(value: object) -> int:
    return check_count("concurrency", value, MOST_SLOTS)


def _check_queues(value: object) -> Mapping[str, int]:
    queues = check_weights(value)
    if len(queues) > MOST_QUEUES:  # each server reads them every few seconds
        msg = f"at most {MOST_QUEUES} queues, or a pattern such as tenant-*"
        raise OptionError("queues", f"{len(queues)} queues", msg)
    return queues


CHECKS: Final[Mapping[str, Callable[[object], object]]] = {
    "state": _check_state,
    "concurrency": _check_concurrency,
    "queues": _check_queues,
}
"""The settings, and for each a function that returns a valid value and refuses any other."""


def encode_settings(values: Mapping[str, object]) -> dict[str, str]:
    """Return the *values* of settings as JSON.

    Raises:
        OptionError: If a value is not allowed.
    """
    return {
        name: msgspec.json.encode(CHECKS[name](value)).decode() for name, value in values.items()
    }


def combine(settings: Iterable[Setting]) -> WantedState:
    """Return what *settings* want of a server that all their targets name: the newest of each.

    Of two with the same time, the earlier of *settings* holds.
    """
    newest: dict[str, Setting] = {}
    for setting in settings:
        known = newest.get(setting.name)
        if known is None or setting.at_us > known.at_us:
            newest[setting.name] = setting
    values: dict[str, object] = {}
    problems: dict[str, str] = {}
    for name, setting in newest.items():
        try:
            values[name] = CHECKS[name](msgspec.json.decode(setting.value))
        except (OptionError, msgspec.DecodeError) as error:
            problems[name] = str(error)
    return msgspec.convert({**values, "problems": problems}, WantedState)


def controls_of(settings: Iterable[Setting]) -> list[ServerControl]:
    """Return *settings* by target, ordered by name."""
    by_target: dict[str, list[Setting]] = {}
    for setting in settings:
        by_target.setdefault(setting.target, []).append(setting)
    return [_control(target, of_target) for target, of_target in sorted(by_target.items())]


def _control(target: str, settings: list[Setting]) -> ServerControl:
    wanted = combine(settings)
    at_us = max(setting.at_us for setting in settings)
    return ServerControl(
        target=target,
        state=wanted.state,
        concurrency=wanted.concurrency,
        queues=wanted.queues,
        changed_at=datetime.fromtimestamp(at_us / 1_000_000, UTC),
    )
