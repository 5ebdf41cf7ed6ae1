"""``pyasynq cron`` shows what schedulers enqueue."""

import pytest

from tests.cli.making import an_entry
from tests.cli.saying import Say, Told
from tests.support.servers import RedisServer


@pytest.mark.parametrize("verb", ["list", "ls"])
def test_entries_are_listed_by_their_specs(say: Say, redis_server: RedisServer, verb: str) -> None:
    an_entry(redis_server, "b", "@hourly")
    an_entry(redis_server, "a", "*/5 * * * *")
    headings, first, second = say("cron", verb).out.splitlines()
    assert headings.split() == ["EntryID", "Spec", "Type", "Payload", "Options", "Next", "Prev"]
    assert first.split()[:6] == ["a", "*/5", "*", "*", "*", "*"]
    assert second.split()[:6] == ["b", "@hourly", "t", "p", "queue=q", "max_retry=3"]
    assert "ago" in second


def test_entries_can_be_json(say: Say, redis_server: RedisServer) -> None:
    an_entry(redis_server)
    [entry] = say("cron", "list", "-o", "json").json
    assert (entry["id"], entry["spec"], entry["type"]) == ("e", "@every 1h", "t")
    assert (entry["payload"], entry["payload_base64"]) == ("p", "cA==")
    assert entry["options"] == {"queue": "q", "max_retry": 3}


def test_no_entries_are_told(say: Say) -> None:
    assert say("cron", "list") == Told(0, "", "No scheduler entries\n")
    assert say("cron", "list", "-o", "json").json == []


def test_the_history_of_an_entry_is_shown_newest_first(say: Say, redis_server: RedisServer) -> None:
    an_entry(redis_server)
    told = say("cron", "history", "e")
    assert told.out.startswith("Entry: e\n")
    assert [line[:2] for line in told.lines if line[:1] == ["task"]] == [
        ["task", "2"],
        ["task", "1"],
    ]
    assert [event["task_id"] for event in say("cron", "history", "e", "-o", "json").json["e"]] == [
        "task 2",
        "task 1",
    ]


def test_the_history_comes_page_by_page(say: Say, redis_server: RedisServer) -> None:
    an_entry(redis_server)
    told = say("cron", "history", "e", "--page", "2", "--size", "1", "-o", "json")
    assert [event["task_id"] for event in told.json["e"]] == ["task 1"]


def test_a_history_needs_an_entry(say: Say) -> None:
    assert say("cron", "history").code == 2


@pytest.mark.parametrize("form", ["table", "json"])
def test_an_entry_that_is_not_there_is_not_found(say: Say, form: str) -> None:
    told = say("cron", "history", "nosuch", "-o", form)
    assert (told.code, "nosuch" in told.err) == (3, True)


def test_a_page_behind_the_last_is_empty(say: Say, redis_server: RedisServer) -> None:
    an_entry(redis_server)
    assert say("cron", "history", "e", "--page", "9", "-o", "json").json == {"e": []}
