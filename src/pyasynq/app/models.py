"""Convert pydantic's models to JSON and back.

A model is written by its own dump and read by its own validation. Its core schema, where pydantic
keeps how it is read and written, says under which names fields come back, and which do not come
back. This module does not import pydantic.
"""

import inspect
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final, TypeAlias, cast
from weakref import WeakKeyDictionary

import msgspec

from pyasynq.core.call import StepResult

_NO_NODES: Final = {"config", "default", "expected", "metadata"}
"""Members of a node of a core schema that are not nodes, but may look like nodes."""

_json: Final = msgspec.json.encode

Node: TypeAlias = Mapping[str, Any]
"""A node of a core schema."""


# -- values ----------------------------------------------------------------------------------------


def dump(value: object) -> object:
    """Return *value*, a model, as values that JSON has.

    Raises:
        TypeError: If it is not a model.
    """
    model_dump = getattr(value, "model_dump", None)
    if isinstance(value, StepResult):
        msg = f"the result of the step {value.name!r} can only be an argument as a whole"
        raise TypeError(msg)
    if model_dump is None:
        msg = f"{type(value).__name__} cannot be sent as JSON"
        raise TypeError(msg)
    if not is_model(type(value)):
        return cast("object", model_dump(mode="json"))
    settings = json_settings_of(type(value))
    dumped = model_dump(mode="json", **settings.dump)
    if not settings.may_hold_sets:
        return cast("object", dumped)
    return _sort_sets(dumped, model_dump(mode="python", warnings=False, **settings.dump))


def load(kind: Any, value: object) -> object:  # noqa: ANN401 - a class
    """Return *value*, decoded JSON, as a model of class *kind*.

    Raises:
        TypeError: If *kind* is not a class of models.
        ValueError: If the value does not fit.
    """
    if is_model(kind):
        keywords = json_settings_of(kind).load
        return cast("object", kind.model_validate_json(msgspec.json.encode(value), **keywords))
    validate = getattr(kind, "model_validate", None)
    if validate is None:
        msg = f"{kind.__name__} cannot come from JSON"
        raise TypeError(msg)
    return cast("object", validate(value))


def _sort_sets(dumped: object, plain: object) -> object:
    """Return *dumped* with those lists sorted that stand for sets in *plain*."""
    if isinstance(plain, set | frozenset) and isinstance(dumped, list):
        example = next(iter(cast("set[object]", plain)), None)
        members = [_sort_sets(member, example) for member in cast("list[object]", dumped)]
        return sorted(members, key=_json)
    if isinstance(plain, dict) and isinstance(dumped, dict):
        items = cast("dict[object, object]", dumped).items()
        values = cast("dict[object, object]", plain).values()
        return {name: _sort_sets(a, b) for (name, a), b in zip(items, values, strict=False)}
    if isinstance(plain, list | tuple) and isinstance(dumped, list):
        pairs = zip(cast("list[object]", dumped), cast("list[object]", plain), strict=False)
        return [_sort_sets(a, b) for a, b in pairs]
    return dumped


# -- models ----------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class JsonSettings:
    """How models of a class are written as JSON and read again.

    Attributes:
        dump: Keywords of ``model_dump``.
        load: Keywords of ``model_validate_json``.
        may_hold_sets: Whether lists in their JSON may stand for sets, which have no order.
        refusal: Why such a model never comes back unchanged; None if it may come back.
    """

    dump: Mapping[str, bool]
    load: Mapping[str, bool]
    may_hold_sets: bool
    refusal: str | None


_known: Final[WeakKeyDictionary[type, JsonSettings]] = WeakKeyDictionary()


def check(kind: type) -> None:
    """Check that models of *kind* can come back from JSON unchanged.

    Raises:
        TypeError: If they cannot.
    """
    refusal = json_settings_of(kind).refusal if is_model(kind) else None
    if refusal:
        msg = f"JSON cannot carry {with_article(kind)}: {refusal}"
        raise TypeError(msg)


def with_article(kind: type) -> str:
    """Return the name of *kind* with its article."""
    name = kind.__qualname__
    return f"{'an' if name[0] in 'aeioAEIO' else 'a'} {name}"


def refusal_of(nodes: list[Node], schema: Node) -> str | None:
    """Return why no value of *schema* with these *nodes* comes back; None if some values may."""
    if _masks_secrets(schema):
        return (
            "pydantic writes its secrets as asterisks; give the field a serializer that writes "
            "them, or send a key by which the handler finds them"
        )
    named = (field for node in nodes for field in _named_fields(node))
    for name, field in named:
        if field.get("serialization_exclude") and field["schema"]["type"] != "default":
            return f"it needs its field {name!r}, which is excluded"
    return None


