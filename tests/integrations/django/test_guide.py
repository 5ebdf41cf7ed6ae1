"""The files that the guide shows are a project that works."""

import os
import re
import sys
from pathlib import Path

import anyio
import django
import pytest

from tests.integrations.django import manage as manage_py

GUIDE = Path(__file__).parents[3] / "docs/guides/django.md"

FILE = re.compile(r"^```python\n# (\S+\.py)(?:: at the end)?\n(.*?)^```$", re.DOTALL | re.MULTILINE)

READERS_BROKER = "redis://127.0.0.1:6379"


async def run(folder: Path, *words: str) -> str:
    """Return the output of Python with *words*, which succeeds."""
    done = await anyio.run_process(
        [sys.executable, *words], cwd=folder, env=clean_environment(), check=False, stderr=-2
    )
    output = done.stdout.decode()
    assert done.returncode == 0, output
    return output


async def manage(folder: Path, *words: str) -> str:
    """Return the output of ``manage.py`` with *words*, which succeeds."""
    file, environ = folder / "manage.py", {"DJANGO_SETTINGS_MODULE": "shop.settings"}
    code, output = await manage_py.run(file, *words, cwd=folder, environ=environ)
    assert code == 0, output
    return output


def clean_environment() -> dict[str, str]:
    """Return the variables of a user who has no other project."""
    return {k: v for k, v in os.environ.items() if k != "DJANGO_SETTINGS_MODULE"}


@pytest.fixture
async def project(tmp_path: Path) -> Path:
    """Return a folder with a project that is made as the guide says."""
    await run(tmp_path, "-m", "django", "startproject", "shop", ".")
    await manage(tmp_path, "startapp", "orders")
    (tmp_path / "orders/invoices").mkdir()
    for name, text in FILE.findall(GUIDE.read_text()):
        file = tmp_path / name
        before = file.read_text() if name == "shop/settings.py" else ""
        file.write_text(before + as_on_this_machine(text, tmp_path))
    await manage(tmp_path, "makemigrations", "orders")
    await manage(tmp_path, "migrate")
    return tmp_path


def as_on_this_machine(text: str, folder: Path) -> str:
    text = text.replace(READERS_BROKER, f"sqlite:///{folder}/tasks.db")
    if django.VERSION >= (6, 0):
        text = text.replace("from django_tasks", "from django.tasks")
        text = text.replace('"django_tasks", ', "")
    return text


ENQUEUE = """
from django.test import RequestFactory
from orders.invoices.tasks import write_invoice
from orders.views import create
create(RequestFactory().post("/", {"customer": "ann@example.org"}))
write_invoice.enqueue(1)
"""

SHOW = "from orders.models import Order; print(Order.objects.values('confirmed', 'invoice').get())"


async def test_the_tests_of_the_guide_pass_and_its_tasks_run(project: Path) -> None:
    names = {name for name, _ in FILE.findall(GUIDE.read_text())}
    assert len(names) == 7
    tested = await run(project, "-W", "error::RuntimeWarning", "manage.py", "test")
    assert "Ran 4 tests" in tested
    await manage(project, "shell", "-c", ENQUEUE)
    await manage(project, "pyasynq_worker", "--burst")
    shown = await manage(project, "shell", "-c", SHOW)
    assert "{'confirmed': True, 'invoice': 'invoice-1.pdf'}" in shown
