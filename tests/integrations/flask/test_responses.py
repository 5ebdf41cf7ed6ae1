"""A view waits for the result of a task, or says where to ask again."""

from collections.abc import Generator
from datetime import timedelta

import pytest
from flask import Flask, Response, url_for
from flask.testing import FlaskClient

from pyasynq import App, OptionError, SkipRetry
from pyasynq.integrations.flask import Pyasynq, result_response
from pyasynq.testing import SyncTasks

HOUR = timedelta(hours=1)
ZERO = timedelta(0)


@pytest.fixture
def app() -> App:
    """Return an app."""
    return App("redis://127.0.0.1:1")


@pytest.fixture
def client(app: App) -> FlaskClient:
    """Return a client of an application whose views wait for results."""
    flask = Flask("shop")
    Pyasynq(app, flask)

    @app.task("report", retention=HOUR)
    def report(month: str) -> dict[str, str]:
        if month == "bad":
            raise SkipRetry("no such month")
        return {"month": month}

    @flask.post("/<month>")
    def make(month: str) -> Response:
        info = report.enqueue_sync(month)
        later = url_for("again", report_id=info.id)
        return result_response(report, info, timeout=ZERO, later=later)

    @flask.get("/reports/<report_id>")
    def again(report_id: str) -> Response:
        return result_response(report, report_id, timeout=ZERO, later="/")

    return flask.test_client()


@pytest.fixture
def tasks(app: App) -> Generator[SyncTasks]:
    """Yield the tasks, which are in memory."""
    with SyncTasks(app) as tasks:
        yield tasks


def test_a_result_is_there_to_ask_for_later(client: FlaskClient, tasks: SyncTasks) -> None:
    response = client.post("/2026-05")
    assert (response.status_code, response.headers["Retry-After"]) == (202, "1")
    assert response.json == {"id": response.headers["Location"][9:], "state": "pending"}
    tasks.drain()
    again = client.get(response.headers["Location"])
    assert (again.status_code, again.json) == (200, {"month": "2026-05"})
    assert again.content_type == "application/json"


def test_an_archived_task_is_an_error_of_the_server(client: FlaskClient, tasks: SyncTasks) -> None:
    place = client.post("/bad").headers["Location"]
    tasks.drain(raises=False)
    assert client.get(place).status_code == 500


@pytest.mark.usefixtures("tasks")
def test_an_unknown_id_is_not_found(client: FlaskClient) -> None:
    assert client.get("/reports/unknown").status_code == 404


@pytest.mark.usefixtures("tasks")
def test_a_call_whose_result_is_not_kept_is_refused(app: App) -> None:
    @app.task("kept by nobody")
    def task() -> int:
        return 1

    with pytest.raises(OptionError, match="retention"):
        result_response(task, task.enqueue_sync(), timeout=ZERO, later="/")
