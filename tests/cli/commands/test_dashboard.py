"""``pyasynq dashboard`` serves the dashboard, and lets in only those who may use it."""

import signal
from pathlib import Path

import pytest

from pyasynq import Client, Task
from pyasynq.dashboard import hash_token
from tests.cli.command_runner import CommandRunner
from tests.cli.processes import command
from tests.support.servers import free_port
from tests.support.web import http_client


@pytest.fixture
async def file(tmp_path: Path) -> str:
    """Return the address of a file with a task."""
    url = f"sqlite:///{tmp_path}/tasks.db"
    async with Client(url) as client:
        await client.enqueue(Task("t", queue="q"))
    return url


async def test_the_dashboard_is_served_until_a_signal_comes(redis_url: str) -> None:
    async with Client(redis_url) as client:
        await client.enqueue(Task("t", queue="q"))
    address = f"127.0.0.1:{free_port()}"
    async with command("dashboard", "--address", address, "-u", redis_url) as process:
        await process.wait_for_line(f"dashboard at http://{address}/")
        async with http_client(base_url=f"http://{address}") as http:
            found = (await http.get("/api/v1/overview")).json()
            assert [queue["queue"] for queue in found["queues"]] == ["q"]
            assert (await http.get("/")).headers["content-type"].startswith("text/html")
        process.send(signal.SIGTERM)
        assert await process.wait_for_end() == 0


async def test_open_streams_do_not_delay_the_end(file: str) -> None:
    address = f"127.0.0.1:{free_port()}"
    async with command("dashboard", "--address", address, "-u", file) as process:
        await process.wait_for_line("dashboard at")
        async with http_client() as http:
            async with http.stream("GET", f"http://{address}/api/v1/events") as events:
                lines = events.aiter_lines()
                while "event: sample" not in await anext(lines):
                    pass
                process.send(signal.SIGTERM)
                assert await process.wait_for_end() == 0
    assert process.lines == [f"dashboard at http://{address}/"]


async def test_users_of_a_file_log_in(file: str, tmp_path: Path) -> None:
    users = tmp_path / "users"
    users.write_text(f"ci operator {hash_token('secret')}\n")
    address = f"127.0.0.1:{free_port()}"
    args = ("dashboard", "--address", address, "-u", file, "--users", str(users), "--read-only")
    async with command(*args) as process:
        await process.wait_for_line("dashboard at")
        async with http_client(base_url=f"http://{address}/api/v1") as http:
            assert (await http.get("/me")).status_code == 401
            headers = {"Authorization": "Bearer secret"}
            user = (await http.get("/me", headers=headers)).json()
    assert (user["name"], user["role"], user["actions"]) == ("ci", "operator", ["read"])


@pytest.mark.parametrize("host", ["0.0.0.0", "10.0.0.1", "example.org"])
def test_others_are_not_let_in_by_accident(host: str, run_cli: CommandRunner) -> None:
    result = run_cli("dashboard", "--address", f"{host}:8080")
    assert result.code == 2
    assert f"at {host} others could reach it: choose one of --users, --proxy-header" in result.err


def test_only_one_login_can_be_chosen(run_cli: CommandRunner) -> None:
    result = run_cli("dashboard", "--without-login", "--proxy-header", "X-User")
    assert (result.code, "choose one of --users" in result.err) == (2, True)


def test_a_missing_file_is_not_made(run_cli: CommandRunner, tmp_path: Path) -> None:
    result = run_cli("dashboard", "-u", f"sqlite:///{tmp_path}/none.db")
    assert (result.code, "there is no file" in result.err) == (4, True)
    assert list(tmp_path.iterdir()) == []


def test_an_address_that_cannot_be_used_is_refused(run_cli: CommandRunner, tmp_path: Path) -> None:
    (tmp_path / "tasks.db").touch()
    url = f"sqlite:///{tmp_path}/tasks.db"
    result = run_cli("dashboard", "--address", "example.invalid:1", "--without-login", "-u", url)
    assert result.code == 2
    assert "cannot listen at example.invalid:1" in result.err
