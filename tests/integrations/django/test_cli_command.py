"""``manage.py``: the commands of pyasynq, with their options, for the project."""

import signal
from contextlib import AbstractAsyncContextManager
from pathlib import Path

import pytest
from asgiref.sync import sync_to_async
from django.core.management import call_command

from pyasynq import Inspector
from pyasynq.integrations.django import enqueue, outbox
from tests.cli.processes import WorkerProcess
from tests.integrations.django import manage as manage_py
from tests.integrations.django.conftest import SETTINGS
from tests.integrations.django.site.orders import tasks
from tests.integrations.django.site.orders.models import Order
from tests.support.waiting import wait_until

ROOT = Path(__file__).parents[3]

MANAGE = f"""
import os, sys
sys.path.insert(1, {str(ROOT)!r})
os.environ["PYTHONPATH"] = os.pathsep.join([{str(ROOT)!r}, os.environ.get("PYTHONPATH", "")])
os.environ["DJANGO_SETTINGS_MODULE"] = {SETTINGS!r}
from django.core.management import execute_from_command_line
execute_from_command_line(sys.argv)
"""

pytestmark = pytest.mark.usefixtures("database", "one_broker_url")


@pytest.fixture
def manage(tmp_path: Path) -> Path:
    """Return a ``manage.py``."""
    file = tmp_path / "manage.py"
    file.write_text(MANAGE)
    return file


def start(manage: Path, *words: str) -> AbstractAsyncContextManager[WorkerProcess]:
    """Start ``manage.py`` with *words*, in another folder."""
    return manage_py.start(manage, *words, cwd=Path(manage.anchor))


async def run(manage: Path, *words: str) -> tuple[int, str]:
    """Run ``manage.py`` with *words*, in another folder; return its exit code and its output."""
    return await manage_py.run(manage, *words, cwd=Path(manage.anchor))


async def confirmed() -> int:
    return await Order.objects.filter(confirmed=True).acount()


async def test_a_worker_runs_the_tasks_of_the_project(manage: Path) -> None:
    order = await Order.objects.acreate(customer="ann")
    await sync_to_async(enqueue)(tasks.confirm.task(order.pk))
    await sync_to_async(enqueue)(tasks.aconfirm.task(order.pk))
    code, output = await run(manage, "pyasynq_worker", "--burst", "-c", "4", "-Q", "default=2")
    assert code == 0, output
    assert "queues default=2, 4 at once" in output
    assert await confirmed() == 1


async def test_several_processes_find_the_project(manage: Path) -> None:
    order = await Order.objects.acreate(customer="ann")
    async with start(manage, "pyasynq_worker", "-p", "2") as process:
        await process.wait_for_line("starts:", times=2)
        await sync_to_async(enqueue)(tasks.confirm.task(order.pk))
        await wait_until(confirmed)
        process.send(signal.SIGTERM)
        assert await process.wait_for_end() == 0


async def test_a_relay_moves_the_rows_of_the_named_database(
    manage: Path, inspector: Inspector
) -> None:
    async with start(manage, "pyasynq_relay", "--database", "other") as process:
        await process.wait_for_line("runs pyasynq.integrations.django.relays:other")
        await sync_to_async(outbox.add)(tasks.confirm.task(1), using="other")
        await wait_until(inspector.queues)
        process.send(signal.SIGTERM)
        await process.wait_for_line("the relay has stopped")
        assert await process.wait_for_end() == 0


async def test_a_scheduler_shows_the_periodic_tasks(manage: Path, inspector: Inspector) -> None:
    async with start(manage, "pyasynq_scheduler", "--location", "Europe/Paris") as process:
        await wait_until(inspector.scheduler_entries)
        process.send(signal.SIGTERM)
        assert await process.wait_for_end() == 0


async def test_an_unknown_database_has_no_relay(manage: Path) -> None:
    code, output = await run(manage, "pyasynq_relay", "--database", "nowhere")
    assert code == 3
    assert "has no pyasynq.outbox.Relay called 'nowhere'" in output


@pytest.mark.parametrize("words", [["help", "pyasynq_worker"], ["pyasynq_worker", "--help"]])
async def test_the_help_is_that_of_the_command(manage: Path, words: list[str]) -> None:
    code, output = await run(manage, *words)
    assert code == 0
    assert "--concurrency" in output


async def test_a_wrong_option_ends_with_the_code_of_the_command(manage: Path) -> None:
    code, output = await run(manage, "pyasynq_worker", "--concurency", "4")
    assert code == 2
    assert "--concurency" in output


def test_a_program_may_call_the_command() -> None:
    call_command("pyasynq_worker", "--burst")
    with pytest.raises(SystemExit, match="2"):
        call_command("pyasynq_worker", "--bursts")
