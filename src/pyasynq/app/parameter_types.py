"""Find out what the type of a parameter is in JSON, and refuse a type that JSON cannot carry."""

import inspect
from collections.abc import Iterator
from pathlib import PurePath
from typing import Any, cast

import msgspec
import msgspec.inspect

from pyasynq.app.models import check, with_article
from pyasynq.app.substitutes import Substitute, substitute_types


def type_in_json(type: str, parameter: inspect.Parameter, hint: Any) -> Any:  # noqa: ANN401 - any type
    """Return the type by which msgspec reads *parameter*.

    Raises:
        TypeError: If JSON cannot carry it.
    """
    if parameter.kind in {parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD}:
        msg = f"the task {type!r} takes {parameter}: name its parameters, they become JSON keys"
        raise TypeError(msg)
    try:
        known = substitute_types(hint)
        for node in _types(known, set()):
            if isinstance(node, msgspec.inspect.CustomType):
                _check_foreign_type(node.cls)
    except TypeError as error:
        msg = f"the task {type!r} takes {parameter}: {error}"
        raise TypeError(msg) from error
    return known


def _check_foreign_type(foreign: type) -> None:
    if _is_substitute(foreign, but=set()):
        return
    if not hasattr(foreign, "model_validate"):
        msg = f"JSON cannot carry {with_article(foreign)}; {_suggest(foreign)}"
        raise TypeError(msg)
    check(foreign)


def _suggest(foreign: type) -> str:
    if foreign is object:
        return "write Any"
    if hasattr(foreign, "get_secret_value"):  # pydantic's
        return "what the broker stores is not secret: send a key by which the handler finds it"
    if issubclass(foreign, PurePath):
        return "write str"
    return "use a dataclass, a msgspec.Struct or a pydantic model"


def may_hold_sets(hint: Any) -> bool:  # noqa: ANN401 - any type
    """Tell whether *hint* declares a set; an undeclared set comes back as a list anyway."""
    kinds = msgspec.inspect.SetType | msgspec.inspect.FrozenSetType
    return any(isinstance(node, kinds) for node in _types(hint, set()))


def _types(hint: Any, substitutes: set[type]) -> Iterator[msgspec.inspect.Type]:  # noqa: ANN401 - any type
    """Yield the types within *hint*, including the parts of substitutes."""
    info = msgspec.inspect.type_info(hint)
    for node in _nodes(info, set()):
        yield node
        if isinstance(node, msgspec.inspect.CustomType) and _is_substitute(
            node.cls, but=substitutes
        ):
            substitutes.add(node.cls)
            for part in cast("type[Substitute]", node.cls).parts:
                yield from _types(part, substitutes)


def _is_substitute(kind: object, *, but: set[type]) -> bool:
    return isinstance(kind, type) and issubclass(kind, Substitute) and kind not in but


def _nodes(node: object, seen: set[int]) -> Iterator[msgspec.inspect.Type]:
    """Yield the types within *node*, a type or a part of one."""
    if isinstance(node, tuple):
        for part in cast("tuple[object, ...]", node):
            yield from _nodes(part, seen)
    elif isinstance(node, msgspec.inspect.Type | msgspec.inspect.Field) and id(node) not in seen:
        seen.add(id(node))
        if isinstance(node, msgspec.inspect.Type):
            yield node
        for name in node.__struct_fields__:
            yield from _nodes(getattr(node, name), seen)
