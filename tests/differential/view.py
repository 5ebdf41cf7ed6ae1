"""Random choices, and what makers of operations can read."""

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, TypeAlias, TypeVar

from pyasynq.core.states import TaskState
from tests.differential import operations as ops
from tests.differential.operations import Operation
from tests.differential.snapshot import Snapshot

T = TypeVar("T")

QUEUES: Final = ("a", "b")
UNKNOWN: Final = "unknown"
TYPES: Final = ("email", "sms")
PAYLOADS: Final = (None, b"", b"x", b"\x00\xff", '{"ü": 1}'.encode())
GROUPS: Final = ("g", "g:1")
HEADERS: Final = ({}, {}, {"k": "v"}, {"k": "", "ü": "ß"})
STATES: Final = tuple(state.value for state in TaskState)
HOUR_S: Final = 3600
DAY_S: Final = 24 * HOUR_S
MOST_AT_ONCE: Final = 4


@dataclass(kw_only=True)
class Chance:
    """The source of all random choices.

    Attributes:
        random: Seeded, so that the choices can be repeated.
        serial: Number of the last task.
    """

    random: random.Random
    serial: int = 0

    def pick(self, choices: Sequence[T]) -> T:
        """Return one of *choices*."""
        return self.random.choice(choices)

    def some(self, choices: Sequence[T]) -> Sequence[T]:
        """Return at least one of *choices*, in order."""
        count = self.random.randint(1, min(MOST_AT_ONCE, len(choices)))
        return [choices[n] for n in sorted(self.random.sample(range(len(choices)), count))]

    def chance(self, share: float) -> bool:
        """Return True in a *share* of cases."""
        return self.random.random() < share


@dataclass(frozen=True)
class View:
    """What a maker can read."""

    draw: Chance
    state: Snapshot
    held: ops.Begin | None

    @property
    def queue(self) -> str:
        """A random one of the queues."""
        return self.draw.pick(QUEUES)

    def ids(self, queue: str, container: str) -> list[str]:
        """Return the ids in a container."""
        return self.state.members(f"asynq:{{{queue}}}:{container}")

    def by_state(self, queue: str) -> dict[str, list[str]]:
        """Return the ids of all tasks of a queue by their states."""
        states: dict[str, list[str]] = {}
        for task_id in self.tasks(queue):
            word = self.state.field(f"asynq:{{{queue}}}:t:{task_id}", "state") or b""
            states.setdefault(word.decode(), []).append(task_id)
        return states

    def tasks(self, queue: str) -> list[str]:
        """Return the ids of all tasks of a queue."""
        start = f"asynq:{{{queue}}}:t:"
        return [name.removeprefix(start) for name in self.state.keys if name.startswith(start)]


Maker: TypeAlias = Callable[[View], Operation | None]
