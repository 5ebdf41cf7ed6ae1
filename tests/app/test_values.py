"""Equal arguments make equal payloads; values that JSON would change are refused."""

import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from enum import Enum
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

import attrs
import msgspec
import pytest

from pyasynq import App, PayloadError, Task, TypedTask
from pyasynq.app.payload import encode_result
from pyasynq.core.compose import compose
from pyasynq.scheduler import PeriodicTask
from pyasynq.scheduler.entry import Entry

URL = "redis://127.0.0.1:6379"
NOW = datetime(2026, 1, 1, tzinfo=UTC)

ONE_WAY, OTHER_WAY = {0, 8}, {8, 0}
"""Equal sets that Python iterates in different orders."""

WORDS = {"delta", "alpha", "golf", "charlie", "hotel", "foxtrot", "bravo", "echo"}
SORTED = b'["alpha","bravo","charlie","delta","echo","foxtrot","golf","hotel"]'


class Colour(Enum):
    RED = "red"
    BLUE = "blue"


@dataclass(frozen=True)
class Place:
    x: int
    tags: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Slotted:
    tags: Any


class Tagged(msgspec.Struct, frozen=True, rename="camel", tag=True, omit_defaults=True):
    all_tags: frozenset[str]
    other: int = 1


class Pair(NamedTuple):
    tags: set[str]
    number: int


@attrs.frozen
class Attributes:
    tags: set[str]


def taking(hint: object) -> TypedTask[..., Any]:
    """Return a task with one parameter of type *hint*."""

    def take(it: object) -> None: ...

    take.__annotations__["it"] = hint
    return App(URL).task("t")(take)


def it(task: Task) -> bytes | None:
    """Return the JSON of the only argument."""
    return task.payload and task.payload.removeprefix(b'{"it":').removesuffix(b"}")


# -- order -----------------------------------------------------------------------------------------


def test_the_sets_of_these_tests_have_two_orders() -> None:
    assert ONE_WAY == OTHER_WAY
    assert [*ONE_WAY] != [*OTHER_WAY]


@pytest.mark.parametrize(
    ("hint", "value", "expected"),
    [
        (set[str], WORDS, SORTED),
        (frozenset[str], frozenset(WORDS), SORTED),
        (Any, WORDS, SORTED),
        (list[str], WORDS, SORTED),
        (dict[str, Any], {"b": [WORDS], "a": 1}, b'{"b":[' + SORTED + b'],"a":1}'),
        (tuple[set[str], int], (WORDS, 1), b"[" + SORTED + b",1]"),
        (Place, Place(1, frozenset(WORDS)), b'{"x":1,"tags":' + SORTED + b"}"),
        (Slotted, Slotted(WORDS), b'{"tags":' + SORTED + b"}"),
        (Tagged, Tagged(frozenset(WORDS)), b'{"type":"Tagged","allTags":' + SORTED + b"}"),
        (Pair, Pair(WORDS, 1), b"[" + SORTED + b",1]"),
        (Attributes, Attributes(WORDS), b'{"tags":' + SORTED + b"}"),
        (set[Colour], {Colour.RED, Colour.BLUE}, b'["blue","red"]'),
        (set[int | str | None], {"b", 10, None, 9, "a"}, b'["a","b",10,9,null]'),
        (set[Place], {Place(2), Place(1)}, b'[{"x":1,"tags":[]},{"x":2,"tags":[]}]'),
        (set[frozenset[int]], {frozenset(ONE_WAY), frozenset({1})}, b"[[0,8],[1]]"),
        (dict[int, set[int]], {2: OTHER_WAY, 1: ONE_WAY}, b'{"2":[0,8],"1":[0,8]}'),
    ],
)
def test_the_members_of_a_set_are_sent_in_order(
    hint: object, value: object, expected: bytes
) -> None:
    assert it(taking(hint).task(value)) == expected


def test_equal_sets_are_equal_payloads() -> None:
    take = taking(set[int])
    assert take.task(ONE_WAY).payload == take.task(OTHER_WAY).payload


