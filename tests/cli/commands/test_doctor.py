"""``pyasynq doctor`` looks for what may be wrong."""

import sys
import time
from collections.abc import Iterator
from contextlib import closing

import pytest

from pyasynq import SyncClient, Task
from tests.cli.command_runner import CommandResult, CommandRunner
from tests.cli.redis_records import put_server
from tests.support.servers import RedisCluster, RedisServer, free_port


@pytest.fixture
def own_redis() -> Iterator[RedisServer]:
    """Yield a Redis that a test may configure; it has an append-only file."""
    with RedisServer(port=free_port(), appendonly="yes") as server:
        yield server


def read_statuses(result: CommandResult) -> dict[str, str]:
    """Return the status of each check, the last of several with the same name."""
    return {check["check"]: check["status"] for check in result.json}


def read_message(result: CommandResult, name: str) -> str:
    """Return the message of a check."""
    return next(str(check["message"]) for check in result.json if check["check"] == name)


def send_command(server: RedisServer, *args: str) -> None:
    """Send a command to the server."""
    with closing(server.client()) as client:
        client.execute_command(*args)


def test_a_redis_without_problems_is_well(run_cli: CommandRunner, own_redis: RedisServer) -> None:
    result = run_cli("doctor", "-u", own_redis.url, "-o", "json")
    assert result.code == 0
    assert set(read_statuses(result).values()) == {"ok"}
    assert read_message(result, "address") == f"{own_redis.url} (named by --uri)"


def test_each_check_is_a_line(run_cli: CommandRunner, own_redis: RedisServer) -> None:
    result = run_cli("doctor", "-u", own_redis.url)
    assert [line[:2] for line in result.lines] == [
        ["ok", check]
        for check in (
            *("pyasynq", "address", "connection", "redis", "role", "clock", "memory"),
            *("persistence", "permissions", "queues", "workers", "schedulers"),
        )
    ]


