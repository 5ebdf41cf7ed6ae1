"""Pydantic's models as JSON, and back.

They become JSON by their own dump, and are read as JSON by their own validation. A model's core
schema, in which pydantic keeps how it is read and written, tells under which names its fields come
back, and what does not. Of pydantic nothing is imported.
"""

import inspect
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final, TypeAlias, cast
from weakref import WeakKeyDictionary

import msgspec

_NO_NODES: Final = {"config", "default", "expected", "metadata"}
"""What a node of a core schema holds besides its parts, and which may look like one."""

_json: Final = msgspec.json.encode

Node: TypeAlias = Mapping[str, Any]
"""A node of a core schema."""


# -- values ----------------------------------------------------------------------------------------


def dump(value: object) -> object:
    """Return what stands for *value* in JSON, if it is a model.

    Raises:
        TypeError: If it is not.
    """
    model_dump = getattr(value, "model_dump", None)
    if model_dump is None:
        msg = f"{type(value).__name__} cannot be sent as JSON"
        raise TypeError(msg)
    if not is_model(type(value)):
        return cast("object", model_dump(mode="json"))
    way = way_of(type(value))
    dumped = model_dump(mode="json", **way.dump)
    if not way.may_hold_sets:
        return cast("object", dumped)
    return _in_order(dumped, model_dump(mode="python", warnings=False, **way.dump))


def load(kind: Any, value: object) -> object:  # noqa: ANN401 - a class
    """Return *value*, which was JSON, as a *kind*, if that is a class of models.

    Raises:
        TypeError: If it is not.
        ValueError: If the value does not fit.
    """
    if is_model(kind):
        keywords = way_of(kind).load
        return cast("object", kind.model_validate_json(msgspec.json.encode(value), **keywords))
    validate = getattr(kind, "model_validate", None)
    if validate is None:
        msg = f"{kind.__name__} cannot come from JSON"
        raise TypeError(msg)
    return cast("object", validate(value))


def _in_order(dumped: object, plain: object) -> object:
    """Return *dumped*, in which the lists that stand for sets of *plain* are in order."""
    if isinstance(plain, set | frozenset) and isinstance(dumped, list):
        example = next(iter(cast("set[object]", plain)), None)
        members = [_in_order(member, example) for member in cast("list[object]", dumped)]
        return sorted(members, key=_json)
    if isinstance(plain, dict) and isinstance(dumped, dict):
        items = cast("dict[object, object]", dumped).items()
        values = cast("dict[object, object]", plain).values()
        return {name: _in_order(a, b) for (name, a), b in zip(items, values, strict=False)}
    if isinstance(plain, list | tuple) and isinstance(dumped, list):
        pairs = zip(cast("list[object]", dumped), cast("list[object]", plain), strict=False)
        return [_in_order(a, b) for a, b in pairs]
    return dumped


# -- models ----------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Way:
    """How models of a class become JSON that they can be read from.

    Attributes:
        dump: Keywords of ``model_dump``.
        load: Keywords of ``model_validate_json``.
        may_hold_sets: Whether their JSON may have lists without order.
        refusal: Why no such model comes back from JSON as it was, if that is known.
    """

    dump: Mapping[str, bool]
    load: Mapping[str, bool]
    may_hold_sets: bool
    refusal: str | None


_ways: Final[WeakKeyDictionary[type, Way]] = WeakKeyDictionary()


def check(kind: type) -> None:
    """Check that models of *kind* can come back from JSON as they were.

    Raises:
        TypeError: If they cannot.
    """
    refusal = way_of(kind).refusal if is_model(kind) else None
    if refusal:
        msg = f"JSON cannot carry {one(kind)}: {refusal}"
        raise TypeError(msg)


def one(kind: type) -> str:
    """Return the name of *kind* with its article."""
    name = kind.__qualname__
    return f"{'an' if name[0] in 'aeioAEIO' else 'a'} {name}"


def refusal_of(nodes: list[Node], schema: Node) -> str | None:
    """Return why no value of *schema*, which has these *nodes*, comes back; None if some may."""
    if _masks(schema):
        return (
            "pydantic writes its secrets as asterisks; give the field a serializer that tells them,"
            " or send what the handler finds them by"
        )
    named = (field for node in nodes for field in _named(node))
    for name, field in named:
        if field.get("serialization_exclude") and field["schema"]["type"] != "default":
            return f"it needs its field {name!r}, which is excluded"
    return None


def is_model(kind: type) -> bool:
    """Tell whether *kind* is a class of pydantic's models."""
    return hasattr(kind, "__pydantic_core_schema__") and hasattr(kind, "model_validate_json")


def way_of(kind: type) -> Way:
    """Return how models of *kind* become JSON.

    Raises:
        TypeError: If they cannot be read from it.
    """
    way = _ways.get(kind)
    if way is None:
        model: Any = kind
        if not model.__pydantic_complete__:  # its types were not there when it was made
            model.model_rebuild(raise_errors=False)
        if not model.__pydantic_complete__:
            return Way(dump={}, load={}, may_hold_sets=True, refusal=None)
        way = _ways[kind] = _way(model.__pydantic_core_schema__, model.model_validate_json)
    return way


