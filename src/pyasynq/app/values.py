"""Values and JSON: put sets in order, and find what comes back from JSON changed."""

import copy
import dataclasses
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from enum import Enum
from typing import Any, Final, TypeGuard, TypeVar, cast, get_args

import msgspec

_OPEN: Final = {Any, object, list, tuple, dict, set, frozenset}
"""Types that do not declare their members, so that members may come back as JSON's own types."""

_TEXTS: Final = {str, int, float, bool}
"""Python's types that JSON has, too, except for lists, which may stand for other types."""


def sort_sets(value: object, encode: Callable[[object], bytes]) -> object:
    """Return *value* with a sorted list in place of each set; *value* itself if it has no set.

    Values that contain a set are copied. Members are sorted by their JSON, which *encode* returns.
    """
    if type(value) in _TEXTS:
        return value
    if isinstance(value, set | frozenset):
        members = [sort_sets(member, encode) for member in cast("set[object]", value)]
        return sorted(members, key=encode)
    if _is_list(value):
        new = [sort_sets(member, encode) for member in value]
        return new if _differ(value, new) else value
    if _is_dict(value):
        new = [sort_sets(member, encode) for member in value.values()]
        return dict(zip(value, new, strict=True)) if _differ(value.values(), new) else value
    if hasattr(value, "model_dump"):
        return value  # `models.dump` sorts its sets
    return _with_sorted_fields(value, encode)


def _with_sorted_fields(value: object, encode: Callable[[object], bytes]) -> object:
    held = {name: getattr(value, name) for name in _fields(value) if hasattr(value, name)}
    new = {name: sort_sets(member, encode) for name, member in held.items()}
    if not _differ(held.values(), new.values()):
        return value
    twin = copy.copy(value)
    for name, member in new.items():
        if isinstance(twin, msgspec.Struct):
            msgspec.structs.force_setattr(twin, name, member)
        else:
            object.__setattr__(twin, name, member)  # the dataclass may be frozen
    return twin


def restore_sets(given: object, back: object) -> object:
    """Return *given* with each list that came *back* as a set replaced by that set."""
    if _is_list(given):
        if isinstance(back, set | frozenset):
            return cast("object", back)
        if _is_list(back) and len(given) == len(back):
            new = [restore_sets(a, b) for a, b in zip(given, back, strict=True)]
            return new if _differ(given, new) else given
    if _is_dict(given) and _is_dict(back):
        new = [restore_sets(value, back.get(name)) for name, value in given.items()]
        return dict(zip(given, new, strict=True)) if _differ(given.values(), new) else given
    return given


def _differ(old: Any, new: Any) -> bool:  # noqa: ANN401 - two collections of one length
    return any(a is not b for a, b in zip(old, new, strict=True))


def is_unchanged(given: Mapping[str, object], back: Mapping[str, object]) -> bool:
    """Tell whether all items of *given* are in *back*, unchanged."""
    try:
        return given.items() <= back.items()
    except Exception:  # noqa: BLE001 - __eq__ is the user's code
        return False


def find_change(given: object, back: object, path: str = "$", *, typed: bool = False) -> str | None:
    """Return what changed or was lost between *given* and *back*, and where; None if nothing.

    Lists may stand for tuples and sets. Where no type is declared, JSON's own types may stand for
    others. An instance of a subclass may come back as one of the declared class, if it has no
    further fields.

    Args:
        given: The value that was given.
        back: The value that came back from JSON.
        path: Path of both values.
        typed: Whether their declared type excludes JSON's own types.
    """
    if _equal(given, back) or (isinstance(given, Enum) and _equal(given.value, back)):
        return None
    if _is_list(given) and _is_list(back):
        members, others = dict(enumerate(given)), dict(enumerate(back))
        return _find_changed_part(members, others, path + "[{}]", typed=typed)
    if _is_dict(given) and _is_dict(back):
        return _find_changed_part(given, back, path + ".{}", typed=typed)
    if _fields(given) and _fields(back):
        return _find_changed_field(given, back, path)
    return (
        f"{_type_name(given)} comes back changed" + _place(path)
        if _is_lost(given, back, typed=typed)
        else None
    )


