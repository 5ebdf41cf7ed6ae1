"""The manifests fit the commands and each other; ``make lint`` checks them against the schemas."""

import re
import signal
from datetime import timedelta
from typing import Any, TypeAlias, cast

import pytest
import yaml

from pyasynq import App
from pyasynq.cli.option_types import parse_duration
from tests.cli.processes import command
from tests.deploy.files import DEPLOY
from tests.support.servers import free_port

Json: TypeAlias = dict[str, Any]

FILES = sorted((DEPLOY / "kubernetes").glob("*.yaml"))
OBJECTS = [cast("Json", it) for file in FILES for it in yaml.safe_load_all(file.read_text())]
DEPLOYMENTS = {it["metadata"]["name"]: it for it in OBJECTS if it["kind"] == "Deployment"}
PODS = {name: cast("Json", it["spec"]["template"]) for name, it in DEPLOYMENTS.items()}
CONTAINERS = {name: cast("Json", pod["spec"]["containers"][0]) for name, pod in PODS.items()}
WORKER = "pyasynq-worker"
STARTED = {
    "pyasynq-metrics": "metrics at",
    "pyasynq-scheduler": "the scheduler starts",
    "pyasynq-worker": "starts: ",
}


def given(container: Json, option: str) -> str:
    """Return the value of *option* in the command of a container."""
    (found,) = [arg for arg in container["args"] if arg.startswith(f"{option}=")]
    return str(found.removeprefix(f"{option}="))


def probes_of(container: Json) -> dict[str, Json]:
    """Return the probes of a container."""
    return {name: it for name, it in container.items() if name.endswith("Probe")}


@pytest.mark.parametrize("name", STARTED)
async def test_the_command_of_a_container_runs_until_sigterm(name: str, redis_url: str) -> None:
    words = " ".join(CONTAINERS[name]["args"]).replace("shop.tasks:app", "tests.cli.apps:app")
    args = re.sub(r"0\.0\.0\.0:\d+", f"127.0.0.1:{free_port()}", words).split()
    (variable,) = CONTAINERS[name]["env"]
    async with command(*args, environ={variable["name"]: redis_url}) as process:
        await process.wait_for_line(STARTED[name])
        process.send(signal.SIGTERM)
        assert await process.wait_for_end() == 0


def test_all_containers_are_known_here() -> None:
    assert CONTAINERS.keys() == STARTED.keys()


def test_a_worker_has_the_time_that_it_needs_to_stop() -> None:
    timeout = parse_duration(given(CONTAINERS[WORKER], "--shutdown-timeout"))
    server = App("redis://127.0.0.1:6379", shutdown_timeout=timeout).server()
    grace_s = PODS[WORKER]["spec"]["terminationGracePeriodSeconds"]
    assert timedelta(seconds=grace_s) > server.longest_stop


@pytest.mark.parametrize("name", ["pyasynq-worker", "pyasynq-metrics"])
def test_probes_and_prometheus_ask_the_port_that_the_command_opens(name: str) -> None:
    container = CONTAINERS[name]
    (port,) = container["ports"]
    (listens,) = [arg for arg in container["args"] if arg.endswith(f":{port['containerPort']}")]
    assert listens.startswith(("--addr=0.0.0.0:", "--health-addr=0.0.0.0:"))
    asked = [probe.get("httpGet") or probe["tcpSocket"] for probe in probes_of(container).values()]
    assert {it["port"] for it in asked} == {port["name"]}
    annotations = PODS[name]["metadata"]["annotations"]
    assert annotations["prometheus.io/port"] == str(port["containerPort"])


def test_a_worker_is_restarted_only_if_its_process_is_broken() -> None:
    paths = {name: it["httpGet"]["path"] for name, it in probes_of(CONTAINERS[WORKER]).items()}
    assert paths == {
        "startupProbe": "/livez",
        "livenessProbe": "/livez",
        "readinessProbe": "/readyz",
    }


@pytest.mark.parametrize("name", DEPLOYMENTS)
def test_a_deployment_selects_its_own_pods_alone(name: str) -> None:
    wanted = DEPLOYMENTS[name]["spec"]["selector"]["matchLabels"].items()
    found = [of for of, pod in PODS.items() if wanted <= pod["metadata"]["labels"].items()]
    assert found == [name]


def test_the_budget_is_for_the_workers() -> None:
    (budget,) = [it for it in OBJECTS if it["kind"] == "PodDisruptionBudget"]
    assert budget["spec"]["selector"] == DEPLOYMENTS[WORKER]["spec"]["selector"]


def test_the_autoscaler_scales_the_workers_by_the_queues_that_they_serve() -> None:
    (scaled,) = [it for it in OBJECTS if it["kind"] == "ScaledObject"]
    assert scaled["spec"]["scaleTargetRef"] == {"name": WORKER}
    (trigger,) = scaled["spec"]["triggers"]
    (named,) = re.findall(r'queue=~"([^"]+)"', trigger["metadata"]["query"])
    served = [pair.split("=")[0] for pair in given(CONTAINERS[WORKER], "--queues").split(",")]
    assert named.split("|") == served
    assert all(isinstance(value, str) for value in trigger["metadata"].values())


@pytest.mark.parametrize("name", CONTAINERS)
def test_a_container_may_do_no_more_than_it_needs(name: str) -> None:
    assert PODS[name]["spec"]["securityContext"]["runAsNonRoot"] is True
    assert CONTAINERS[name]["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