def _way(schema: Node, validate: Callable[..., object]) -> Way:
    nodes = list(nodes_of(schema))
    by_alias, by_name = _names(list(_fields(schema, {})), validate)
    dump = {} if by_alias is None else {"by_alias": by_alias}
    if _needs_round_trip(nodes):
        dump["round_trip"] = True
    return Way(
        dump=dump,
        load=by_name,
        may_hold_sets=any(map(_may_be_set, nodes)),
        refusal=refusal_of(nodes, schema),
    )


def nodes_of(schema: Node) -> Iterator[Node]:
    """Yield every node of a core schema."""
    yield schema
    for part in _parts(schema):
        yield from nodes_of(part)


def _parts(node: Node) -> Iterator[Node]:
    """Yield the nodes right within *node*."""
    for name, part in node.items():
        if name in {"fields", "choices"} and isinstance(part, Mapping):
            yield from cast("Mapping[str, Node]", part).values()
        elif name not in _NO_NODES:
            yield from _found_in(part)


def _found_in(part: object) -> Iterator[Node]:
    if isinstance(part, Mapping) and "type" in part:
        yield cast("Node", part)
    elif isinstance(part, list | tuple):
        for member in cast("list[object]", part):
            yield from _found_in(member)


def _needs_round_trip(nodes: list[Node]) -> bool:
    """Tell whether the plain dump cannot be read: JSON within JSON, or fields that are computed."""
    computed = any(node.get("computed_fields") for node in nodes)
    return any(node["type"] == "json" for node in nodes) or (computed and any(map(_extra, nodes)))


def _extra(node: Node) -> bool:
    """Tell whether what is no field of a model is refused or kept."""
    behavior = node.get("config", {}).get("extra_fields_behavior", node.get("extra_behavior"))
    return behavior in {"allow", "forbid"}


def _may_be_set(node: Node) -> bool:
    return node["type"] in {"set", "frozenset", "any", "is-instance"} or _extra(node)


def _masks(node: Node) -> bool:
    """Tell whether secrets within are written as asterisks; a serializer of the user's decides."""
    function = node.get("serialization", {}).get("function")
    if function is None:
        return any(map(_masks, _parts(node)))
    name = getattr(function, "__qualname__", "").lower()
    return getattr(function, "__module__", "") == "pydantic.types" and "secret" in name


# -- aliases ---------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class _Field:
    """A field's names.

    Attributes:
        name: Its own.
        alias: That in JSON with aliases.
        by_default: That in JSON, if the caller does not say which.
        read: Those under which it is read.
    """

    name: str
    alias: str
    by_default: str
    read: set[object]


def _names(
    fields: list[_Field], validate: Callable[..., object]
) -> tuple[bool | None, dict[str, bool]]:
    """Return ``by_alias`` of the dump, and keywords of reading, with which all fields come back.

    The default of the models stands if it can, then aliases, which peers expect, then names.

    Raises:
        TypeError: If there are none.
    """
    ways: dict[bool | None, list[tuple[str, _Field]]] = {
        None: [(field.by_default, field) for field in fields],
        True: [(field.alias, field) for field in fields],
        False: [(field.name, field) for field in fields],
    }
    for by_alias, written in ways.items():
        if all(name in field.read for name, field in written):
            return by_alias, {}
    by_name = by_names(validate)
    if not by_name:
        msg = "JSON cannot carry its aliases, under which no field is both written and read"
        raise TypeError(msg)
    for by_alias, written in ways.items():
        if by_alias and all(name in {*field.read, field.name} for name, field in written):
            return True, by_name
    return False, by_name


def by_names(validate: Callable[..., object]) -> dict[str, bool]:
    """Return the keywords with which fields are read under names as well as under aliases."""
    known = "by_name" in inspect.signature(validate).parameters  # since pydantic 2.11
    return {"by_alias": True, "by_name": True} if known else {}


def _fields(node: Node, config: Node) -> Iterator[_Field]:
    """Yield the fields within *node*; *config* is that of the class around."""
    if node["type"] in {"model", "dataclass", "typed-dict"}:
        config = node.get("config", {})
    yield from (_field(name, field, config) for name, field in _named(node))
    for part in _parts(node):
        yield from _fields(part, config)


def _named(node: Node) -> list[tuple[str, Node]]:
    """Return the fields right within *node* with their names."""
    fields = node.get("fields", ())
    if isinstance(fields, Mapping):
        return list(cast("Mapping[str, Node]", fields).items())
    return [(field["name"], field) for field in cast("list[Node]", fields) if "name" in field]


def _field(name: str, field: Node, config: Node) -> _Field:
    alias: str = field.get("serialization_alias", name)
    by_name = config.get("validate_by_name") or config.get("populate_by_name")
    aliases = _aliases(field.get("validation_alias", name))
    return _Field(
        name=name,
        alias=alias,
        by_default=alias if config.get("serialize_by_alias") else name,
        read={*(aliases if config.get("validate_by_alias", True) else ()), *[name] * bool(by_name)},
    )


def _aliases(alias: object) -> list[object]:
    """Return the keys under which *alias* reads a value: one, one of several, or paths."""
    if isinstance(alias, str):
        return [alias]
    path = cast("list[object]", alias)
    if path and isinstance(path[0], list):
        return [key for one in path for key in _aliases(one)]
    return path if len(path) == 1 else []