@pytest.mark.parametrize(
    ("hint", "value", "expected"),
    [
        (set[int], [3, 1, 3, 2], b"[1,2,3]"),
        (frozenset[int], (2, 1), b"[1,2]"),
        (list[set[int]], [[2, 1], {1}], b"[[1,2],[1]]"),
        (dict[str, set[int]], {"b": [2, 1], "a": [1]}, b'{"b":[1,2],"a":[1]}'),
        (dict[int, set[int]], {2: [2, 1]}, b'{"2":[1,2]}'),
        (tuple[set[int], list[int]], ([2, 1], [2, 1]), b"[[1,2],[2,1]]"),
        (set[int] | None, [2, 1], b"[1,2]"),
        (set[frozenset[int]], [[2, 1], [1]], b"[[1,2],[1]]"),
    ],
)
def test_a_list_given_for_a_set_is_sent_as_one(
    hint: object, value: object, expected: bytes
) -> None:
    assert it(taking(hint).task(value)) == expected


def test_an_argument_that_holds_sets_is_left_as_it_is() -> None:
    value = Tagged(frozenset(WORDS))
    taking(Tagged).task(value)
    assert value == Tagged(frozenset(WORDS))


def test_the_order_of_keywords_does_not_matter() -> None:
    @App(URL).task("t")
    async def take(a: int, b: int = 2, *, c: int = 3, d: int = 4) -> None: ...

    expected = b'{"a":1,"b":5,"d":6}'
    assert take.task(d=6, b=5, a=1).payload == expected
    assert take.task(1, d=6, b=5).payload == expected
    assert take.task(1, 5, d=6).payload == expected


def test_equal_arguments_have_one_unique_lock() -> None:
    take = taking(set[int]).options(unique=timedelta(minutes=1))
    plans = [
        compose(task, task.options, now=NOW, task_id="1")
        for task in (take.task(ONE_WAY), take.task(OTHER_WAY))
    ]
    assert plans[0].lock == plans[1].lock is not None


def test_equal_arguments_are_one_entry_of_schedulers() -> None:
    take = taking(set[int])
    ids = {
        Entry(PeriodicTask(spec="@hourly", task=task), location=UTC, catch_up="skip").id
        for task in (take.task(ONE_WAY), take.task(OTHER_WAY))
    }
    assert len(ids) == 1


def test_the_members_of_a_set_are_stored_in_order() -> None:
    assert encode_result("t", {"words": WORDS}) == b'{"words":' + SORTED + b"}"


@pytest.mark.parametrize(
    ("hint", "value", "expected"),
    [
        (dict[str, int], {"b": 1, "a": 2}, b'{"b":1,"a":2}'),
        (dict[str, Any], {"b": (1, {"d": None, "c": 1.5})}, b'{"b":[1,{"d":null,"c":1.5}]}'),
        (Sequence[int], (2, 1), b"[2,1]"),
        (list[int], [2, 1], b"[2,1]"),
        (Place, Place(1), b'{"x":1,"tags":[]}'),
        (Any, Tagged(frozenset()), b'{"type":"Tagged","allTags":[]}'),
        (Any, Colour.RED, b'"red"'),
        (timedelta, timedelta(hours=1), b'"PT3600S"'),
        (datetime, NOW, b'"2026-01-01T00:00:00Z"'),
        (Decimal, Decimal("1.10"), b'"1.10"'),
        (bytes, b"\xff", b'"/w=="'),
        (dict[int, str], {2: "b", 1: "a"}, b'{"2":"b","1":"a"}'),
    ],
)
def test_a_payload_without_sets_is_what_it_always_was(
    hint: object, value: object, expected: bytes
) -> None:
    assert it(taking(hint).task(value)) == expected


def test_defaults_that_were_left_out_are_not_sent() -> None:
    @App(URL).task("t")
    async def take(a: int, b: set[int] = ONE_WAY) -> None: ...

    assert take.task(1).payload == b'{"a":1}'


# -- what comes back -------------------------------------------------------------------------------


class Animal(msgspec.Struct):
    name: str


class Dog(Animal):
    breed: str = ""


class Named(Animal):
    """Adds no field to an animal."""


