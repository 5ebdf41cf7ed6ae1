"""Arguments become payloads and come back with their declared types."""

import asyncio
import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import Enum
from pathlib import Path
from typing import Any, Literal, Self
from uuid import UUID

import msgspec
import pytest
from pydantic import SecretStr

from pyasynq import ActiveTask, App, Client, Inspector, PayloadError, Task, TaskState
from pyasynq.app import values

URL = "redis://127.0.0.1:6379"


class Colour(Enum):
    RED = "red"


class Order(msgspec.Struct):
    id: int
    note: str = ""


@dataclass
class Parcel:
    id: int
    weight: float = 1.0


class Model:
    """Stands for a pydantic model; the library uses only these two methods."""

    def __init__(self, id: int) -> None:
        self.id = id

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Model) and self.id == other.id

    __hash__ = None  # type: ignore[assignment]

    def model_dump(self, *, mode: str) -> dict[str, object]:
        assert mode == "json"
        return {"id": self.id}

    @classmethod
    def model_validate(cls, value: dict[str, Any]) -> Self:
        match value:
            case {"id": int(id)}:
                return cls(id)
            case _:
                msg = "id: not an integer"
                raise ValueError(msg)


async def passed(app: App, *tasks: Task) -> list[object]:
    """Enqueue and run *tasks*; return the arguments that their functions got."""
    await app.client.enqueue_many(tasks)
    async with asyncio.timeout(60):
        await app.server().run()
    return app.state["passed"]


@pytest.fixture
def got(app: App) -> list[object]:
    """Return the list to which the functions of a test add their arguments."""
    app.state["passed"] = list[object]()
    return app.state["passed"]


# -- one parameter as the whole payload ------------------------------------------------------------


async def test_a_struct_can_be_the_whole_payload(app: App, got: list[object]) -> None:
    @app.task("t")
    async def take(order: Order, /) -> None:
        got.append(order)

    task = take.task(Order(1, "x"))
    assert task.payload == b'{"id":1,"note":"x"}'
    assert await passed(app, task) == [Order(1, "x")]


async def test_a_dataclass_can_be_the_whole_payload(app: App, got: list[object]) -> None:
    @app.task("t")
    async def take(parcel: Parcel, /) -> None:
        got.append(parcel)

    assert await passed(app, take.task(Parcel(1, 2.5))) == [Parcel(1, 2.5)]


async def test_a_model_can_be_the_whole_payload(app: App, got: list[object]) -> None:
    @app.task("t")
    async def take(model: Model, /) -> None:
        got.append(model)

    task = take.task(Model(1))
    assert task.payload == b'{"id":1}'
    assert await passed(app, task) == [Model(1)]


async def test_bytes_as_the_whole_payload_stay_what_they_are(app: App, got: list[object]) -> None:
    @app.task("t")
    async def take(data: bytes, /) -> None:
        got.append(data)

    task = take.task(b"\x00\xff{")
    assert task.payload == b"\x00\xff{"
    assert await passed(app, task) == [b"\x00\xff{"]


async def test_a_list_can_be_the_whole_payload(app: App, got: list[object]) -> None:
    @app.task("t")
    async def take(numbers: list[int], /) -> None:
        got.append(numbers)

    assert await passed(app, take.task([1, 2])) == [[1, 2]]


async def test_a_plain_function_takes_a_whole_payload_as_well(app: App, got: list[object]) -> None:
    @app.task("t")
    def take(order: Order, /) -> None:
        got.append(order)

    assert await passed(app, take.task(Order(1))) == [Order(1)]


async def test_the_running_task_may_stand_beside_a_whole_payload(
    app: App, got: list[object]
) -> None:
    @app.task("t")
    async def take(task: ActiveTask, order: Order, /) -> None:
        got.extend((task.type, order))

    assert await passed(app, take.task(Order(1))) == ["t", Order(1)]


async def test_a_whole_payload_may_have_a_default(app: App, got: list[object]) -> None:
    @app.task("t")
    async def take(order: Order = Order(7), /) -> None:  # noqa: B008 - it is frozen
        got.append(order)

    assert await passed(app, take.task()) == [Order(7)]


# -- parameters as keys ----------------------------------------------------------------------------


async def test_parameters_of_many_types_travel(app: App, got: list[object]) -> None:
    @app.task("t")
    async def take(
        at: datetime, id: UUID, colour: Colour, order: Order, model: Model, data: bytes
    ) -> None:
        got.append((at, id, colour, order, model, data))

    values = (
        datetime(2026, 1, 1, tzinfo=UTC),
        UUID(int=7),
        Colour.RED,
        Order(1),
        Model(2),
        b"\xff",
    )
    assert await passed(app, take.task(*values)) == [values]


