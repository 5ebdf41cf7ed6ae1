"""Workers are killed while a map runs: each of its tasks counts once, and no result is lost."""

import os
import signal
from contextlib import suppress
from pathlib import Path

import pytest

from pyasynq import Client, Flow, Inspector
from tests.cli.processes import worker
from tests.e2e.apps.flowing import step
from tests.e2e.test_flows_of_killed_workers import APP, PATIENCE_S, left_in, runs_in
from tests.support.waiting import wait_until

IS_CAMPAIGN = "PYASYNQ_CAMPAIGN" in os.environ
TASKS, KILLS = (9000, 60) if IS_CAMPAIGN else (1500, 4)
"""More tasks than begin at once."""


def a_flow(queue: str) -> Flow:
    """Return a flow of a step, a map of tasks in another queue, and a step with their results."""
    flow = Flow("map", queue="q")
    first = flow.add(step.options(queue="q").task("s", []), name="first")
    in_map = step.options(queue=queue)
    results = flow.map((in_map.task("s", []) for _ in range(TASKS)), after=first).results
    flow.add(step.options(queue="q").task("s", results), name="last")
    return flow


async def kill_again_and_again(notes: Path) -> None:
    """Kill a worker after each some runs."""
    for number in range(1, KILLS + 1):
        wanted = number * TASKS // (KILLS + 1)
        await wait_until(lambda wanted=wanted: len(runs_in(notes)) >= wanted, PATIENCE_S)
        with suppress(ProcessLookupError):
            os.kill(int(runs_in(notes)[-1][1]), signal.SIGKILL)


@pytest.mark.timeout(PATIENCE_S * 3)
@pytest.mark.parametrize("queue", ["q", "r"])
async def test_each_task_of_a_map_counts_once_however_workers_die(
    url: str, tmp_path: Path, queue: str
) -> None:
    notes = tmp_path / "notes"
    notes.touch()
    async with Client(url) as client:
        info = await client.enqueue_flow(a_flow(queue))
    batch_id = info.step("map").batch_id or ""
    environ = {"FLOWING_URL": url, "FLOWING_FILE": str(notes)}

    async def all_is_done() -> bool:
        async with Inspector(url) as inspector:
            has_ended = (await inspector.flow("q", info.id)).ended_at is not None
        return has_ended and await left_in(url) == 0

    async with worker(APP, "-p", "2", "-c", "20", environ=environ):
        await kill_again_and_again(notes)
        await wait_until(all_is_done, PATIENCE_S)
    async with Inspector(url) as inspector:
        assert (await inspector.flow("q", info.id)).state == "succeeded"
        batch = await inspector.batch(queue, batch_id)
    assert (batch.state, batch.total, batch.ended, batch.failed) == ("succeeded", TASKS, TASKS, 0)
    expected = {f"{batch_id}:{number}" for number in range(TASKS)}
    assert {task_id for task_id, _ in runs_in(notes)} == expected | {
        f"{info.id}:first",
        f"{info.id}:last",
    }
