"""A search line says which tasks are looked for."""

from datetime import UTC, datetime, timedelta

import pytest

from pyasynq import TaskInfo, TaskState
from pyasynq.operations.search import SearchError, parse

NOW = datetime(2040, 1, 2, 12, tzinfo=UTC)
UUID = "01a21eb8-c79a-7153-be8c-083c530c28a3"


def a_task(**fields: object) -> TaskInfo:
    known = {
        "id": "1f",
        "queue": "low",
        "type": "email:welcome",
        "payload": b'{"to": "Ann"}',
        "state": TaskState.RETRY,
        "max_retry": 3,
        "last_error": "SMTP TimeoutError: 30 s",
        "last_failed_at": NOW - timedelta(minutes=10),
    }
    return TaskInfo(**(known | fields))  # type: ignore[arg-type]


def meets(line: str, **fields: object) -> bool:
    return parse(line).meets(a_task(**fields), NOW)


@pytest.mark.parametrize(
    "line",
    [
        "",
        "type:email:welcome",
        "type:email:*",
        "type:*come",
        "type:x,email:*",
        'type:"email:welcome"',
        "id:1*",
        "error:timeout",
        'error:"TimeoutError: 30 s"',
        "payload:ann",
        "older:5m",
        "older:10m",
        "newer:1d",
        "email:welcome",  # no key, but a word
        "ANN",
        "timeout older:5m -type:image:*",
        "TYPE:email:*",
    ],
)
def test_a_task_that_meets_all_terms_is_found(line: str) -> None:
    assert meets(line)


@pytest.mark.parametrize(
    "line",
    [
        "type:email",
        "type:EMAIL:*",
        'type:"email:*"',
        "type:x,y",
        "id:2*",
        "error:refused",
        "payload:bob",
        "older:11m",
        "newer:9m",
        "bob",
        "-type:email:*",
        "type:email:* error:refused",
    ],
)
def test_a_task_that_misses_a_term_is_not_found(line: str) -> None:
    assert not meets(line)


def test_a_task_that_neither_failed_nor_succeeded_has_no_age() -> None:
    assert not meets("older:0s", last_failed_at=None)
    assert not meets("newer:3d", last_failed_at=None)


def test_a_success_has_an_age() -> None:
    assert meets("older:1h", last_failed_at=None, completed_at=NOW - timedelta(hours=1))


def test_text_beyond_ascii_is_found_in_a_payload() -> None:
    assert meets("payload:Größe", payload='{"x": "Größe"}'.encode())


@pytest.mark.parametrize(
    ("line", "names"),
    [
        ("", list(TaskState)),
        ("state:retry", ["retry"]),
        ("state:retry,archived", ["retry", "archived"]),
        ("state:a*", ["active", "aggregating", "archived"]),
        ("-state:a* -state:p*", ["completed", "retry", "scheduled"]),
        ("state:retry state:archived", []),
    ],
)
def test_states_are_named_in_the_line(line: str, names: list[str]) -> None:
    assert sorted(parse(line).states()) == sorted(names)


@pytest.mark.parametrize(
    ("line", "wanted"),
    [
        ("queue:low", True),
        ("queue:l*", True),
        ('queue:"a, b",low', True),
        ("-queue:low", False),
        ("queue:high", False),
    ],
)
def test_queues_are_named_in_the_line(line: str, wanted: bool) -> None:  # noqa: FBT001
    assert parse(line).wants_queue("low") is wanted


def test_a_name_in_quotes_may_hold_anything_but_quotes() -> None:
    assert parse('queue:"a, b*"').wants_queue("a, b*")
    assert not parse('queue:"a, b*"').wants_queue("a, bc")
    assert parse('queue:a"*"b*').wants_queue("a*bc")


@pytest.mark.parametrize(
    ("line", "ids"),
    [
        ("id:1,2", ["1", "2"]),
        ('id:"a*b"', ["a*b"]),
        (UUID.upper(), [UUID]),
        (f"state:retry {UUID}", [UUID]),
        ("id:1*", []),
        ("-id:1", []),
        ("word", []),
    ],
)
def test_ids_can_be_looked_up(line: str, ids: list[str]) -> None:
    assert list(parse(line).ids) == ids


@pytest.mark.parametrize(
    ("line", "text"),
    [
        ('state:retry queue:q error:"Time out"', "Time out"),
        ("error:a error:b", None),
        ("-error:a", None),
        ("error:größe", None),
        ("a", None),
        ("", None),
    ],
)
def test_an_error_alone_is_looked_for_by_the_broker(line: str, text: str | None) -> None:
    assert parse(line).only_error == text


@pytest.mark.parametrize(
    ("line", "only_places"),
    [("state:retry queue:q group:g", True), ("", True), ("state:retry x", False), ("id:1", False)],
)
def test_places_alone_need_no_look_at_tasks(line: str, only_places: bool) -> None:  # noqa: FBT001
    assert parse(line).only_places is only_places


@pytest.mark.parametrize(
    ("line", "at", "message"),
    [
        ("x stat:retry", 2, r"there is no stat: did you mean state:retry\?"),
        ("state:retri", 0, r"there is no state 'retri': did you mean state:retry\?"),
        ("state:qqqq", 0, "there is no state 'qqqq': active, pending"),
        ("a older:soon", 2, "'soon' is no time: write older:5m, older:2h or older:3d"),
        ("newer:99999999999d", 0, "is no time"),
        ("older:-5m", 0, "'-5m' is no time"),
        ("newer:1d-5m", 0, "'1d-5m' is no time"),
        ("type:", 0, "type: has no value"),
        ('id:""', 0, "id: has no value"),
    ],
)
def test_a_term_that_cannot_be_read_is_refused(line: str, at: int, message: str) -> None:
    with pytest.raises(SearchError, match=message) as raised:
        parse(line)
    assert raised.value.at == at


@pytest.mark.parametrize(
    ("line", "no_keys"),
    [
        ("email:welcome", ["email"]),
        ("type:email:welcome", [""]),
        ("x -user:7 https://a.example", ["", "user", "https"]),
        ('"email:welcome"', [""]),
    ],
)
def test_a_word_that_looks_like_a_key_says_so(line: str, no_keys: list[str]) -> None:
    assert [term.no_key for term in parse(line).terms] == no_keys


def test_stars_beside_each_other_and_quotes_mean_themselves() -> None:
    query = parse('queue:**a"*"b*')
    assert query.wants_queue("xa*bx")
    assert not query.wants_queue("xaxb")


def test_a_line_with_many_stars_takes_no_longer() -> None:
    with pytest.raises(SearchError, match="there is no state"):
        parse("state:" + "*" * 50 + "x")
    assert not parse("queue:" + "*a" * 40 + "z").wants_queue("a" * 200)
