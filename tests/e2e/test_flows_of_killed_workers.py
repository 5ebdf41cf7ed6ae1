"""Workers are killed at any moment: each flow ends as its graph says, each step with one task."""

import logging
import os
import random
import signal
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path

import pytest

from pyasynq import Client, Flow, Inspector, Members
from pyasynq.core.flow import STEP_STATES
from pyasynq.core.flow_info import FlowInfo
from tests.cli.processes import worker
from tests.e2e.apps.flowing import step
from tests.support.flow_model import QUEUES, Graph, a_graph, outcomes, with_maps
from tests.support.waiting import wait_until

APP = "tests.e2e.apps.flowing:app"
IS_CAMPAIGN = "PYASYNQ_CAMPAIGN" in os.environ
FLOWS, KILLS = (1000, 100) if IS_CAMPAIGN else (40, 4)
PATIENCE_S = 1200 if IS_CAMPAIGN else 60

log = logging.getLogger(__name__)


def runs_in(notes: Path) -> list[list[str]]:
    """Return id and process of each run, without an unfinished line."""
    whole, _, _ = notes.read_text().rpartition("\n")
    return [line.split() for line in whole.splitlines()]


def flow_of(number: int, graph: Graph) -> Flow:
    """Return a flow of *graph*, whose steps are named by their numbers."""
    flow = Flow("random", id=f"{number}", queue=QUEUES[number % len(QUEUES)])
    maps: dict[int, Members[str]] = {}
    for n, ((when, after), end) in enumerate(zip(graph.steps, graph.ends, strict=True)):
        here, before = step.options(queue=graph.queues[n]), [flow.all[it] for it in after]
        if n in graph.members:
            tasks = [here.task(it, []) for it in graph.members[n]]
            maps[n] = flow.map(tasks, after=before, when=when, name=f"{n}")
            continue
        used = [maps[it].results for it in after if it in maps and when == "succeeded"]
        task = here.task(end, used[0] if used else [])
        flow.add(task, after=before, when=when, name=f"{n}")
    return flow


async def ended_flows(url: str) -> dict[int, FlowInfo]:
    """Return the flows that have ended, by their numbers."""
    async with Inspector(url) as inspector:
        found = [flow for q in QUEUES for flow in await inspector.flows(q, "ended", size=FLOWS)]
    return {int(flow.id): flow for flow in found}


async def kill_again_and_again(notes: Path, runs: int) -> None:
    """Kill a worker after each some runs."""
    chances = random.Random(7)
    for _ in range(KILLS):
        wanted = len(runs_in(notes)) + chances.randint(1, runs // KILLS // 2)
        await wait_until(lambda wanted=wanted: len(runs_in(notes)) >= wanted, PATIENCE_S)
        with suppress(ProcessLookupError):
            os.kill(int(runs_in(notes)[-1][1]), signal.SIGKILL)


@pytest.mark.timeout(PATIENCE_S * 3)
async def test_random_flows_over_three_queues_end_as_their_graphs_say(
    url: str, tmp_path: Path
) -> None:
    chance, notes = random.Random(11), tmp_path / "notes"
    notes.touch()
    graphs = [with_maps(a_graph(chance), chance) for _ in range(FLOWS)]
    marks = [outcomes(graph) for graph in graphs]
    async with Client(url) as client:
        flows = [await client.enqueue_flow(flow_of(n, graph)) for n, graph in enumerate(graphs)]
    started = [it for n, flow in enumerate(flows) for it in tasks_of(flow, graphs[n], marks[n])]
    environ = {"FLOWING_URL": url, "FLOWING_FILE": str(notes)}

    async def all_is_done() -> bool:
        return len(await ended_flows(url)) == FLOWS and await left_in(url) == 0

    async with worker(APP, "-p", "2", "-c", "10", environ=environ):
        await kill_again_and_again(notes, len(started))
        await wait_until(all_is_done, PATIENCE_S)
    log.info(
        "%d flows, %d tasks, %d kills, %d runs", FLOWS, len(started), KILLS, len(runs_in(notes))
    )
    found = await ended_flows(url)
    assert {n: [it.state for it in flow.steps] for n, flow in found.items()} == {
        n: [STEP_STATES[mark] for mark in ends] for n, ends in enumerate(marks)
    }
    assert {task_id for task_id, _ in runs_in(notes)} == {*started}


def tasks_of(flow: FlowInfo, graph: Graph, marks: str) -> Iterator[str]:
    """Yield the ids of the tasks that must run, those of maps included."""
    for number in started_in(graph, marks):
        batch_id, count = flow.steps[number].batch_id, flow.steps[number].size
        if batch_id is None:
            yield f"{flow.id}:{number}"
        else:
            yield from (f"{batch_id}:{member}" for member in range(count))


def started_in(graph: Graph, marks: str) -> Sequence[int]:
    """Return the numbers of the steps whose tasks must run."""
    return [
        n for n, mark in enumerate(marks) if mark in "sf" or (mark == "x" and _ran(graph, marks, n))
    ]


def _ran(graph: Graph, marks: str, number: int) -> bool:
    """Return whether a step that is marked as skipped has run, and was revoked."""
    when, after = graph.steps[number]
    before = {marks[it] for it in after}
    lost = bool(before & {"f", "u"})
    if when == "succeeded":
        return not lost and "x" not in before
    return when == "ended" or lost


async def left_in(url: str) -> int:
    """Return the number of tasks that wait or run, and of letters that wait."""
    async with Inspector(url) as inspector:
        infos = [await inspector.queue_info(queue) for queue in await inspector.queues()]
        mail = [letter for queue in QUEUES for letter in await inspector.mail(queue)]
    return len(mail) + sum(it.pending + it.active + it.retry + it.scheduled for it in infos)
