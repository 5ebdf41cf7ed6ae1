"""Models of pydantic come back unchanged or are refused; pydantic's checks apply."""

import dataclasses
import subprocess
import sys
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from enum import Enum
from typing import Annotated, Any, Generic, Literal, NamedTuple, NewType, Optional, TypeVar
from uuid import UUID

import msgspec
import pydantic
import pytest
from pydantic import (
    AfterValidator,
    AliasChoices,
    AliasPath,
    BaseModel,
    ConfigDict,
    Field,
    HttpUrl,
    Json,
    PositiveInt,
    PrivateAttr,
    RootModel,
    SecretBytes,
    SecretStr,
    SerializeAsAny,
    StringConstraints,
    computed_field,
    field_serializer,
)
from typing_extensions import TypedDict

from pyasynq import App, PayloadError, Task, TypedTask
from pyasynq.app.payload import encode_result

URL = "redis://127.0.0.1:6379"
T = TypeVar("T")

WORDS = {"delta", "alpha", "golf", "charlie", "hotel", "foxtrot", "bravo", "echo"}
SORTED = b'["alpha","bravo","charlie","delta","echo","foxtrot","golf","hotel"]'


def taking(hint: object) -> TypedTask[..., Any]:
    """Return a task with one parameter of type *hint*."""

    def take(it: object) -> None: ...

    take.__annotations__["it"] = hint
    return App(URL).task("t")(take)


def it(task: Task) -> bytes | None:
    """Return the JSON of the only argument."""
    return task.payload and task.payload.removeprefix(b'{"it":').removesuffix(b"}")


def back(hint: object, value: object) -> object:
    """Return what comes back of *value*."""
    take = taking(hint)
    return take.arguments(take.task(value))["it"]


# -- models ----------------------------------------------------------------------------------------


class User(BaseModel):
    user_id: int = Field(alias="userId")


class ReadAs(BaseModel):
    user_id: int = Field(validation_alias="userId")


class WrittenAs(BaseModel):
    user_id: int = Field(serialization_alias="userId")


class Choices(BaseModel):
    user_id: int = Field(validation_alias=AliasChoices("userId", AliasPath("user", 0)))


class Path(BaseModel):
    user_id: int = Field(validation_alias=AliasPath("user", 0))


class ByName(BaseModel):
    model_config = ConfigDict(populate_by_name=True)
    user_id: int = Field(alias="userId")


class Titled(BaseModel):
    model_config = ConfigDict(alias_generator=str.title)
    name: str
    boss: Optional["Titled"] = None


class Mixed(BaseModel):
    user: User
    written: WrittenAs
    choices: list[Choices]


class NamedLikeSchemas(BaseModel):
    """Its fields have the names of parts of pydantic's core schemas."""

    type: str
    fields: dict[str, int]
    metadata: User
    serialization: list[User]
    config: str = ""


class Computed(BaseModel):
    side: int

    @computed_field
    @property
    def area(self) -> int:
        return self.side**2


class Closed(Computed):
    model_config = ConfigDict(extra="forbid")


class Open(Computed):
    model_config = ConfigDict(extra="allow")


class Strict(BaseModel):
    model_config = ConfigDict(strict=True)
    at: datetime
    id: UUID
    numbers: tuple[int, ...]


class Encoded(BaseModel):
    model_config = ConfigDict(ser_json_bytes="base64", val_json_bytes="base64")
    data: bytes


class Told(BaseModel):
    password: SecretStr

    @field_serializer("password", when_used="json")
    def tell(self, password: SecretStr) -> str:
        return password.get_secret_value()


class Within(BaseModel):
    numbers: Json[list[int]]


class Extracted(BaseModel):
    note: str = Field(default="", exclude=True)


class Page(BaseModel, Generic[T]):
    items: list[T]


class Numbers(RootModel[dict[str, int]]): ...


class Instants(BaseModel):
    at: datetime
    day: date
    naive: datetime
    pause: timedelta
    price: Decimal


class Colour(Enum):
    RED = "red"


class Defaults(BaseModel):
    """Its defaults are not of the fields' types; pydantic does not check defaults."""

    model_config = ConfigDict(use_enum_values=True)
    url: HttpUrl = "http://example.com"  # type: ignore[assignment]
    colour: Colour = Colour.RED


class Cat(BaseModel):
    kind: Literal["cat"] = "cat"
    lives: int = 9


class Dog(BaseModel):
    kind: Literal["dog"] = "dog"


Pet = Annotated[Cat | Dog, Field(discriminator="kind")]


@dataclass
class Owner:
    pets: list[Pet]
    favourite: Cat | Dog


