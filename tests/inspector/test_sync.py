"""The inspector without an event loop has every method of the other one."""

import inspect
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import get_type_hints

import pytest

from pyasynq import (
    ClientClosedError,
    Inspector,
    QueueNotFoundError,
    SyncClient,
    SyncInspector,
    Task,
)

CLOSING = {"aclose"}


def public_methods(kind: type) -> set[str]:
    """Return the names of the public methods of *kind*."""
    return {
        name for name, _ in inspect.getmembers(kind, inspect.isfunction) if not name.startswith("_")
    }


@pytest.fixture
def inspector(redis_url: str) -> Iterator[SyncInspector]:
    """Yield an inspector."""
    with SyncInspector(redis_url) as inspector:
        yield inspector


@pytest.fixture
def client(redis_url: str) -> Iterator[SyncClient]:
    """Yield a client."""
    with SyncClient(redis_url) as client:
        yield client


def test_it_lacks_no_method_and_adds_only_close() -> None:
    assert public_methods(SyncInspector) - public_methods(Inspector) == {"close"}
    assert public_methods(Inspector) - public_methods(SyncInspector) == set()


@pytest.mark.parametrize("name", sorted(public_methods(Inspector) - CLOSING))
def test_a_method_takes_and_returns_what_the_asynchronous_one_does(name: str) -> None:
    ours, theirs = getattr(SyncInspector, name), getattr(Inspector, name)
    assert inspect.signature(ours).parameters == inspect.signature(theirs).parameters
    assert get_type_hints(ours) == get_type_hints(theirs)
    assert not inspect.iscoroutinefunction(ours)


def test_it_reads_and_changes_tasks(client: SyncClient, inspector: SyncInspector) -> None:
    info = client.enqueue(Task("mail", b"{}"), process_in=timedelta(hours=1))
    assert inspector.queues() == ["default"]
    assert inspector.queue_info("default").scheduled == 1
    assert inspector.update_task("default", info.id, payload=b"[]").payload == b"[]"
    assert [it.id for it in inspector.find_tasks("default", "scheduled", type="mail")] == [info.id]
    inspector.run_task("default", info.id)
    assert inspector.task_info("default", info.id).state == "pending"
    inspector.archive_task("default", info.id)
    inspector.delete_task("default", info.id)
    assert inspector.list_tasks("default", "pending") == []


def test_it_moves_all_tasks_in_a_state_and_reports_the_progress(
    client: SyncClient, inspector: SyncInspector
) -> None:
    client.enqueue_many([Task("mail") for _ in range(3)])
    counts: list[int] = []
    assert inspector.archive_all("default", "pending", progress=counts.append) == 3
    assert counts == [3]
    assert inspector.run_all("default", "archived", type="mail") == 3
    assert inspector.delete_all("default", "pending") == 3


def test_threads_share_it(client: SyncClient, inspector: SyncInspector) -> None:
    client.enqueue(Task("mail"))
    with ThreadPoolExecutor(8) as threads:
        found = list(threads.map(lambda _: inspector.queues(), range(8)))
    assert found == [["default"]] * 8


def test_it_raises_the_errors_of_the_asynchronous_one(inspector: SyncInspector) -> None:
    with pytest.raises(QueueNotFoundError, match="nothing"):
        inspector.pause("nothing")


def test_it_refuses_calls_after_its_end(inspector: SyncInspector) -> None:
    inspector.close()
    with pytest.raises(ClientClosedError):
        inspector.queues()