async def test_a_missing_argument_has_its_default(app: App, got: list[object]) -> None:
    @app.task("t")
    async def take(name: str = "nobody", tags: list[str] = []) -> None:  # noqa: B006
        got.append((name, tags))

    assert await passed(app, Task("t", b"{}"), Task("t")) == [("nobody", []), ("nobody", [])]


async def test_keys_that_nobody_takes_are_ignored(app: App, got: list[object]) -> None:
    @app.task("t")
    async def take(name: str) -> None:
        got.append(name)

    assert await passed(app, Task("t", b'{"name":"bob","new":1}')) == ["bob"]


async def test_a_parameter_without_type_takes_anything(app: App, got: list[object]) -> None:
    @app.task("t")
    async def take(x) -> None:  # type: ignore[no-untyped-def]  # noqa: ANN001
        got.append(x)

    assert await passed(app, Task("t", b'{"x":[1,null]}')) == [[1, None]]


async def test_types_that_are_written_as_text_are_understood(app: App, got: list[object]) -> None:
    @app.task("t")
    async def take(order: "Order", kind: "Literal['a']" = "a") -> None:
        got.append((order, kind))

    assert await passed(app, Task("t", b'{"order":{"id":1}}')) == [(Order(1), "a")]


# -- payloads that do not fit ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("payload", "reason"),
    [
        (b'{"name":"bob","age":"old"}', "Expected `int`, got `str` - at `$.age`"),
        (b'{"name":"bob"}', "Object missing required field `age`"),
        (b'{"name":', "Input data was truncated"),
        (b"[]", "Expected `object`, got `array`"),
        (b"", "Object missing required field `name`"),
        (b"\xff", "malformed"),
        (b'{"other":' + b"[" * 100_000, "RecursionError: maximum recursion depth exceeded"),
    ],
    ids=["type", "missing", "cut", "list", "nothing", "no json", "too deep"],
)
async def test_a_payload_that_does_not_fit_is_archived_at_once_and_says_where(
    payload: bytes, reason: str, app: App, client: Client, inspector: Inspector
) -> None:
    @app.task("t")
    async def take(name: str, age: int) -> None: ...

    info = await client.enqueue(Task("t", payload))
    async with asyncio.timeout(60):
        await app.server().run()
    found = await inspector.task_info("default", info.id)
    assert found.state is TaskState.ARCHIVED
    assert str(found.last_error).startswith("payload of 't' does not fit: ")
    assert reason in str(found.last_error)


async def test_a_model_that_refuses_its_value_archives_the_task(
    app: App, client: Client, inspector: Inspector
) -> None:
    @app.task("t")
    async def take(model: Model) -> None: ...

    info = await client.enqueue(Task("t", b'{"model":{"id":"x"}}'))
    async with asyncio.timeout(60):
        await app.server().run()
    found = await inspector.task_info("default", info.id)
    assert "id: not an integer" in str(found.last_error)


async def test_a_value_error_of_the_function_itself_is_retried(
    app: App, inspector: Inspector
) -> None:
    @app.task("t")
    async def take(name: str) -> None:
        raise ValueError(name)

    info = await take.enqueue("bob")
    async with asyncio.timeout(60):
        await app.server().run()
    assert (await inspector.task_info("default", info.id)).state is TaskState.RETRY


def test_an_argument_of_another_type_is_refused_before_it_is_sent() -> None:
    @App(URL).task("t")
    async def take(age: int) -> None: ...

    with pytest.raises(PayloadError, match=r"Expected `int`, got `str` - at `\$.age`"):
        take.task("old")  # type: ignore[arg-type]


def test_an_argument_that_is_no_json_is_refused_before_it_is_sent() -> None:
    @App(URL).task("t")
    async def take(things: list[Any]) -> None: ...

    with pytest.raises(PayloadError, match="object cannot be sent as JSON"):
        take.task([object()])