@pytest.mark.parametrize(
    ("hint", "value"),
    [
        (User, User(userId=1)),
        (ReadAs, ReadAs.model_validate({"userId": 1})),
        (WrittenAs, WrittenAs(user_id=1)),
        (Choices, Choices.model_validate({"userId": 1})),
        (Path, Path.model_validate({"user": [1]})),
        (ByName, ByName(userId=1)),
        (Titled, Titled.model_validate({"Name": "a", "Boss": {"Name": "b"}})),
        (
            Mixed,
            Mixed(
                user=User(userId=1),
                written=WrittenAs(user_id=2),
                choices=[Choices.model_validate({"userId": 3})],
            ),
        ),
        (
            NamedLikeSchemas,
            NamedLikeSchemas(
                type="model", fields={"a": 1}, metadata=User(userId=1), serialization=[]
            ),
        ),
        (Computed, Computed(side=2)),
        (Closed, Closed(side=2)),
        (Open, Open.model_validate({"side": 2, "more": 1})),
        (Strict, Strict(at=datetime(2026, 1, 1, tzinfo=UTC), id=UUID(int=1), numbers=(1, 2))),
        (Encoded, Encoded(data=b"\xff\xfe")),
        (Told, Told(password=SecretStr("hunter2"))),
        (Within, Within.model_validate({"numbers": "[1,2]"})),
        (Extracted, Extracted()),
        (Page[User], Page[User](items=[User(userId=1)])),
        (Numbers, Numbers({"a": 1})),
        (
            Instants,
            Instants(
                at=datetime(2026, 1, 1, tzinfo=UTC),
                day=date(2026, 1, 1),
                naive=datetime(2026, 1, 1),  # noqa: DTZ001 - what is tested
                pause=timedelta(hours=1, microseconds=1),
                price=Decimal("1.10"),
            ),
        ),
        (list[User], [User(userId=1)]),
        (dict[str, User | None], {"a": User(userId=1), "b": None}),
        (Pet, Dog()),
        (Cat | Dog, Dog()),
        (Cat | Dog | None, None),
        (Cat | int, 4),
        (list[Pet], [Dog(), Cat(lives=1)]),
        (Owner, Owner([Dog()], Cat())),
    ],
)
def test_a_model_comes_back_as_it_was(hint: object, value: object) -> None:
    assert back(hint, value) == value


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (User(userId=1), b'{"userId":1}'),
        (Titled.model_validate({"Name": "a"}), b'{"Name":"a","Boss":null}'),
        # These classes could be sent before aliases were supported, so their bytes must not change.
        (WrittenAs(user_id=1), b'{"user_id":1}'),
        (ByName(userId=1), b'{"user_id":1}'),
        (Computed(side=2), b'{"side":2,"area":4}'),
        (Cat(), b'{"kind":"cat","lives":9}'),
    ],
)
def test_a_model_is_sent_under_its_aliases_where_its_names_are_not_read(
    value: object, expected: bytes
) -> None:
    assert it(taking(type(value)).task(value)) == expected
    assert encode_result("t", value) == expected


@pytest.mark.parametrize("payload", [b'{"it":{"userId":1}}', b'{"it":{"user_id":1}}'])
def test_a_model_that_is_sent_under_names_is_read_under_aliases_as_well(payload: bytes) -> None:
    assert taking(ReadAs).arguments(Task("t", payload)) == {
        "it": ReadAs.model_validate({"userId": 1})
    }


def test_private_attributes_are_not_sent() -> None:
    class Model(BaseModel):
        number: int
        _seen: int = PrivateAttr(0)

    model = Model(number=1)
    model._seen = 1
    assert back(Model, model) == Model(number=1)


@pytest.mark.filterwarnings("ignore:Pydantic serializer warnings")
@pytest.mark.parametrize("model", [Defaults(), Page(items=[1])])
def test_a_model_that_pydantic_would_read_otherwise_may_be_sent(model: BaseModel) -> None:
    assert type(back(type(model), model)) is type(model)


def test_a_model_whose_types_come_later_is_looked_at_when_they_are_there() -> None:
    class Early(BaseModel):
        later: "Later"

    take = taking(Early)

    class Later(BaseModel):
        user_id: int = Field(alias="userId")

    Early.model_rebuild()
    assert it(take.task(Early(later=Later(userId=1)))) == b'{"later":{"userId":1}}'


# -- order -----------------------------------------------------------------------------------------


class Tagged(BaseModel):
    tags: set[str]
    sets: set[frozenset[int]] = set()
    anything: Any = None
    within: "Tagged | None" = None


def test_the_sets_of_a_model_are_sent_in_order() -> None:
    model = Tagged(
        tags=WORDS,
        sets={frozenset({8, 0}), frozenset({0, 8, 16})},
        anything=[frozenset(WORDS)],
        within=Tagged(tags=WORDS),
    )
    empty = b'"sets":[],"anything":null,"within":null}'
    assert it(taking(Tagged).task(model)) == (
        b'{"tags":' + SORTED + b',"sets":[[0,16,8],[0,8]],"anything":[' + SORTED + b"],"
        b'"within":{"tags":' + SORTED + b"," + empty + b"}"
    )


