"""``pyasynq server`` and ``pyasynq stats`` show who works, and all queues at one look."""

from pyasynq import SyncClient, Task
from tests.cli.making import a_server, one_of_each
from tests.cli.saying import Say, Told
from tests.support.servers import RedisServer


def test_servers_are_listed_by_host_and_process(say: Say, redis_server: RedisServer) -> None:
    a_server(redis_server, "h", 20)
    a_server(redis_server, "h", 3)
    a_server(redis_server, "a", 100)
    headings, *rows = say("server", "list").lines
    assert headings == ["Host", "PID", "State", "Active", "Workers", "Queues", "Started"]
    assert [row[:2] for row in rows] == [["a", "100"], ["h", "3"], ["h", "20"]]
    assert rows[0][2:7] == ["active", "0/10", "critical:6", "also:1", "low:1"]
    assert rows[0][-1] == "ago"


def test_servers_can_be_json(say: Say, redis_server: RedisServer) -> None:
    a_server(redis_server)
    [server] = say("server", "ls", "-o", "json").json
    assert (server["host"], server["pid"], server["concurrency"]) == ("h", 1, 10)
    assert server["queues"] == {"critical": 6, "also": 1, "low": 1}


def test_no_servers_are_told(say: Say) -> None:
    assert say("server", "list") == Told(0, "", "No running servers\n")
    assert say("server", "list", "-o", "json").json == []


def test_the_statistics_are_shown(
    say: Say, enqueuing: SyncClient, redis_server: RedisServer
) -> None:
    one_of_each(enqueuing, redis_server)
    say("queue", "pause", "q")
    told = say("stats")
    assert told.code == 0
    assert "Task Count by State" in told.out
    assert ["0", "1", "1", "1", "1", "1", "1"] in told.lines
    assert ["q", "(paused)"] in told.lines
    assert ["6"] in told.lines
    assert "Redis Info" in told.out


def test_the_statistics_of_nothing_are_shown(say: Say) -> None:
    assert say("stats").code == 0


def test_the_statistics_have_the_json_of_asynqs_tool(
    say: Say, enqueuing: SyncClient, redis_server: RedisServer
) -> None:
    one_of_each(enqueuing, redis_server)
    document = say("stats", "--json").json
    assert document.keys() == {"aggregate", "queues", "redis"}
    assert document["aggregate"]["pending"] == 1
    assert document["aggregate"].keys() >= {"processed", "failed", "timestamp", "aggregating"}
    [queue] = document["queues"]
    assert (queue["Queue"], queue["Size"], queue["Archived"], queue["Paused"]) == ("q", 6, 1, False)
    assert isinstance(queue["Latency"], int)
    assert document["redis"]["redis_version"]


def test_the_facts_about_redis_are_its_own_texts(say: Say, enqueuing: SyncClient) -> None:
    enqueuing.enqueue(Task("t"))
    redis = say("stats", "--json").json["redis"]
    assert redis["db0"].startswith("keys=")
    assert redis["redis_git_sha1"] == "00000000"