@pytest.mark.parametrize("number", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize(
    ("place", "hidden"),
    [
        ("$.thing", lambda number: number),
        ("$.thing.a[1]", lambda number: {"a": [None, number]}),
        ("$.thing.weight", lambda number: Parcel(1, number)),
    ],
    ids=["itself", "in lists", "in a dataclass"],
)
def test_a_float_that_json_cannot_carry_is_refused_before_it_is_sent(
    number: float, place: str, hidden: Callable[[float], object]
) -> None:
    @App(URL).task("t")
    async def take(thing: Any) -> None: ...  # noqa: ANN401 - what is tested

    with pytest.raises(PayloadError, match=rf"finite `float`, got `.*` - at `{re.escape(place)}`"):
        take.task(hidden(number))  # type: ignore[call-arg]


def test_a_float_that_json_cannot_carry_is_refused_as_the_whole_payload() -> None:
    @App(URL).task("t")
    async def take(number: float | None, /) -> None: ...

    with pytest.raises(PayloadError, match=r"finite `float`, got `nan` - at `\$`"):
        take.task(math.nan)


def test_an_argument_that_holds_itself_is_refused_before_it_is_sent() -> None:
    @App(URL).task("t")
    async def take(things: list[Any]) -> None: ...

    endless: list[Any] = []
    endless.append(endless)
    with pytest.raises(PayloadError, match="recursion"):
        take.task(endless)


def test_a_model_that_fails_to_dump_is_refused_with_its_error_as_the_cause() -> None:
    class Broken(Model):
        def model_dump(self, *, mode: str) -> dict[str, object]:
            raise KeyError(mode)

    @App(URL).task("t")
    async def take(model: Model) -> None: ...

    with pytest.raises(PayloadError, match="KeyError: 'json'") as refusal:
        take.task(Broken(1))
    assert isinstance(refusal.value.__cause__, KeyError)


def test_text_is_refused_where_bytes_are_the_whole_payload() -> None:
    @App(URL).task("t")
    async def take(data: bytes, /) -> None: ...

    with pytest.raises(PayloadError, match="Expected `bytes`, got `str`"):
        take.task("text")  # type: ignore[arg-type]


def test_arguments_that_the_function_does_not_take_are_refused() -> None:
    @App(URL).task("t")
    async def take(name: str) -> None: ...

    with pytest.raises(TypeError, match=r"task 't' takes \(name\): .*'nam'"):
        take.task("bob", nam="bob")  # type: ignore[call-arg]


def test_a_missing_argument_is_refused() -> None:
    @App(URL).task("t")
    async def take(name: str) -> None: ...

    with pytest.raises(TypeError, match="missing a required argument: 'name'"):
        take.task()  # type: ignore[call-arg]


def test_a_function_with_any_number_of_arguments_is_refused() -> None:
    async def take(*names: str) -> None: ...

    with pytest.raises(TypeError, match=r"takes \*names: str: name its parameters"):
        App(URL).task("t")(take)


def test_a_function_with_any_keywords_is_refused() -> None:
    async def take(**names: str) -> None: ...

    with pytest.raises(TypeError, match=r"takes \*\*names: str: name its parameters"):
        App(URL).task("t")(take)


# -- what cannot be a parameter --------------------------------------------------------------------


class Connection:
    """A thing that JSON cannot carry."""


class Recursive(msgspec.Struct):
    within: "Recursive | None"
    connection: Connection


@pytest.mark.parametrize(
    "hint", [Connection, list[Connection], dict[str, Connection | None], Recursive], ids=str
)
def test_a_parameter_that_json_cannot_carry_is_refused(hint: object) -> None:
    def take(it: object) -> None: ...

    take.__annotations__["it"] = hint
    with pytest.raises(TypeError, match=r"the task 't' takes it.*: JSON cannot carry a C"):
        App(URL).task("t")(take)


@pytest.mark.parametrize(
    ("hint", "instead"),
    [
        (object, "an object; write Any"),
        (Path, "a Path; write str"),
        (SecretStr, "a SecretStr; what the broker stores is not secret"),
        (Connection, "a Connection; use a dataclass"),
    ],
)
def test_the_error_for_a_parameter_that_json_cannot_carry_says_what_to_use(
    hint: type, instead: str
) -> None:
    def take(it: object) -> None: ...

    take.__annotations__["it"] = hint
    with pytest.raises(TypeError, match=f"JSON cannot carry {instead}"):
        App(URL).task("t")(take)


def test_two_positional_only_parameters_are_refused() -> None:
    def take(first: int, second: int, /) -> None: ...

    with pytest.raises(TypeError, match="the task 't' takes more than 'first'"):
        App(URL).task("t")(take)


def test_types_that_exclude_each_other_are_refused_in_the_name_of_the_task() -> None:
    def take(it: list[int] | tuple[str, ...]) -> None: ...

    with pytest.raises(TypeError, match=r"the task 't' takes it: .*more than one array-like"):
        App(URL).task("t")(take)


def test_a_type_that_is_not_there_at_run_time_is_refused() -> None:
    def take(it: "Missing") -> None: ...  # type: ignore[name-defined]  # noqa: F821

    with pytest.raises(TypeError, match="the task 't': name 'Missing' is not defined; import"):
        App(URL).task("t")(take)


def test_only_arguments_that_may_hold_sets_are_walked(monkeypatch: pytest.MonkeyPatch) -> None:
    app = App(URL)

    @app.task("t")
    def tag(tags: set[str], rows: list[dict[str, int]]) -> None: ...

    walked: list[object] = []
    sort_sets = values.sort_sets

    def walk(value: object, encode: Callable[[object], bytes]) -> object:
        walked.append(value)
        return sort_sets(value, encode)

    monkeypatch.setattr(values, "sort_sets", walk)
    tag.task({"b"}, [{"n": 1}])
    assert walked[0] == {"b"}
    assert [{"n": 1}] not in walked
