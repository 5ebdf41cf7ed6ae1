"""``pyasynq stats --types`` shows what ran lately."""

import asyncio

import pytest

from pyasynq.broker import NewTask, open_broker
from pyasynq.server.run.run_counter import RunCounter
from tests.cli.command_runner import CommandRunner
from tests.support.factories import a_pending


def test_what_ran_is_shown_by_type(run_cli: CommandRunner, redis_url: str) -> None:
    async def add() -> None:
        broker = open_broker(redis_url)
        counter = RunCounter()
        for _ in range(60):
            counter.add_success("default", "email:welcome", 0.25)
        counter.add_failure("default", "report", 90, archived=True)
        counter.add_wait("default", "report", 0.0005)
        for queue, types in counter.take().items():
            await broker.creation.create([NewTask(a_pending(queue=queue))])
            await broker.history.add(queue, types)
        await broker.aclose()

    asyncio.run(add())
    result = run_cli("stats", "--types", "--last", "2h")
    [_, first, second] = result.out.splitlines()
    assert first.split() == [
        "email:welcome",
        "60",
        "0.5",
        "0",
        "0",
        "196.6",
        "ms",
        "255.6",
        "ms",
        "260.8",
        "ms",
    ]
    assert second.split()[:5] == ["report", "1", "0.0", "1", "1"]
    assert "min" in second
    document = run_cli("stats", "--types", "-q", "default", "-o", "json").json
    assert [one["type"] for one in document] == ["email:welcome", "report"]
    assert run_cli("stats", "--types", "-q", "nothing").code == 3
    assert run_cli("stats", "--types", "--last", "4d").code != 0


@pytest.mark.parametrize("args", [("--last", "2h"), ("-q", "default")], ids=" ".join)
def test_what_narrows_the_types_needs_them(run_cli: CommandRunner, args: tuple[str, ...]) -> None:
    result = run_cli("stats", *args)
    assert (result.code, result.err.splitlines()[-1]) == (
        2,
        "pyasynq stats: --last and --queue are for --types",
    )
