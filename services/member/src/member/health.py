"""Tell whether this process can do its work, at a cost that no number of questions raises."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from enum import StrEnum, auto
from typing import TypeAlias

import structlog

from member.questions import Question

log: structlog.stdlib.BoundLogger = structlog.get_logger(__name__)

LASTS_S = 1.0
"""How long an answer counts; the next question after that asks again."""

Ask: TypeAlias = Callable[[], Awaitable[object]]


class Phase(StrEnum):
    """Where the process is between its start and its end."""

    STARTING = auto()
    RUNNING = auto()
    DRAINING = auto()


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """How the process is.

    Attributes:
        answers: Which of the things it needs answer, by name.
        able: Whether all answer that it cannot do without.
    """

    phase: Phase
    answers: dict[str, bool]
    able: bool

    @property
    def ready(self) -> bool:
        """Tell whether it should be sent work."""
        return self.able and self.phase is Phase.RUNNING

    @property
    def status(self) -> str:
        """Say in one word how it is."""
        if self.phase is not Phase.RUNNING:
            return self.phase.value
        if not self.able:
            return "unavailable"
        return "ready" if all(self.answers.values()) else "degraded"


class Probe:
    """Asks one thing whether it is there."""

    def __init__(self, name: str, ask: Ask, *, essential: bool) -> None:
        """Call *ask*, which raises if it is not; *essential* if nothing can be done without it."""
        self.name = name
        self.essential = essential
        self._question = Question(ask)
        self._answered = True

    async def answers(self) -> bool:
        """Tell whether it answers in time; log when that changes, and why."""
        problem = await self._problem()
        answered = not problem
        if answered != self._answered:
            self._answered = answered
            tell = log.info if answered else log.warning
            tell("answers again" if answered else "does not answer", what=self.name, error=problem)
        return answered

    async def aclose(self) -> None:
        """End what was asked last."""
        await self._question.aclose()

    async def _problem(self) -> str:
        try:
            await self._question.answer()
        except Exception as error:  # noqa: BLE001 - drivers raise their own, too; it is logged
            return str(error) or type(error).__name__
        return ""


class Health:
    """Knows how the process is."""

    def __init__(self, *probes: Probe, monotonic: Callable[[], float] = time.monotonic) -> None:
        """Ask *probes*; the process is starting."""
        self._probes = probes
        self._monotonic = monotonic
        self._phase = Phase.STARTING
        self._turn = asyncio.Lock()
        self._answers: dict[str, bool] = {}
        self._asked_at_s = float("-inf")

    def enter(self, phase: Phase) -> None:
        """Note that the process is in *phase* from now on; it counts at once."""
        self._phase = phase

    async def report(self) -> Report:
        """Return how the process is, as of `LASTS_S` ago at most."""
        async with self._turn:
            if self._monotonic() - self._asked_at_s >= LASTS_S:
                self._answers = await self._ask_all()
                self._asked_at_s = self._monotonic()
        able = all(self._answers[probe.name] for probe in self._probes if probe.essential)
        return Report(phase=self._phase, answers=self._answers, able=able)

    async def aclose(self) -> None:
        """End what was asked last."""
        await asyncio.gather(*(probe.aclose() for probe in self._probes))

    async def _ask_all(self) -> dict[str, bool]:
        answers = await asyncio.gather(*(probe.answers() for probe in self._probes))
        return {probe.name: yes for probe, yes in zip(self._probes, answers, strict=True)}