def is_model(kind: type) -> bool:
    """Tell whether *kind* is a class of pydantic models."""
    return hasattr(kind, "__pydantic_core_schema__") and hasattr(kind, "model_validate_json")


def json_settings_of(kind: type) -> JsonSettings:
    """Return how models of *kind* are written and read.

    Raises:
        TypeError: If they cannot be read from their JSON.
    """
    settings = _known.get(kind)
    if settings is None:
        model: Any = kind
        if not model.__pydantic_complete__:  # its types were not defined when it was made
            model.model_rebuild(raise_errors=False)
        if not model.__pydantic_complete__:
            return JsonSettings(dump={}, load={}, may_hold_sets=True, refusal=None)
        settings = _known[kind] = _find_settings(
            model.__pydantic_core_schema__, model.model_validate_json
        )
    return settings


def _find_settings(schema: Node, validate: Callable[..., object]) -> JsonSettings:
    nodes = list(nodes_of(schema))
    by_alias, by_name = _choose_names(list(_fields(schema, {})), validate)
    dump = {} if by_alias is None else {"by_alias": by_alias}
    if _needs_round_trip(nodes):
        dump["round_trip"] = True
    return JsonSettings(
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
    """Yield the direct parts of *node*."""
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
    """Tell whether the plain dump cannot be read: it has JSON in JSON, or computed fields."""
    computed = any(node.get("computed_fields") for node in nodes)
    return any(node["type"] == "json" for node in nodes) or (
        computed and any(map(_handles_extra_members, nodes))
    )


def _handles_extra_members(node: Node) -> bool:
    """Tell whether a model refuses or keeps members that are not its fields."""
    behavior = node.get("config", {}).get("extra_fields_behavior", node.get("extra_behavior"))
    return behavior in {"allow", "forbid"}


def _may_be_set(node: Node) -> bool:
    return node["type"] in {"set", "frozenset", "any", "is-instance"} or _handles_extra_members(
        node
    )


def _masks_secrets(node: Node) -> bool:
    """Tell whether secrets in *node* are written as asterisks, unless the user's code does more."""
    function = node.get("serialization", {}).get("function")
    if function is None:
        return any(map(_masks_secrets, _parts(node)))
    name = getattr(function, "__qualname__", "").lower()
    return getattr(function, "__module__", "") == "pydantic.types" and "secret" in name


# -- aliases ---------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class _Field:
    """The names of a field.

    Attributes:
        name: Its name in the class.
        alias: Its name in JSON that has aliases.
        by_default: Its name in JSON if the caller does not choose.
        read: The names under which it is read.
    """

    name: str
    alias: str
    by_default: str
    read: set[object]


def _choose_names(
    fields: list[_Field], validate: Callable[..., object]
) -> tuple[bool | None, dict[str, bool]]:
    """Return ``by_alias`` for the dump, and keywords for reading, so that all fields come back.

    The default of the models is preferred, then aliases, which peers expect, then names.

    Raises:
        TypeError: If no choice works.
    """
    choices: dict[bool | None, list[tuple[str, _Field]]] = {
        None: [(field.by_default, field) for field in fields],
        True: [(field.alias, field) for field in fields],
        False: [(field.name, field) for field in fields],
    }
    for by_alias, written in choices.items():
        if all(name in field.read for name, field in written):
            return by_alias, {}
    by_name = name_keywords(validate)
    if not by_name:
        msg = "JSON cannot carry its aliases, under which no field is both written and read"
        raise TypeError(msg)
    for by_alias, written in choices.items():
        if by_alias and all(name in {*field.read, field.name} for name, field in written):
            return True, by_name
    return False, by_name


def name_keywords(validate: Callable[..., object]) -> dict[str, bool]:
    """Return the keywords for reading fields under both names and aliases; empty if unknown."""
    known = "by_name" in inspect.signature(validate).parameters  # since pydantic 2.11
    return {"by_alias": True, "by_name": True} if known else {}


def _fields(node: Node, config: Node) -> Iterator[_Field]:
    """Yield the fields within *node*; *config* is that of the surrounding class."""
    if node["type"] in {"model", "dataclass", "typed-dict"}:
        config = node.get("config", {})
    yield from (_field(name, field, config) for name, field in _named_fields(node))
    for part in _parts(node):
        yield from _fields(part, config)


def _named_fields(node: Node) -> list[tuple[str, Node]]:
    """Return the direct fields of *node* with their names."""
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
    """Return the keys under which *alias* reads a value; *alias* is a key, a path, or paths."""
    if isinstance(alias, str):
        return [alias]
    path = cast("list[object]", alias)
    if path and isinstance(path[0], list):
        return [key for one in path for key in _aliases(one)]
    return path if len(path) == 1 else []