class Unequal:
    """Is equal to nothing, not even to itself."""

    def __eq__(self, other: object) -> bool:
        raise ValueError

    __hash__ = None  # type: ignore[assignment]


@dataclass(eq=False)
class Incomparable:
    number: int
    rest: Any = None


@dataclass
class Rounded:
    number: float

    def __post_init__(self) -> None:
        self.number = round(self.number)


def rounded(number: float) -> Rounded:
    value = Rounded(number)
    value.number = number
    return value


@pytest.mark.parametrize(
    ("hint", "value", "reason"),
    [
        (Animal, Dog("Rex", "poodle"), "`Dog` comes back as `Animal`, without its 'breed'"),
        (list[Animal], [Dog("Rex")], r"without its 'breed' - at `\$.it\[0\]`"),
        (dict[str, Rounded], {"a": rounded(1.5)}, r"changed - at `\$.it.a.number`"),
        (datetime, datetime(1880, 1, 1, tzinfo=ZoneInfo("Europe/Berlin")), "`datetime` comes back"),
        (dict[Any, Any], {1: "a", "1": "b"}, r"1 of 2 members come back - at `\$.it`"),
    ],
    ids=["subclass", "in a list", "changed by its class", "seconds of a zone", "keys"],
)
def test_a_value_that_would_come_back_changed_is_refused(
    hint: object, value: object, reason: str
) -> None:
    with pytest.raises(PayloadError, match=reason):
        taking(hint).task(value)


@pytest.mark.parametrize(
    ("hint", "value", "back"),
    [
        (Any, (1, 2), [1, 2]),
        (Any, {1: (2,)}, {"1": [2]}),
        (Any, NOW, "2026-01-01T00:00:00Z"),
        (Any, {"a"}, ["a"]),
        (str, Colour.RED, "red"),
        (Sequence[int], (1, 2), [1, 2]),
        (Animal, Named("Rex"), Animal("Rex")),
        (datetime, NOW.astimezone(ZoneInfo("Asia/Taipei")), NOW),
        (dict[str, Any], {"a": Place(1)}, {"a": {"x": 1, "tags": []}}),
    ],
)
def test_a_value_that_json_has_another_type_for_may_be_sent(
    hint: object, value: object, back: object
) -> None:
    take = taking(hint)
    assert take.arguments(take.task(value)) == {"it": back}


@pytest.mark.parametrize("fold", [0, 1])
@pytest.mark.parametrize("day", [datetime(2026, 3, 29), datetime(2026, 10, 25)])  # noqa: DTZ001
def test_a_time_of_the_night_in_which_a_zone_changes_may_be_sent(day: datetime, fold: int) -> None:
    at = day.replace(hour=2, minute=30, fold=fold, tzinfo=ZoneInfo("Europe/Berlin"))
    take = taking(list[datetime])
    assert take.arguments(take.task([at])) == {"it": [at.astimezone(UTC)]}


def test_a_value_that_cannot_be_compared_may_be_sent() -> None:
    take = taking(Incomparable)
    back = take.arguments(take.task(Incomparable(1, (2, Decimal("NaN")))))["it"]
    assert (back.number, back.rest) == (1, [2, "NaN"])


def test_a_value_that_is_not_equal_to_itself_may_be_sent() -> None:
    take = taking(Decimal)
    assert take.arguments(take.task(Decimal("NaN")))["it"].is_nan()


def test_an_error_while_values_are_compared_is_none_of_the_caller() -> None:
    @dataclass
    class Holder:
        number: int

        __eq__ = Unequal.__eq__
        __hash__ = None  # type: ignore[assignment]

    take = taking(Holder)
    assert take.task(Holder(1)).payload == b'{"it":{"number":1}}'


def deep(levels: int, innermost: object) -> object:
    return innermost if levels == 0 else [deep(levels - 1, innermost)]


@pytest.mark.parametrize(
    "send", [taking(Any).task, functools.partial(encode_result, "t")], ids=["payload", "result"]
)
def test_a_value_that_is_too_deep_to_compare_may_be_sent(send: Callable[[object], object]) -> None:
    assert send(deep(400, (1,)))
