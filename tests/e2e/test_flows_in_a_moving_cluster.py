"""Slots move from node to node while flows run over them: each flow ends as its graph says."""

import asyncio
import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from pyasynq import Client
from pyasynq.core.flow import STEP_STATES
from tests.cli.processes import worker
from tests.e2e.test_flows_of_killed_workers import (
    APP,
    ended_flows,
    flow_of,
    left_in,
    runs_in,
    started_in,
)
from tests.support.flow_model import QUEUES, a_graph, outcomes
from tests.support.servers import RedisCluster
from tests.support.waiting import wait_until

FLOWS, MOVES = 40, 12


@pytest.fixture
def cluster() -> Iterator[RedisCluster]:
    with RedisCluster() as cluster:
        yield cluster


@pytest.mark.timeout(300)
async def test_flows_go_on_while_the_slots_of_their_queues_move(
    cluster: RedisCluster, tmp_path: Path
) -> None:
    chance, notes = random.Random(5), tmp_path / "notes"
    notes.touch()
    graphs = [a_graph(chance) for _ in range(FLOWS)]
    marks = [outcomes(graph) for graph in graphs]
    async with Client(cluster.url) as client:
        for number, graph in enumerate(graphs):
            await client.enqueue_flow(flow_of(number, graph))
    started = {f"{n}:{k}" for n, ends in enumerate(marks) for k in started_in(graphs[n], ends)}
    environ = {"FLOWING_URL": cluster.url, "FLOWING_FILE": str(notes)}

    async def all_is_done() -> bool:
        ended = await ended_flows(cluster.url)
        return len(ended) == FLOWS and await left_in(cluster.url) == 0

    async with worker(APP, "-c", "5", environ=environ):
        for number in range(MOVES):
            wanted = number * len(started) // (2 * MOVES)
            await wait_until(lambda wanted=wanted: len(runs_in(notes)) >= wanted)
            await asyncio.to_thread(cluster.move_slot, f"{{{QUEUES[number % len(QUEUES)]}}}")
        await wait_until(all_is_done)
    found = await ended_flows(cluster.url)
    assert {n: [it.state for it in flow.steps] for n, flow in found.items()} == {
        n: [STEP_STATES[mark] for mark in ends] for n, ends in enumerate(marks)
    }
    assert {task_id for task_id, _ in runs_in(notes)} == started
