"""What JSON makes of values: their order in it, and whether they come back as they were."""

import copy
import dataclasses
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from enum import Enum
from typing import Any, Final, TypeGuard, TypeVar, cast, get_args

import msgspec

_OPEN: Final = {Any, object, list, tuple, dict, set, frozenset}
"""Types that say nothing of what is in them, so that JSON's own types may come back."""

_TEXTS: Final = {str, int, float, bool}
"""Types of Python's own that JSON has, too; lists stand for others by right."""


def ordered(value: object, encode: Callable[[object], bytes]) -> object:
    """Return *value* with a list in a fixed order in place of each set; without sets, itself.

    What holds a set is copied; *encode* returns the JSON of a member, by which they are sorted.
    """
    if type(value) in _TEXTS:
        return value
    if isinstance(value, set | frozenset):
        members = [ordered(member, encode) for member in cast("set[object]", value)]
        return sorted(members, key=encode)
    if _is_list(value):
        new = [ordered(member, encode) for member in value]
        return new if _differ(value, new) else value
    if _is_dict(value):
        new = [ordered(member, encode) for member in value.values()]
        return dict(zip(value, new, strict=True)) if _differ(value.values(), new) else value
    if hasattr(value, "model_dump"):
        return value  # it orders its own
    return _with_ordered_fields(value, encode)


def _with_ordered_fields(value: object, encode: Callable[[object], bytes]) -> object:
    held = {name: getattr(value, name) for name in _fields(value) if hasattr(value, name)}
    new = {name: ordered(member, encode) for name, member in held.items()}
    if not _differ(held.values(), new.values()):
        return value
    twin = copy.copy(value)
    for name, member in new.items():
        if isinstance(twin, msgspec.Struct):
            msgspec.structs.force_setattr(twin, name, member)
        else:
            object.__setattr__(twin, name, member)  # it may be frozen
    return twin


def declared_sets(given: object, back: object) -> object:
    """Return *given* with the set that came *back* in place of each list that was given for one."""
    if _is_list(given):
        if isinstance(back, set | frozenset):
            return cast("object", back)
        if _is_list(back) and len(given) == len(back):
            new = [declared_sets(a, b) for a, b in zip(given, back, strict=True)]
            return new if _differ(given, new) else given
    if _is_dict(given) and _is_dict(back):
        new = [declared_sets(value, back.get(name)) for name, value in given.items()]
        return dict(zip(given, new, strict=True)) if _differ(given.values(), new) else given
    return given


def _differ(old: Any, new: Any) -> bool:  # noqa: ANN401 - two collections of one length
    return any(a is not b for a, b in zip(old, new, strict=True))


def same(given: Mapping[str, object], back: Mapping[str, object]) -> bool:
    """Tell whether all that was *given* is in *back* as it was."""
    try:
        return given.items() <= back.items()
    except Exception:  # noqa: BLE001 - the users' own __eq__
        return False


def changed(given: object, back: object, path: str = "$", *, typed: bool = False) -> str | None:
    """Return what is not in *back*, the value that came back, as it was in *given*, and where.

    None if nothing is known to be lost. Lists may stand for tuples and sets; where no type is
    declared, JSON's own types may stand for others. An instance of a subclass may come back as one
    of the class that is declared, if it holds nothing more.

    Args:
        given: What was given.
        back: What came back.
        path: Where both are.
        typed: Whether a type is declared for them that JSON's own types do not do for.
    """
    if _equal(given, back) or (isinstance(given, Enum) and _equal(given.value, back)):
        return None
    if _is_list(given) and _is_list(back):
        members, others = dict(enumerate(given)), dict(enumerate(back))
        return _changed_parts(members, others, path + "[{}]", typed=typed)
    if _is_dict(given) and _is_dict(back):
        return _changed_parts(given, back, path + ".{}", typed=typed)
    if _fields(given) and _fields(back):
        return _changed_fields(given, back, path)
    return (
        f"{_kind(given)} comes back changed" + _at(path)
        if _is_lost(given, back, typed=typed)
        else None
    )


def _is_list(value: object) -> TypeGuard[list[object]]:
    return isinstance(value, list | tuple)


def _is_dict(value: object) -> TypeGuard[dict[object, object]]:
    return isinstance(value, dict)


def _changed_parts(
    given: Mapping[Any, object], back: Mapping[Any, object], path: str, *, typed: bool
) -> str | None:
    if len(given) != len(back):
        return f"{len(back)} of {len(given)} members come back" + _at(path[: path.rindex("{") - 1])
    pairs = ((path.format(name), given[name], back[name]) for name in given if name in back)
    return next(filter(None, (changed(a, b, at, typed=typed) for at, a, b in pairs)), None)


def _changed_fields(given: object, back: object, path: str) -> str | None:
    if not isinstance(given, type(back)):
        return f"{_kind(given)} comes back as {_kind(back)}" + _at(path)
    fields = _fields(given)
    for name, typed in fields.items():
        if name not in _fields(back):
            return f"{_kind(given)} comes back as {_kind(back)}, without its {name!r}" + _at(path)
        if hasattr(given, name) and hasattr(back, name):
            old, new = getattr(given, name), getattr(back, name)
            reason = changed(old, new, f"{path}.{name}", typed=typed)
            if reason:
                return reason
    return None


def _is_lost(given: object, back: object, *, typed: bool) -> bool:
    """Tell whether *back*, which is not equal to *given*, is not what it was."""
    if given is None or back is None:
        return True
    if isinstance(given, int | float) and isinstance(back, int | float):
        return given == given  # noqa: PLR0124 - but for what is not a number
    kind = type(given)
    if kind is not type(back):
        return typed and type(back) in _TEXTS | {dict} and kind not in _TEXTS
    return (
        kind not in {set, frozenset} and kind.__eq__ is not object.__eq__ and _equal(given, given)
    )


def _equal(one: object, other: object) -> bool:
    try:
        return bool(one == other) or _same_instant(one, other)
    except Exception:  # noqa: BLE001 - the users' own __eq__
        return False


def _same_instant(one: object, other: object) -> bool:
    """Tell whether both are one instant.

    In the hour that a zone has twice, times of that zone equal those of no other.
    """
    if not isinstance(one, datetime) or not isinstance(other, datetime):
        return False
    if one.tzinfo is None or other.tzinfo is None:
        return False
    return one.astimezone(UTC) == other.astimezone(UTC)


def _fields(value: object) -> dict[str, bool]:
    """Return the fields that JSON has of *value*, and whether a type is declared for each.

    Only models say so: of others the types are checked when they are read.
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
    """Tell whether something within *hint* is not declared."""
    parts = get_args(hint)
    return isinstance(hint, TypeVar) or any(hint is it for it in _OPEN) or any(map(_is_open, parts))


def _kind(value: object) -> str:
    return f"`{type(value).__name__}`"


def _at(path: str) -> str:
    return f" - at `{path}`"
