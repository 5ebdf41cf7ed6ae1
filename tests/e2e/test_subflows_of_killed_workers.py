"""Workers are killed at any moment: each flow in a flow is opened once, and ends its step."""

import os
import random
from pathlib import Path

import pytest

from pyasynq import Client, Flow, FlowInfo, Inspector
from tests.cli.processes import worker
from tests.e2e.apps.flowing import step
from tests.e2e.test_flows_of_killed_workers import (
    APP,
    PATIENCE_S,
    kill_again_and_again,
    left_in,
    runs_in,
)
from tests.support.flow_model import QUEUES
from tests.support.waiting import wait_until

IS_CAMPAIGN = "PYASYNQ_CAMPAIGN" in os.environ
FLOWS = 500 if IS_CAMPAIGN else 25


def a_flow(chance: random.Random, ends: str, depth: int) -> Flow:
    """Return a flow of a step, a flow, and another step; the innermost is a chain of *ends*."""
    queue = chance.choice(QUEUES)
    flow = Flow("nested", queue=queue)
    in_queue = step.options(queue=chance.choice(QUEUES))
    if depth == 1:
        for end in ends:
            flow.add(in_queue.task(end, []), after=flow.all[-1:])
        return flow
    first = flow.add(in_queue.task("s", []), name="first")
    inner = flow.add(a_flow(chance, ends, depth - 1), after=first, name="inner")
    flow.add(in_queue.task("s", []), after=inner, name="last")
    return flow


async def inner_of(inspector: Inspector, info: FlowInfo) -> FlowInfo:
    known = info.step("inner")
    return await inspector.flow(known.queue, known.flow_id or "")


@pytest.mark.timeout(PATIENCE_S * 5)
async def test_flows_in_flows_end_once_each_however_workers_die(url: str, tmp_path: Path) -> None:
    chance, notes = random.Random(13), tmp_path / "notes"
    notes.touch()
    ends = ["sf" if number % 5 == 0 else "ss" for number in range(FLOWS)]
    async with Client(url) as client:
        infos = [await client.enqueue_flow(a_flow(chance, it, 3)) for it in ends]
    environ = {"FLOWING_URL": url, "FLOWING_FILE": str(notes)}

    async def all_have_ended() -> bool:
        async with Inspector(url) as inspector:
            found = [await inspector.flow(it.queue, it.id) for it in infos]
        return all(it.ended_at is not None for it in found)

    async def nothing_is_left() -> bool:
        # The task that has opened a flow may end after it, if its worker was killed in between.
        return await left_in(url) == 0

    async with worker(APP, "-p", "2", "-c", "10", environ=environ):
        await kill_again_and_again(notes, FLOWS * 6)
        await wait_until(all_have_ended, PATIENCE_S * 2)
        await wait_until(nothing_is_left, PATIENCE_S)
    async with Inspector(url) as inspector:
        outer = [await inspector.flow(it.queue, it.id) for it in infos]
        middle = [await inner_of(inspector, it) for it in outer]
        inner = [await inner_of(inspector, it) for it in middle]
    expected = ["failed" if "f" in it else "succeeded" for it in ends]
    for flows in (outer, middle, inner):
        assert [it.state for it in flows] == expected
    steps = [it for flow in (*outer, *middle, *inner) for it in flow.steps]
    ran = {it.task_id for it in steps if it.flow_id is None and it.state != "upstream_failed"}
    assert {task_id for task_id, _ in runs_in(notes)} == ran
