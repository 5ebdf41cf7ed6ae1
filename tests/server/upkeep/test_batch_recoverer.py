"""What clients have left of tasks that are created together is done by a server, which says so."""

import logging
import math

import pytest

from pyasynq.broker import BatchRepair
from pyasynq.runtime.actor import OutageLog
from pyasynq.runtime.clock import Clock
from pyasynq.server.upkeep.batch_recoverer import BatchRecoverer


class ScriptedPort:
    """A port that finds what the test says."""

    def __init__(self, *repairs: BatchRepair) -> None:
        self._repairs = iter(repairs)

    async def repair(self, queue: str) -> BatchRepair:
        assert queue == "q"
        return next(self._repairs)


async def step(
    caplog: pytest.LogCaptureFixture, *repairs: BatchRepair
) -> tuple[list[float], list[str]]:
    """Take a step for each repair; return the waits, and the lines in the log."""
    recoverer = BatchRecoverer(ScriptedPort(*repairs), "q", clock=Clock(), outages=OutageLog())
    with caplog.at_level(logging.INFO, "pyasynq.server"):
        waits = [await recoverer.step() for _ in repairs]
    return waits, caplog.messages


async def test_nothing_is_said_of_a_queue_in_order(caplog: pytest.LogCaptureFixture) -> None:
    assert await step(caplog, BatchRepair(released=0, discarded=0)) == ([math.inf], [])


async def test_what_is_released_and_deleted_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    repair = BatchRepair(released=3, discarded=1, noticed=7)
    _, (released, discarded, noticed) = await step(caplog, repair)
    assert "7 members of batches of 'q' had ended without a report" in noticed
    assert "3 tasks of 'q' were created together" in released
    assert "1 batches of 'q' are deleted" in discarded


async def test_a_broken_record_is_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    broken = BatchRepair(released=0, discarded=0, broken=["b"])
    _, lines = await step(caplog, broken, broken, BatchRepair(released=0, discarded=0), broken)
    assert lines == ["the record of batch b in 'q' cannot be read"] * 2