def test_models_in_a_set_are_sent_in_order() -> None:
    class Frozen(BaseModel, frozen=True):
        word: str

    value = [{Frozen(word=word) for word in WORDS}]
    expected = b"".join(b'{"word":"%b"},' % word.encode() for word in sorted(WORDS))
    assert it(taking(list[set[Frozen]]).task(value)) == b"[[" + expected[:-1] + b"]]"


# -- what is refused -------------------------------------------------------------------------------


class Login(BaseModel):
    password: SecretStr


class Key(BaseModel):
    key: SecretBytes | None = None


class Nested(BaseModel):
    logins: dict[str, list[Login]]


class Needy(BaseModel):
    note: str = Field(exclude=True)


class Starred(BaseModel):
    password: SecretStr

    @field_serializer("password")
    def tell(self, password: SecretStr) -> str:
        return str(password)


class Rounded(BaseModel):
    price: Decimal

    @field_serializer("price")
    def round(self, price: Decimal) -> str:
        return f"{price:.1f}"


class Loose(BaseModel):
    at: str | timedelta


class Animal(BaseModel):
    name: str = ""


class Horse(Animal):
    height: int = 0


class Stable(BaseModel):
    animals: list[SerializeAsAny[Animal]]


class First(BaseModel):
    number: int


class Second(BaseModel):
    number: int


@pytest.mark.parametrize("hint", [Login, Key, Nested, list[Login], Cat | Key | None])
def test_a_model_with_secrets_is_refused_where_it_is_declared(hint: object) -> None:
    with pytest.raises(TypeError, match=r"the task 't' takes it: .* secrets as asterisks; give"):
        taking(hint)


def test_a_model_that_needs_what_it_excludes_is_refused_where_it_is_declared() -> None:
    with pytest.raises(TypeError, match="a Needy: it needs its field 'note', which is excluded"):
        taking(Needy)


@pytest.mark.parametrize(
    ("hint", "value", "reason"),
    [
        (Starred, Starred(password=SecretStr("hunter2")), r"`SecretStr` comes .*\$.it.password`"),
        (Rounded, Rounded(price=Decimal("1.23")), r"`Decimal` comes back changed .*\$.it.price`"),
        (Extracted, Extracted(note="x"), r"`str` comes back changed - at `\$.it.note`"),
        (Loose, Loose(at=timedelta(1)), r"`timedelta` comes back changed - at `\$.it.at`"),
        (Animal, Horse(), r"`Horse` comes back as `Animal`, without its 'height' - at `\$.it`"),
        (Stable, Stable(animals=[Horse()]), r"without its 'height' - at `\$.it.animals\[0\]`"),
        (First | Second, Second(number=1), r"`Second` comes back as `First` - at `\$.it`"),
    ],
)
def test_a_model_that_would_come_back_changed_is_refused_before_it_is_sent(
    hint: object, value: object, reason: str
) -> None:
    with pytest.raises(PayloadError, match=reason):
        taking(hint).task(value)


def test_the_refusal_contains_no_secret() -> None:
    with pytest.raises(PayloadError) as refusal:
        taking(Starred).task(Starred(password=SecretStr("hunter2")))
    assert "hunter2" not in str(refusal.value)


# -- dataclasses of pydantic -----------------------------------------------------------------------


@pydantic.dataclasses.dataclass
class Point:
    x: int = Field(default=3, gt=2)
    tags: set[str] = Field(default_factory=set)
    z: int = Field(default=1, alias="zed")


@dataclass
class Line:
    start: Point
    ends: list[Point] = dataclasses.field(default_factory=list)


class Shape(msgspec.Struct, rename="camel", tag=True):
    first_line: Line
    inner: "Shape | None" = None


@pydantic.dataclasses.dataclass
class Box(Generic[T]):
    content: T


class Places(NamedTuple):
    first: Point
    number: int = 1


class Row(TypedDict):
    point: Point


