"""``pyasynq server`` lists servers; ``pyasynq stats`` shows all queues and Redis."""

from contextlib import closing
from typing import cast

from pyasynq import SyncClient, Task
from pyasynq.broker.redis import shared_keys
from tests.cli.command_runner import CommandResult, CommandRunner
from tests.cli.redis_records import enqueue_one_of_each, put_server
from tests.support.servers import RedisServer


def test_servers_are_listed_by_host_and_process(
    run_cli: CommandRunner, redis_server: RedisServer
) -> None:
    put_server(redis_server, "h", 20)
    put_server(redis_server, "h", 3)
    put_server(redis_server, "a", 100)
    headings, *rows = run_cli("server", "list").lines
    assert headings == ["Host", "PID", "State", "Active", "Workers", "Queues", "Started", "ID"]
    assert [row[:2] for row in rows] == [["a", "100"], ["h", "3"], ["h", "20"]]
    assert rows[0][2:7] == ["active", "0/10", "critical:6", "also:1", "low:1"]
    assert rows[0][-2] == "ago"


def test_servers_can_be_json(run_cli: CommandRunner, redis_server: RedisServer) -> None:
    put_server(redis_server)
    [server] = run_cli("server", "ls", "-o", "json").json
    assert (server["host"], server["pid"], server["concurrency"]) == ("h", 1, 10)
    assert server["queues"] == {"critical": 6, "also": 1, "low": 1}


def test_no_servers_are_told(run_cli: CommandRunner) -> None:
    assert run_cli("server", "list") == CommandResult(0, "", "No running servers\n")
    assert run_cli("server", "list", "-o", "json").json == []


def test_the_statistics_are_shown(
    run_cli: CommandRunner, sync_client: SyncClient, redis_server: RedisServer
) -> None:
    enqueue_one_of_each(sync_client, redis_server)
    run_cli("queue", "pause", "q")
    result = run_cli("stats")
    assert result.code == 0
    assert "Task Count by State" in result.out
    assert ["0", "1", "1", "1", "1", "1", "1"] in result.lines
    assert ["q", "(paused)"] in result.lines
    assert ["6"] in result.lines
    assert "Redis Info" in result.out


def test_the_statistics_of_nothing_are_shown(run_cli: CommandRunner) -> None:
    assert run_cli("stats").code == 0


def test_the_statistics_have_the_json_of_asynqs_tool(
    run_cli: CommandRunner, sync_client: SyncClient, redis_server: RedisServer
) -> None:
    enqueue_one_of_each(sync_client, redis_server)
    document = run_cli("stats", "--json").json
    assert document.keys() == {"aggregate", "queues", "redis"}
    assert document["aggregate"]["pending"] == 1
    assert document["aggregate"].keys() >= {"processed", "failed", "timestamp", "aggregating"}
    [queue] = document["queues"]
    assert (queue["Queue"], queue["Size"], queue["Archived"], queue["Paused"]) == ("q", 6, 1, False)
    assert isinstance(queue["Latency"], int)
    assert document["redis"]["redis_version"]


def test_the_facts_about_redis_are_its_own_texts(
    run_cli: CommandRunner, sync_client: SyncClient
) -> None:
    sync_client.enqueue(Task("t"))
    redis = run_cli("stats", "--json").json["redis"]
    assert redis["db0"].startswith("keys=")
    assert redis["redis_git_sha1"] == "00000000"


# -- control ---------------------------------------------------------------------------------------


def test_what_is_wanted_is_told_and_listed(
    run_cli: CommandRunner, redis_server: RedisServer
) -> None:
    put_server(redis_server)
    assert run_cli("server", "controls").err == (
        "Nothing is wanted of servers: their own options hold\n"
    )
    quiet = run_cli("server", "quiet", "shop", "*")
    assert (quiet.code, quiet.out) == (0, "")
    assert quiet.err == (
        "'shop': no such server runs now; those that start later are to take no more tasks\n"
        "all servers: no such server runs now; those that start later are to take no more tasks\n"
    )
    run_cli("server", "set", "shop", "-c", "5", "-Q", "a=3,tenant-*")
    headings, *rows = run_cli("server", "controls").lines
    assert headings == ["Target", "State", "Concurrency", "Queues", "Changed"]
    assert rows[0][:2] == ["*", "quiet"]
    assert rows[1][:5] == ["shop", "quiet", "5", "a:3", "tenant-*:1"]
    run_cli("server", "resume", "*")
    run_cli("server", "reset", "shop")
    [every] = run_cli("server", "controls", "-o", "json").json
    assert every.keys() == {"target", "state", "concurrency", "queues", "changed_at"}
    assert (every["target"], every["state"], every["concurrency"]) == ("*", "active", None)


def test_a_stop_needs_a_yes(run_cli: CommandRunner) -> None:
    refused = run_cli("server", "stop", "*", "shop")
    assert refused.code == 2
    assert 'Stop all servers, "shop"?' in refused.err
    assert run_cli("server", "controls", "-o", "json").json == []
    stopped = run_cli("server", "stop", "shop", "--yes")
    assert stopped.code == 0
    assert "lasts: `pyasynq server resume` before you start others" in stopped.err


def test_a_mistake_in_a_wish_is_refused(run_cli: CommandRunner) -> None:
    assert run_cli("server", "set", "*").code == 2
    assert run_cli("server", "quiet").code == 2
    many = run_cli("server", "set", "*", "-c", "100001")
    assert many.code == 2
    assert "--concurrency" in many.err
    assert run_cli("server", "set", "*", "-Q", "a=1001").code == 2
    assert run_cli("server", "controls", "-o", "json").json == []


def test_what_a_server_could_not_apply_is_told(
    run_cli: CommandRunner, redis_server: RedisServer
) -> None:
    put_server(redis_server)
    details = b'{"version":"1","deployment":"shop","not_applied":{"concurrency":"6, not 9"}}'
    with closing(redis_server.client()) as client:
        [key] = client.keys("asynq:servers:*")
        client.set(shared_keys.details_of(cast("bytes", key).decode()), details)
    listed = run_cli("server", "list")
    assert listed.lines[0][-2:] == ["ID", "Deployment"]
    assert listed.lines[1][-1] == "shop"
    assert listed.err.endswith(" could not apply another concurrency: 6, not 9\n")
