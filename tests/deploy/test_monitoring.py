"""Dashboard and alerts ask for series that a worker and ``pyasynq metrics`` serve."""

import json
import re
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from itertools import combinations
from pathlib import Path
from typing import Any, TypeAlias, cast

import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families

from pyasynq import Client, Task
from tests.cli.pages import read_page
from tests.cli.processes import command, worker
from tests.deploy.files import DEPLOY
from tests.deploy.series import Selector, selectors
from tests.support.servers import free_port
from tests.support.waiting import wait_until

Json: TypeAlias = dict[str, Any]
Series: TypeAlias = Mapping[str, set[str]]

RULES = DEPLOY / "prometheus" / "alerts.yml"
ALERTS = cast("list[Json]", yaml.safe_load(RULES.read_text())["groups"][0]["rules"])
DASHBOARD = cast("Json", json.loads((DEPLOY / "grafana" / "pyasynq.json").read_text()))
PANELS = cast("list[Json]", DASHBOARD["panels"])
SCALED_OBJECT = cast("Json", yaml.safe_load((DEPLOY / "kubernetes" / "keda.yaml").read_text()))

OF_PROMETHEUS = {"instance", "job", "le"}
"""Labels that Prometheus adds to every series, and that of buckets."""


def panel_queries() -> Iterator[str]:
    """Yield the queries of the dashboard, with values for Grafana's variables."""
    for panel in PANELS:
        for target in panel.get("targets", ()):
            query = target["expr"].replace("$__rate_interval", "5m")
            yield query.replace("$queue", ".*").replace("$type", ".*")


def variable_series() -> Iterator[Selector]:
    """Yield what the dashboard's variables ask for: ``label_values(series, label)``."""
    for variable in DASHBOARD["templating"]["list"]:
        if asked := re.fullmatch(r"label_values\((.+), (\w+)\)", variable.get("definition", "")):
            (selector,) = selectors(asked[1].replace("$queue", ".*"))
            yield Selector(selector.series, selector.labels | {asked[2]})


def alert_queries() -> Iterator[str]:
    """Yield the queries of the alerts."""
    yield from (alert["expr"] for alert in ALERTS)


def scaling_query() -> str:
    """Return the query of the autoscaler."""
    (trigger,) = SCALED_OBJECT["spec"]["triggers"]
    return str(trigger["metadata"]["query"])


def series_in(*pages: str) -> Series:
    """Return the labels of each series in *pages*."""
    found: dict[str, set[str]] = {}
    for page in pages:
        for family in text_string_to_metric_families(page):
            for sample in family.samples:
                found.setdefault(sample.name, set()).update(sample.labels)
    return found


@pytest.fixture
async def served(redis_url: str) -> Series:
    """The series of a worker that has run a task, and of ``pyasynq metrics``."""
    async with Client(redis_url) as client:
        await client.enqueue(Task("print"))
    of_worker, of_queues = (f"127.0.0.1:{free_port()}" for _ in range(2))
    args = ("tests.cli.apps:app", "-u", redis_url, "--health-addr", of_worker, "--metrics")
    async with worker(*args), command("metrics", "--addr", of_queues, "-u", redis_url):

        async def has_run() -> bool:
            return "pyasynq_tasks_total{" in await read_page(of_worker)

        await wait_until(has_run)

        async def shows_queue() -> bool:
            return "asynq_queue_size{" in await read_page(of_queues)

        await wait_until(shows_queue)
        return series_in(await read_page(of_worker), await read_page(of_queues))


async def test_every_series_and_label_that_is_asked_for_is_served(served: Series) -> None:
    queries = [*panel_queries(), *alert_queries(), scaling_query()]
    asked = {*variable_series(), *(one for query in queries for one in selectors(query))}
    assert {one.series for one in asked} <= served.keys()
    assert {one for one in asked if not one.labels <= served[one.series] | OF_PROMETHEUS} == set()


async def test_every_series_of_ours_is_in_the_dashboard(served: Series) -> None:
    ours = {name for name in served if re.match(r"(py)?asynq_", name)}
    shown = {one.series for query in panel_queries() for one in selectors(query)}
    assert {name for name in ours if not name.endswith(("_count", "_created"))} == shown


def test_a_series_that_is_not_there_is_found() -> None:
    (selector,) = selectors('rate(asynq_queue_sise{queu="q"}[5m])')
    assert selector == ("asynq_queue_sise", frozenset({"queu"}))


@pytest.mark.parametrize("alert", ALERTS, ids=lambda alert: alert["alert"])
def test_an_alert_says_what_happens_and_what_to_do(alert: Json) -> None:
    assert alert["labels"]["severity"] in {"critical", "warning"}
    assert alert["annotations"].keys() == {"summary", "description"}
    assert alert.keys() <= {"alert", "expr", "for", "labels", "annotations"}


async def test_alerts_name_only_labels_that_their_series_have(served: Series) -> None:
    wrong = [alert for alert in ALERTS if not named_in(alert) <= labels_of(alert, served)]
    assert wrong == []


def named_in(alert: Json) -> set[str]:
    """Return the labels in the texts of *alert*."""
    return set(re.findall(r"\$labels\.(\w+)", " ".join(alert["annotations"].values())))


def labels_of(alert: Json, served: Series) -> set[str]:
    """Return the labels of the first series in the query of *alert*, whose value it shows."""
    first, *_ = selectors(alert["expr"])
    return served[first.series] | OF_PROMETHEUS


@pytest.mark.skipif(shutil.which("promtool") is None, reason="promtool is not installed")
def test_the_alerts_fire_when_they_must() -> None:
    cases = Path(__file__).with_name("alerts_test.yml")
    done = subprocess.run(
        ["promtool", "test", "rules", cases], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_panel_has_an_id_a_title_and_a_place_of_its_own() -> None:
    assert len({panel["id"] for panel in PANELS}) == len(PANELS)
    assert all(panel["title"] for panel in PANELS)
    assert [pair for pair in combinations(PANELS, 2) if _overlap(*pair)] == []


def _overlap(one: Json, other: Json) -> bool:
    a, b = one["gridPos"], other["gridPos"]
    return all(
        a[at] < b[at] + b[size] and b[at] < a[at] + a[size] for at, size in (("x", "w"), ("y", "h"))
    )


def test_every_panel_asks_the_prometheus_that_the_reader_chooses() -> None:
    chosen = {"type": "prometheus", "uid": "${datasource}"}
    targets = [target for panel in PANELS for target in panel.get("targets", ())]
    asking = [*targets, *(panel for panel in PANELS if "targets" in panel)]
    assert [one for one in asking if one["datasource"] != chosen] == []
