"""``pyasynq server`` lists servers; ``pyasynq stats`` shows all queues and Redis."""

from pyasynq import SyncClient, Task
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
    assert headings == ["Host", "PID", "State", "Active", "Workers", "Queues", "Started"]
    assert [row[:2] for row in rows] == [["a", "100"], ["h", "3"], ["h", "20"]]
    assert rows[0][2:7] == ["active", "0/10", "critical:6", "also:1", "low:1"]
    assert rows[0][-1] == "ago"


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