def _is_list(value: object) -> TypeGuard[list[object]]:
    return isinstance(value, list | tuple)


def _is_dict(value: object) -> TypeGuard[dict[object, object]]:
    return isinstance(value, dict)


def _find_changed_part(
    given: Mapping[Any, object], back: Mapping[Any, object], path: str, *, typed: bool
) -> str | None:
    if len(given) != len(back):
        return f"{len(back)} of {len(given)} members come back" + _place(
            path[: path.rindex("{") - 1]
        )
    pairs = ((path.format(name), given[name], back[name]) for name in given if name in back)
    return next(filter(None, (find_change(a, b, at, typed=typed) for at, a, b in pairs)), None)


def _find_changed_field(given: object, back: object, path: str) -> str | None:
    if not isinstance(given, type(back)):
        return f"{_type_name(given)} comes back as {_type_name(back)}" + _place(path)
    fields = _fields(given)
    for name, typed in fields.items():
        if name not in _fields(back):
            return (
                f"{_type_name(given)} comes back as {_type_name(back)}, without its {name!r}"
                + _place(path)
            )
        if hasattr(given, name) and hasattr(back, name):
            old, new = getattr(given, name), getattr(back, name)
            reason = find_change(old, new, f"{path}.{name}", typed=typed)
            if reason:
                return reason
    return None


def _is_lost(given: object, back: object, *, typed: bool) -> bool:
    """Tell whether *back*, which is not equal to *given*, has lost something."""
    if given is None or back is None:
        return True
    if isinstance(given, int | float) and isinstance(back, int | float):
        return given == given  # noqa: PLR0124 - False for NaN
    kind = type(given)
    if kind is not type(back):
        return typed and type(back) in _TEXTS | {dict} and kind not in _TEXTS
    return (
        kind not in {set, frozenset} and kind.__eq__ is not object.__eq__ and _equal(given, given)
    )


def _equal(one: object, other: object) -> bool:
    try:
        return bool(one == other) or _same_instant(one, other)
    except Exception:  # noqa: BLE001 - __eq__ is the user's code
        return False


def _same_instant(one: object, other: object) -> bool:
    """Tell whether both are the same instant.

    ``==`` is not enough: in the hour that a zone has twice, its times equal none of other zones.
    """
    if not isinstance(one, datetime) or not isinstance(other, datetime):
        return False
    if one.tzinfo is None or other.tzinfo is None:
        return False
    return one.astimezone(UTC) == other.astimezone(UTC)


def _fields(value: object) -> dict[str, bool]:
    """Return the fields of *value* in JSON, and whether a type is declared for each.

    The latter only for models: in other classes the types are checked when JSON is read.
    """
    kind: Any = type(value)
    if hasattr(kind, "model_dump"):
        declared = cast("dict[str, Any]", getattr(kind, "model_fields", {}))
        return {name: not _is_open(field.annotation) for name, field in declared.items()}
    return dict.fromkeys(_names(kind), False)


def _names(kind: Any) -> Iterator[str]:  # noqa: ANN401 - any class
    if issubclass(kind, msgspec.Struct):
        yield from kind.__struct_fields__
    elif dataclasses.is_dataclass(kind):
        yield from (field.name for field in dataclasses.fields(kind))
    else:
        yield from (field.name for field in getattr(kind, "__attrs_attrs__", ()))


def _is_open(hint: Any) -> bool:  # noqa: ANN401 - any type
    """Tell whether a part of *hint* is not declared."""
    parts = get_args(hint)
    return isinstance(hint, TypeVar) or any(hint is it for it in _OPEN) or any(map(_is_open, parts))


def _type_name(value: object) -> str:
    return f"`{type(value).__name__}`"


def _place(path: str) -> str:
    return f" - at `{path}`"