def test_a_terminal_breaks_messages_between_words(
    run_cli: CommandRunner, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    monkeypatch.setenv("COLUMNS", "60")
    result = run_cli("doctor")
    assert f"Redis saves nothing: a restart loses\n{' ' * 22}all tasks\n" in result.out


def test_no_color_is_printed_if_a_variable_forbids_it(
    run_cli: CommandRunner, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    monkeypatch.setenv("NO_COLOR", "1")
    assert "\x1b" not in run_cli("doctor").out


def test_the_address_has_no_password(run_cli: CommandRunner, own_redis: RedisServer) -> None:
    url = own_redis.url.replace("://", "://:secret@")
    result = run_cli("doctor", "-u", url)
    assert (result.code, "secret" in result.out + result.err) == (4, False)


def test_a_variable_that_names_the_address_is_told(
    run_cli: CommandRunner, own_redis: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYASYNQ_URI", own_redis.url)
    result = run_cli("doctor", "-o", "json")
    assert read_message(result, "address").endswith("(named by PYASYNQ_URI)")


def test_a_redis_that_evicts_is_a_problem(run_cli: CommandRunner, own_redis: RedisServer) -> None:
    send_command(own_redis, "CONFIG", "SET", "maxmemory-policy", "allkeys-lru")
    send_command(own_redis, "CONFIG", "SET", "maxmemory", "100mb")
    result = run_cli("doctor", "-u", own_redis.url, "-o", "json")
    assert (result.code, read_statuses(result)["memory"]) == (1, "problem")


def test_a_redis_that_saves_nothing_is_a_warning(run_cli: CommandRunner) -> None:
    result = run_cli("doctor", "-o", "json")
    assert (result.code, read_statuses(result)["persistence"]) == (0, "warning")
    assert read_message(result, "persistence") == "Redis saves nothing: a restart loses all tasks"


def test_a_user_who_may_not_do_all_is_a_problem(
    run_cli: CommandRunner, own_redis: RedisServer
) -> None:
    rules = ("on", ">pw", "~asynq:*", "&asynq:*", "+@all", "-zadd", "-config", "-info")
    send_command(own_redis, "ACL", "SETUSER", "weak", *rules)
    result = run_cli("doctor", "-u", own_redis.url, "-U", "weak", "-p", "pw", "-o", "json")
    assert result.code == 1
    assert read_message(result, "permissions").startswith("not permitted: ZADD (")
    assert read_statuses(result)["memory"] == "unknown"


def test_a_user_with_other_keys_is_told_all_that_can_be_known(
    run_cli: CommandRunner, own_redis: RedisServer
) -> None:
    send_command(own_redis, "ACL", "SETUSER", "other", "on", ">pw", "~other:*", "+@all")
    result = run_cli("doctor", "-u", own_redis.url, "-U", "other", "-p", "pw", "-o", "json")
    assert result.code == 1
    assert read_statuses(result) == {
        **dict.fromkeys(("pyasynq", "address", "connection", "redis", "role", "clock"), "ok"),
        **dict.fromkeys(("memory", "persistence"), "ok"),
        "permissions": "problem",
        "queues": "unknown",
        "workers": "unknown",
        "schedulers": "unknown",
    }


def test_a_user_whom_redis_does_not_let_in_is_no_connection(
    run_cli: CommandRunner, own_redis: RedisServer
) -> None:
    result = run_cli("doctor", "-u", own_redis.url, "-U", "nobody", "-p", "pw", "-o", "json")
    assert (result.code, read_statuses(result)["connection"]) == (4, "problem")


def test_a_redis_that_is_away_is_no_connection(run_cli: CommandRunner) -> None:
    result = run_cli("doctor", "-u", f"127.0.0.1:{free_port()}", "-o", "json")
    assert result.code == 4
    assert read_statuses(result) == {"pyasynq": "ok", "address": "ok", "connection": "problem"}


def test_a_replica_is_a_problem(run_cli: CommandRunner, own_redis: RedisServer) -> None:
    with RedisServer(replicaof=f"127.0.0.1 {own_redis.port}") as replica:
        result = run_cli("doctor", "-u", replica.url, "-o", "json")
    assert result.code == 1
    assert read_statuses(result)["role"] == "problem"


def test_a_queue_without_a_worker_is_a_warning(
    run_cli: CommandRunner, sync_client: SyncClient
) -> None:
    sync_client.enqueue(Task("t", queue="q"))
    result = run_cli("doctor", "-o", "json")
    assert (result.code, read_statuses(result)["queues"]) == (0, "warning")
    assert read_message(result, "queues") == "no worker serves 'q', which holds 1 task"


def test_a_worker_that_has_vanished_is_a_warning(
    run_cli: CommandRunner, redis_server: RedisServer
) -> None:
    put_server(redis_server)
    send_command(redis_server, "ZADD", "asynq:servers", "1", "asynq:servers:{h:1:s}")
    result = run_cli("doctor", "-o", "json")
    assert read_message(result, "workers") == "the heartbeat of h:1:s has stopped"


def test_a_scheduler_that_has_vanished_is_a_warning(
    run_cli: CommandRunner, redis_server: RedisServer
) -> None:
    ended_s = str(int(time.time()) - 300)
    send_command(redis_server, "ZADD", "asynq:schedulers", ended_s, "asynq:schedulers:{h:1:s}")
    result = run_cli("doctor", "-o", "json")
    assert (result.code, read_statuses(result)["schedulers"]) == (0, "warning")
    assert read_message(result, "schedulers").endswith(" min: h:1")


def test_every_primary_of_a_cluster_is_looked_at(
    run_cli: CommandRunner, redis_cluster: RedisCluster
) -> None:
    result = run_cli("doctor", "-u", redis_cluster.url, "-o", "json")
    assert result.code == 0
    assert read_statuses(result)["cluster"] == "ok"
    assert len([check for check in result.json if check["check"] == "memory"]) == 3
