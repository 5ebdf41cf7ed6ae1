"""``pyasynq doctor`` looks for what may be wrong."""

from collections.abc import Iterator
from contextlib import closing

import pytest

from pyasynq import SyncClient, Task
from tests.cli.making import a_server
from tests.cli.saying import Say, Told
from tests.support.servers import RedisCluster, RedisServer, free_port


@pytest.fixture
def own_redis() -> Iterator[RedisServer]:
    """Yield a Redis that a test may configure; it has an append-only file."""
    with RedisServer(port=free_port(), appendonly="yes") as server:
        yield server


def statuses(told: Told) -> dict[str, str]:
    """Return the status of each check, the last of several with the same name."""
    return {check["check"]: check["status"] for check in told.json}


def message(told: Told, name: str) -> str:
    """Return what a check has found."""
    return next(str(check["message"]) for check in told.json if check["check"] == name)


def configure(server: RedisServer, *words: str) -> None:
    """Give a command to the server."""
    with closing(server.client()) as client:
        client.execute_command(*words)


def test_a_redis_without_problems_is_well(say: Say, own_redis: RedisServer) -> None:
    told = say("doctor", "-u", own_redis.url, "-o", "json")
    assert told.code == 0
    assert set(statuses(told).values()) == {"ok"}
    assert message(told, "address") == f"{own_redis.url} (named by --uri)"


def test_each_check_is_a_line(say: Say, own_redis: RedisServer) -> None:
    told = say("doctor", "-u", own_redis.url)
    assert [line[:2] for line in told.lines] == [
        ["ok", check]
        for check in (
            *("pyasynq", "address", "connection", "redis", "role", "clock", "memory"),
            *("persistence", "permissions", "queues", "workers"),
        )
    ]


def test_the_address_has_no_password(say: Say, own_redis: RedisServer) -> None:
    url = own_redis.url.replace("://", "://:secret@")
    told = say("doctor", "-u", url)
    assert (told.code, "secret" in told.out + told.err) == (4, False)


def test_a_variable_that_names_the_address_is_told(
    say: Say, own_redis: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYASYNQ_URI", own_redis.url)
    told = say("doctor", "-o", "json")
    assert message(told, "address").endswith("(named by PYASYNQ_URI)")


def test_a_redis_that_evicts_is_a_problem(say: Say, own_redis: RedisServer) -> None:
    configure(own_redis, "CONFIG", "SET", "maxmemory-policy", "allkeys-lru")
    configure(own_redis, "CONFIG", "SET", "maxmemory", "100mb")
    told = say("doctor", "-u", own_redis.url, "-o", "json")
    assert (told.code, statuses(told)["memory"]) == (1, "problem")


def test_a_redis_that_saves_nothing_is_a_warning(say: Say) -> None:
    told = say("doctor", "-o", "json")
    assert (told.code, statuses(told)["persistence"]) == (0, "warning")
    assert message(told, "persistence") == "Redis saves nothing: a restart loses all tasks"


def test_a_user_who_may_not_do_all_is_a_problem(say: Say, own_redis: RedisServer) -> None:
    rules = ("on", ">pw", "~asynq:*", "&asynq:*", "+@all", "-zadd", "-config", "-info")
    configure(own_redis, "ACL", "SETUSER", "weak", *rules)
    told = say("doctor", "-u", own_redis.url, "-U", "weak", "-p", "pw", "-o", "json")
    assert told.code == 1
    assert message(told, "permissions").startswith("not permitted: ZADD (")
    assert statuses(told)["memory"] == "unknown"


def test_a_user_with_other_keys_is_told_all_that_can_be_known(
    say: Say, own_redis: RedisServer
) -> None:
    configure(own_redis, "ACL", "SETUSER", "other", "on", ">pw", "~other:*", "+@all")
    told = say("doctor", "-u", own_redis.url, "-U", "other", "-p", "pw", "-o", "json")
    assert told.code == 1
    assert statuses(told) == {
        **dict.fromkeys(("pyasynq", "address", "connection", "redis", "role", "clock"), "ok"),
        **dict.fromkeys(("memory", "persistence"), "ok"),
        "permissions": "problem",
        "queues": "unknown",
        "workers": "unknown",
    }


def test_a_user_whom_redis_does_not_let_in_is_no_connection(
    say: Say, own_redis: RedisServer
) -> None:
    told = say("doctor", "-u", own_redis.url, "-U", "nobody", "-p", "pw", "-o", "json")
    assert (told.code, statuses(told)["connection"]) == (4, "problem")


def test_a_redis_that_is_away_is_no_connection(say: Say) -> None:
    told = say("doctor", "-u", f"127.0.0.1:{free_port()}", "-o", "json")
    assert told.code == 4
    assert statuses(told) == {"pyasynq": "ok", "address": "ok", "connection": "problem"}


def test_a_replica_is_a_problem(say: Say, own_redis: RedisServer) -> None:
    with RedisServer(replicaof=f"127.0.0.1 {own_redis.port}") as replica:
        told = say("doctor", "-u", replica.url, "-o", "json")
    assert told.code == 1
    assert statuses(told)["role"] == "problem"


def test_a_queue_without_a_worker_is_a_warning(say: Say, enqueuing: SyncClient) -> None:
    enqueuing.enqueue(Task("t", queue="q"))
    told = say("doctor", "-o", "json")
    assert (told.code, statuses(told)["queues"]) == (0, "warning")
    assert message(told, "queues") == "no worker serves 'q', which holds 1 task"


def test_a_worker_that_has_vanished_is_a_warning(say: Say, redis_server: RedisServer) -> None:
    a_server(redis_server)
    configure(redis_server, "ZADD", "asynq:servers", "1", "asynq:servers:{h:1:s}")
    told = say("doctor", "-o", "json")
    assert message(told, "workers") == "the heartbeat of h:1:s has stopped"


def test_every_primary_of_a_cluster_is_looked_at(say: Say, redis_cluster: RedisCluster) -> None:
    told = say("doctor", "-u", redis_cluster.url, "-o", "json")
    assert told.code == 0
    assert statuses(told)["cluster"] == "ok"
    assert len([check for check in told.json if check["check"] == "memory"]) == 3
