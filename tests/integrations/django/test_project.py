"""The app of the project is made of its settings."""

from typing import Any

import pytest
from django.core.exceptions import ImproperlyConfigured
from django.core.management import call_command
from django.test import override_settings

import pyasynq
from pyasynq import ActiveTask, App
from pyasynq.integrations import django
from pyasynq.integrations.django import app, project
from pyasynq.testing import SyncTasks

HERE = __name__
NOWHERE = "redis://127.0.0.1:1"
entered: list[str] = []


def report(task: ActiveTask, error: Exception) -> None:
    entered.append(f"{task.type}: {error}")


async def report_later(task: ActiveTask, error: Exception) -> None:
    entered.append(f"{task.type}: {error}")


class Reversed:
    name = "reversed"

    def seal(self, payload: bytes, _context: object) -> bytes:
        entered.append("seal")
        return payload[::-1]

    def open(self, payload: bytes, _context: object) -> bytes:
        return payload[::-1]


def make(**settings: object) -> App:
    """Return the app of a project with these settings."""
    with override_settings(PYASYNQ=settings):
        return project._make_app.__wrapped__()


def test_each_public_name_is_there() -> None:
    assert [getattr(django, name, None) is None for name in django.__all__] == [False] * 3
    with pytest.raises(AttributeError, match="has no attribute 'apq'"):
        django.apq  # type: ignore[attr-defined]  # noqa: B018


def test_the_app_has_the_tasks_of_all_applications() -> None:
    assert {"order:confirm", "order:aconfirm"} <= app.tasks.keys()
    assert app is project.project_app()


def test_broker_and_options_are_those_of_the_settings() -> None:
    own = make(BROKER="redis://elsewhere", OPTIONS={"queues": {"low": 1}})
    assert own.address.broker == "redis://elsewhere"
    assert own.server_options().get("queues") == {"low": 1}


@pytest.mark.parametrize(
    ("settings", "text"),
    [
        ({"BROKER": "http://elsewhere"}, "broker must be"),
        ({"BROKERS": []}, "did you mean 'BROKER'"),
        ({"OPTIONS": {"concurency": 1}}, "did you mean 'concurrency'"),
        ({"OPTIONS": {"concurrency": 0}}, "concurrency must be"),
        ({"OPTIONS": {"on_error": "nowhere.report"}}, "No module named 'nowhere'"),
        ({"OPTIONS": {"lifespan": 7}}, "lifespan must be"),
    ],
)
def test_settings_that_cannot_work_are_refused(settings: dict[str, Any], text: str) -> None:
    with pytest.raises(ImproperlyConfigured, match="the setting PYASYNQ cannot be used") as refusal:
        make(**settings)
    assert text in str(refusal.value)


@pytest.mark.parametrize("name", ["report", "report_later"])
def test_functions_may_be_named_by_their_path(name: str) -> None:
    entered.clear()
    own = make(
        OPTIONS={
            "on_error": f"{HERE}.{name}",
            "codecs": [f"{HERE}.REVERSED"],
        }
    )

    @own.task("t", max_retry=0)
    def fail() -> None:
        entered.append("run")
        raise KeyError("oh")

    with SyncTasks(own) as tasks:
        client = pyasynq.SyncClient(NOWHERE, codecs=own.server_options().get("codecs", ()))
        client.enqueue(fail.task())
        client.close()
        tasks.drain(raises=False)
    assert entered == ["seal", "run", "t: 'oh'"]


REVERSED = Reversed()


def test_migrations_are_complete() -> None:
    call_command("makemigrations", check=True, dry_run=True, verbosity=0)
