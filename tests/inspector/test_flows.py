"""Operators read flows in pages, and act on them, with and without an event loop."""

from collections.abc import AsyncIterator

import pytest

from pyasynq import (
    Flow,
    Inspector,
    OptionError,
    QueueNotFoundError,
    SyncClient,
    SyncInspector,
    Task,
)


@pytest.fixture
async def inspector(redis_url: str) -> AsyncIterator[Inspector]:
    async with Inspector(redis_url) as inspector:
        yield inspector


@pytest.fixture
def flow() -> Flow:
    """Return a flow of a gate and a task."""
    flow = Flow("import", queue="q", id="7")
    gate = flow.gate("approval")
    flow.add(Task("t", queue="q"), after=gate)
    return flow


async def test_flows_are_read_in_pages(inspector: Inspector, redis_url: str) -> None:
    with SyncClient(redis_url) as client:
        infos = [client.enqueue_flow(_a_flow()) for _ in range(5)]
    pages = [await inspector.flows("q", page=page, size=2) for page in (1, 2, 3, 4)]
    assert [len(page) for page in pages] == [2, 2, 1, 0]
    assert {flow.id for page in pages for flow in page} == {info.id for info in infos}


def _a_flow() -> Flow:
    flow = Flow("import", queue="q")
    flow.gate("approval")
    return flow


async def test_what_cannot_be_listed_is_refused(inspector: Inspector) -> None:
    with pytest.raises(QueueNotFoundError):
        await inspector.flows("nowhere")
    with pytest.raises(OptionError):
        await inspector.flows("q", "some")  # type: ignore[arg-type]
    with pytest.raises(OptionError):
        await inspector.flows("q", page=0)


def test_code_without_a_loop_acts_on_flows(redis_url: str, flow: Flow) -> None:
    with SyncClient(redis_url) as client, SyncInspector(redis_url) as inspector:
        info = client.enqueue_flow(flow)
        assert [it.id for it in inspector.flows("q")] == ["7"]
        assert inspector.cancel_flow("q", "7").state == "cancelled"
        assert inspector.retry_flow("q", "7").state == "running"
        client.signal(info, "approval")
        assert inspector.flow("q", "7").step("t").state == "running"
        assert inspector.skip_step("q", "7", "t").state == "succeeded"


def test_an_operator_signals_without_a_loop(redis_url: str, flow: Flow) -> None:
    with SyncClient(redis_url) as client, SyncInspector(redis_url) as inspector:
        client.enqueue_flow(flow)
        inspector.signal("q", "7", "approval", value=[1])
        assert inspector.flow("q", "7").step("approval").state == "succeeded"
