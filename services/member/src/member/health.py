"""Whether this process can work. Any number of requests costs one check per second."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from enum import StrEnum, auto
from typing import TypeAlias

import structlog

from member.single_flight import SingleFlight

log: structlog.stdlib.BoundLogger = structlog.get_logger(__name__)

LASTS_S = 1.0
"""How long a report is valid; the next request after that checks again."""

Ask: TypeAlias = Callable[[], Awaitable[object]]


class Phase(StrEnum):
    """The phases of a process between its start and its end."""

    STARTING = auto()
    RUNNING = auto()
    DRAINING = auto()


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """The health of the process.

    Attributes:
        answers: Whether each probed server answers, by name.
        able: Whether all essential ones answer.
    """

    phase: Phase
    answers: dict[str, bool]
    able: bool

    @property
    def ready(self) -> bool:
        """Tell whether the process can take work."""
        return self.able and self.phase is Phase.RUNNING

    @property
    def status(self) -> str:
        """Return the health in one word, as ``/readyz`` shows it."""
        if self.phase is not Phase.RUNNING:
            return self.phase.value
        if not self.able:
            return "unavailable"
        return "ready" if all(self.answers.values()) else "degraded"


class Probe:
    """Checks whether one server answers."""

    def __init__(self, name: str, ask: Ask, *, essential: bool) -> None:
        """Check with *ask*, which raises on failure; *essential*: nothing works without it."""
        self.name = name
        self.essential = essential
        self._single_flight = SingleFlight(ask)
        self._answered = True

    async def answers(self) -> bool:
        """Tell whether the server answers in time; log each change, with the reason."""
        problem = await self._problem()
        answered = not problem
        if answered != self._answered:
            self._answered = answered
            write = log.info if answered else log.warning
            write("answers again" if answered else "does not answer", what=self.name, error=problem)
        return answered

    async def aclose(self) -> None:
        """Cancel a check that still runs."""
        await self._single_flight.aclose()

    async def _problem(self) -> str:
        try:
            await self._single_flight.answer()
        except Exception as error:  # noqa: BLE001 - drivers raise their own errors, too; the caller logs it
            return str(error) or type(error).__name__
        return ""


class Health:
    """The health of the process, from its phase and its probes."""

    def __init__(self, *probes: Probe, monotonic: Callable[[], float] = time.monotonic) -> None:
        """Check *probes* for each report; the process is starting."""
        self._probes = probes
        self._monotonic = monotonic
        self._phase = Phase.STARTING
        self._lock = asyncio.Lock()
        self._answers: dict[str, bool] = {}
        self._asked_at_s = float("-inf")

    def enter(self, phase: Phase) -> None:
        """Set the *phase* of the process; the next report has it."""
        self._phase = phase

    async def report(self) -> Report:
        """Return a report whose checks are at most `LASTS_S` old."""
        async with self._lock:
            if self._monotonic() - self._asked_at_s >= LASTS_S:
                self._answers = await self._ask_all()
                self._asked_at_s = self._monotonic()
        able = all(self._answers[probe.name] for probe in self._probes if probe.essential)
        return Report(phase=self._phase, answers=self._answers, able=able)

    async def aclose(self) -> None:
        """Cancel checks that still run."""
        await asyncio.gather(*(probe.aclose() for probe in self._probes))

    async def _ask_all(self) -> dict[str, bool]:
        answers = await asyncio.gather(*(probe.answers() for probe in self._probes))
        return {probe.name: yes for probe, yes in zip(self._probes, answers, strict=True)}