@pytest.mark.parametrize(
    ("hint", "value", "expected"),
    [
        (Point, Point(x=4), b'{"x":4,"tags":[],"z":1}'),
        (list[Point], [Point(tags=WORDS)], b'[{"x":3,"tags":' + SORTED + b',"z":1}]'),
        (Line, Line(Point()), b'{"start":{"x":3,"tags":[],"z":1},"ends":[]}'),
        (
            dict[str, Shape | None],
            {"a": Shape(Line(Point()), Shape(Line(Point())))},
            b'{"a":{"type":"Shape","firstLine":{"start":{"x":3,"tags":[],"z":1},"ends":[]},'
            b'"inner":{"type":"Shape","firstLine":{"start":{"x":3,"tags":[],"z":1},"ends":[]},'
            b'"inner":null}}}',
        ),
        (Places, Places(Point()), b'[{"x":3,"tags":[],"z":1},1]'),
        (Row, {"point": Point()}, b'{"point":{"x":3,"tags":[],"z":1}}'),
        (Box[Point], Box[Point](Point()), b'{"content":{"x":3,"tags":[],"z":1}}'),
    ],
)
def test_a_dataclass_of_pydantic_comes_back_as_it_was(
    hint: object, value: object, expected: bytes
) -> None:
    assert it(taking(hint).task(value)) == expected
    assert back(hint, value) == value


@pytest.mark.parametrize(
    ("hint", "value"),
    [
        (Point, {"x": 1}),
        (list[Point], [{"x": 1}]),
        (Line, {"start": {"x": 1}}),
        (Line, {"start": {}, "ends": [{"x": 1}]}),
        (Shape, {"type": "Shape", "firstLine": {"start": {"x": 1}}}),
        (Shape, {"type": "Shape", "firstLine": {"start": {}}, "inner": {"firstLine": {}}}),
        (Places, [{"x": 1}]),
        (Places, []),
        (Row, {}),
        (Row, {"point": {"x": 1}}),
    ],
)
def test_a_dataclass_of_pydantic_that_its_validator_refuses_is_refused(
    hint: object, value: object
) -> None:
    with pytest.raises(PayloadError):
        taking(hint).arguments(Task("t", msgspec.json.encode({"it": value})))


def test_a_dataclass_of_pydantic_has_its_defaults() -> None:
    assert taking(Point).arguments(Task("t", b'{"it":{}}')) == {"it": Point()}


# -- constraints -----------------------------------------------------------------------------------


Count = NewType("Count", PositiveInt)  # pyright: ignore[reportGeneralTypeIssues]


class Item(msgspec.Struct):
    count: PositiveInt
    items: list["Item"] = []


@pytest.mark.parametrize(
    ("hint", "right", "wrong"),
    [
        (Annotated[int, Field(gt=3)], 4, 2),
        (PositiveInt, 1, -1),
        (Count, 1, -1),
        (PositiveInt | None, 1, -1),
        (PositiveInt | str, "x", -1),
        (dict[str, PositiveInt], {"a": 1}, {"a": -1}),
        (dict[int, PositiveInt], {1: 1}, {1: -1}),
        (Annotated[list[Item], Field(min_length=1)], [Item(1)], []),
        (Item, Item(1, [Item(1)]), Item(1, [Item(-1)])),
        (Annotated[bytes, Field(max_length=1)], b"\xff", b"\xff\xff"),
        (Annotated[int, msgspec.Meta(lt=9), Field(gt=3)], 8, 2),
        (Annotated[int, msgspec.Meta(lt=9), Field(gt=3)], 4, 10),
        (Annotated[int, msgspec.Meta(gt=3)], 5, 3),
        (Annotated[User, Field(description="a user")], User(userId=1), 1),
    ],
)
def test_a_constraint_of_pydantic_is_checked(hint: object, right: object, wrong: object) -> None:
    assert back(hint, right) == right
    with pytest.raises(PayloadError):
        taking(hint).task(wrong)


@pytest.mark.parametrize(
    ("hint", "value", "expected"),
    [
        (Annotated[str, StringConstraints(strip_whitespace=True)], " x ", "x"),
        (list[Annotated[str, AfterValidator(str.upper)]], ["x"], ["X"]),
    ],
    ids=["stripped", "in a list"],
)
def test_the_handler_gets_the_value_that_a_parameters_validator_returns(
    hint: object, value: object, expected: object
) -> None:
    assert back(hint, value) == expected


def test_json_that_an_annotation_declares_is_sent_as_its_value() -> None:
    assert back(Json[list[int]], [1]) == [1]


def test_a_type_that_pydantic_cannot_check_is_refused_where_it_is_declared() -> None:
    def explode(_self: object, _source: object, _handler: object) -> object:
        raise TypeError("no schema")

    marker = type("Marker", (), {"__get_pydantic_core_schema__": explode})
    with pytest.raises(TypeError, match=r"the task 't' takes it.*: pydantic cannot check it: no"):
        taking(Annotated[int, marker()])


def test_pydantic_is_not_imported_unless_the_user_does() -> None:
    program = (
        "import sys, typing, pyasynq\n"
        "app = pyasynq.App('redis://127.0.0.1:6379')\n"
        "@app.task('t')\n"
        "def take(a: typing.Annotated[int, 'note'], b: set[str] = set()) -> None: ...\n"
        "take.task(1, {'a'})\n"
        "sys.exit('pydantic' in sys.modules)\n"
    )
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0
