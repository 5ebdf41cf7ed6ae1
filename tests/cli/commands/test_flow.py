"""``pyasynq flow`` shows flows, and acts on them."""

import pytest

from pyasynq import Flow, FlowInfo, SyncClient, Task
from tests.cli.command_runner import CommandResult, CommandRunner


@pytest.fixture
def info(sync_client: SyncClient) -> FlowInfo:
    """Enqueue a flow of the queue ``q`` that waits at a gate, and return it."""
    flow = Flow("import", queue="q", id="7")
    first = flow.add(Task("fetch", queue="q"))
    gate = flow.gate("approval", after=first)
    flow.add(Task("alarm", queue="q"), after=gate, when="failed")
    return sync_client.enqueue_flow(flow)


@pytest.mark.usefixtures("info")
@pytest.mark.parametrize("verb", ["list", "ls"])
def test_flows_are_listed(run_cli: CommandRunner, verb: str) -> None:
    result = run_cli("flow", verb, "-q", "q")
    assert result.code == 0
    assert ["7", "import", "running", "3:", "1", "running,", "2", "waiting"] in [
        line[:8] for line in result.lines
    ]
    [flow] = run_cli("flow", verb, "-q", "q", "-o", "json").json
    assert (flow["id"], flow["state"], len(flow["steps"])) == ("7", "running", 3)


@pytest.mark.usefixtures("info")
def test_a_queue_without_such_flows_says_so(run_cli: CommandRunner) -> None:
    text = 'No ended flows found in queue "q"\n'
    assert run_cli("flow", "list", "-q", "q", "--ended") == CommandResult(0, "", text)
    assert run_cli("flow", "list", "-q", "q", "--ended", "-o", "json").json == []


@pytest.mark.usefixtures("info")
def test_a_flow_is_shown_with_its_steps(run_cli: CommandRunner) -> None:
    result = run_cli("flow", "inspect", "-q", "q", "7")
    assert result.code == 0
    assert ["Name:", "import"] in result.lines
    assert ["fetch", "running", "fetch", "q"] in [line[:4] for line in result.lines]
    assert ["approval", "waiting", "(gate)", "q", "fetch"] in [line[:5] for line in result.lines]
    assert ["alarm", "waiting", "alarm", "q", "approval", "(failed)"] in [
        line[:6] for line in result.lines
    ]
    assert run_cli("flow", "inspect", "-q", "q", "7", "-o", "json").json["name"] == "import"


def test_a_flow_is_drawn(run_cli: CommandRunner, info: FlowInfo) -> None:
    result = run_cli("flow", "inspect", "-q", "q", "7", "--graph")
    assert (result.code, result.out) == (0, info.mermaid())


@pytest.mark.parametrize("options", [(), ("--graph",), ("-o", "json")])
def test_names_turn_no_line_of_a_terminal_around(
    run_cli: CommandRunner, sync_client: SyncClient, options: tuple[str, ...]
) -> None:
    flow = Flow("\u202eimport", queue="q", id="7\u2066")
    flow.add(Task("fetch", queue="q"), name="a\u202eb")
    sync_client.enqueue_flow(flow)
    shown = run_cli("flow", "inspect", "-q", "q", flow.id, *options).out
    assert "fetch" in shown or "flowchart" in shown
    assert shown.replace("\n", "").isprintable()


@pytest.mark.usefixtures("info")
def test_a_flow_is_cancelled_and_retried(run_cli: CommandRunner) -> None:
    assert run_cli("flow", "cancel", "-q", "q", "7") == CommandResult(0, "", "Cancelled flow 7\n")
    assert run_cli("flow", "cancel", "-q", "q", "7").code == 5
    assert "cancelled (an operator" in run_cli("flow", "inspect", "-q", "q", "7").out
    assert run_cli("flow", "retry", "-q", "q", "7") == CommandResult(
        0, "", "Flow 7 runs again: 3: 1 running, 2 waiting\n"
    )
    assert run_cli("flow", "retry", "-q", "q", "7").code == 5


@pytest.mark.usefixtures("info")
def test_steps_are_skipped_and_gates_get_signals(run_cli: CommandRunner) -> None:
    assert run_cli("flow", "skip", "-q", "q", "7", "fetch").code == 0
    assert run_cli("flow", "signal", "-q", "q", "7", "approval", "--value", "[1]").code == 0
    [flow] = run_cli("flow", "list", "-q", "q", "--ended", "-o", "json").json
    assert flow["state"] == "succeeded"


@pytest.mark.usefixtures("info")
def test_what_is_not_there_is_not_found(run_cli: CommandRunner) -> None:
    assert run_cli("flow", "inspect", "-q", "q", "8").code == 3
    assert run_cli("flow", "signal", "-q", "q", "7", "fetch").code == 3
    assert run_cli("flow", "skip", "-q", "q", "7", "nothing").code == 3
    assert run_cli("flow", "list", "-q", "nowhere").code == 3


@pytest.mark.usefixtures("info")
def test_a_step_that_is_not_there_keeps_no_other_from_being_skipped(run_cli: CommandRunner) -> None:
    result = run_cli("flow", "skip", "-q", "q", "7", "nothing", "fetch")
    assert result.code == 3
    assert "has no step 'nothing'" in result.err
    assert 'Successfully skipped step "fetch"' in result.err


@pytest.mark.usefixtures("info")
def test_a_signal_takes_json(run_cli: CommandRunner) -> None:
    result = run_cli("flow", "signal", "-q", "q", "7", "approval", "--value", "yes")
    assert result.code == 2
    assert "--value must be JSON" in result.err


def test_a_map_is_shown_with_the_number_of_its_tasks_and_its_batch(
    run_cli: CommandRunner, sync_client: SyncClient
) -> None:
    flow = Flow("import", queue="q", id="7")
    flow.map([Task("resize", queue="r")] * 3, name="small")
    batch_id = sync_client.enqueue_flow(flow).step("small").batch_id
    lines = run_cli("flow", "inspect", "-q", "q", "7").lines
    assert ["small", "running", "resize", "x", "3", "r"] in [line[:6] for line in lines]
    [step] = run_cli("flow", "inspect", "-q", "q", "7", "-o", "json").json["steps"]
    assert (step["batch_id"], step["size"], step["task_id"]) == (batch_id, 3, None)
    assert "running" in run_cli("batch", "inspect", "-q", "r", batch_id or "").out


def test_a_flow_in_a_flow_is_shown_with_its_id(
    run_cli: CommandRunner, sync_client: SyncClient
) -> None:
    inner = Flow("import", queue="r")
    inner.add(Task("fetch", queue="r"))
    flow = Flow("nightly", queue="q", id="7")
    flow.add(inner)
    info = sync_client.enqueue_flow(flow)
    lines = run_cli("flow", "inspect", "-q", "q", "7").lines
    assert ["import", "running", "flow", inner.id, "r"] in [line[:5] for line in lines]
    [step] = run_cli("flow", "inspect", "-q", "q", "7", "-o", "json").json["steps"]
    assert (step["flow_id"], step["task_id"]) == (inner.id, "7:import")
    assert f's0(["import: flow {inner.id}"])' in info.mermaid()
