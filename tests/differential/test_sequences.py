"""Go and Python do the same for any operations in any order."""

import logging
import os
import random

import pytest

from tests.differential import operations as ops
from tests.differential.coverage import REQUIRED
from tests.differential.generator import draw
from tests.differential.operations import Choices, Outcome
from tests.differential.pair import Pair
from tests.differential.view import Chance, View
from tests.differential.worker_makers import end_of

log = logging.getLogger(__name__)

LENGTH = 30
"""Operations in a sequence."""

SEQUENCES = int(os.environ.get("PYASYNQ_SEQUENCES", "50"))
"""Number of sequences, each with its own seed; `make differential` runs more."""


async def do_at_random(pair: Pair, seed: int) -> None:
    """Apply one random sequence of operations to both sides."""
    chance = Chance(random=random.Random(seed))
    await pair.open()
    for _ in range(LENGTH):
        missing = REQUIRED - pair.reached.keys()
        await pair.step(draw(chance, pair.state, pair.held, missing))
    if pair.held:
        await pair.step(end_of(View(chance, pair.state, pair.held), pair.held))


async def do_all(pair: Pair) -> None:
    """Apply all sequences, and log how many differences each entry explained."""
    for seed in range(SEQUENCES):
        await do_at_random(pair, seed)
    log.info("%d sequences; explained by %s", SEQUENCES, dict(pair.accepted))


@pytest.mark.timeout(600 + SEQUENCES * 6)
async def test_random_operations_leave_go_and_python_alike(pair: Pair) -> None:
    await do_all(pair)
    assert pair.reached.keys() >= REQUIRED


async def test_a_server_shows_itself_and_keeps_its_leases_alike(pair: Pair) -> None:
    choices = Choices(queue="a", task_id="1")
    await pair.step(ops.Enqueue(type="t", payload=b"x", headers={}, own=choices, options=Choices()))
    await pair.step(ops.Begin(queue="a", count=1, concurrency=1))
    await pair.step(ops.Beat(queue="a"))
    await pair.step(ops.End(queue="a", outcomes={"1": Outcome(kind="ok")}))
