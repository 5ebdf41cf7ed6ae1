"""Types that msgspec would read without pydantic's checks, and the stand-ins that pydantic reads.

They are pydantic's dataclasses, ``Annotated`` with its constraints, and unions with a model. Of
pydantic nothing is imported: where one of its types is, it is loaded.
"""

import dataclasses
import sys
import types
from collections.abc import Callable, Mapping
from typing import (
    Annotated,
    Any,
    ClassVar,
    Final,
    Literal,
    NotRequired,
    Required,
    TypeVar,
    Union,
    cast,
    get_args,
    get_origin,
    get_type_hints,
)

import msgspec

from pyasynq.app import models

_CODECS: Final = {"Json", "EncodedBytes", "EncodedStr"}
"""Annotations that say how text becomes a value: JSON has no text there, msgspec read the value."""

_MISSING: Final = object()


class _Anything(type):
    """The class of stand-ins: msgspec asks them whether what was loaded is one of theirs."""

    def __instancecheck__(cls, instance: object) -> bool:
        """Leave that to who loaded it."""
        return True


class StandIn(metaclass=_Anything):
    """A type that msgspec does not know, in place of one that pydantic must read or check.

    Attributes:
        load: Makes the value of what the JSON holds.
        parts: Types that msgspec reads within.
    """

    load: ClassVar[Callable[[object], object]]
    parts: ClassVar[tuple[Any, ...]] = ()


def load(kind: type, value: object) -> object:
    """Return *value*, which was JSON, as a *kind*, if that is a stand-in or a class of models.

    Raises:
        TypeError: If it is neither.
        ValueError: If the value does not fit.
    """
    return kind.load(value) if issubclass(kind, StandIn) else models.load(kind, value)


def adapted(hint: Any) -> Any:  # noqa: ANN401 - any type
    """Return *hint* with a stand-in for each part of it that pydantic must read or check.

    Raises:
        TypeError: If pydantic cannot.
    """
    return _Adapted().of(hint) if _pydantic() else hint


def normal(hint: Any) -> Callable[[object], object]:  # noqa: ANN401 - any type
    """Return what makes of a value what the checks within *hint* make of it.

    Where there are none, or pydantic does not know all of it, that is the value itself.
    """
    if not _pydantic() or not _needs(hint, set()):
        return _itself
    try:
        return cast("Callable[[object], object]", _type_adapter(hint).validate_python)
    except TypeError:
        return _itself


def _itself(value: object) -> object:
    return value


def _pydantic() -> Any:  # noqa: ANN401 - a module
    """Return pydantic, if it is loaded, and new enough to have what this module asks for."""
    module = sys.modules.get("pydantic")
    return module if hasattr(module, "TypeAdapter") else None


class _Adapted:
    """Stand-ins of one hint; a class that holds itself has one."""

    def __init__(self) -> None:
        self._known: dict[tuple[type, str], type[StandIn]] = {}

    def of(self, hint: Any) -> Any:  # noqa: ANN401 - any type
        if not _needs(hint, set()):
            return hint
        hint, metadata = _bare(hint)
        checks = [m for m in metadata if _is_check(m)]
        others = [m for m in metadata if not _is_check(m)]
        if _is_choice(hint):
            return _read(_annotated(hint, metadata))
        inner = _annotated(self._within(hint), others)
        return _checked(_annotated(hint, checks), inner) if checks else inner

    def _within(self, hint: Any) -> Any:  # noqa: ANN401 - any type
        """Return *hint*, which has no metadata, with its parts adapted."""
        if not _needs(hint, set()):
            return hint
        kind = get_origin(hint) or hint
        if _has_fields(kind):
            key = (kind, repr(get_args(hint)))
            if key not in self._known:
                self._known[key] = stand_in = _stand_in(hint)
                self._mirror(stand_in, hint)
            return self._known[key]
        parts = tuple(self.of(part) for part in get_args(hint))
        return Union[parts] if _is_union(hint) else kind[parts]  # noqa: UP007 - made at run time

    def _mirror(self, stand_in: type[StandIn], hint: Any) -> None:  # noqa: ANN401 - any type
        """Let *stand_in* read the fields of a class by themselves, then have it made of them."""
        kind: Any = get_origin(hint) or hint
        stand_in.parts = parts = tuple(map(self.of, _field_types(hint).values()))
        names = _json_names(kind)
        required = getattr(kind, "__required_keys__", ())
        fields = [
            (name, part, msgspec.field(name=names[name]))
            if name in required
            else (name, part, msgspec.field(name=names[name], default_factory=lambda: _MISSING))
            for name, part in zip(names, parts, strict=True)
        ]
        mirror = msgspec.defstruct(kind.__name__, fields, kw_only=True, **_config(kind))
        make = _maker(hint)

        def read(value: object) -> object:
            found = msgspec.convert(value, mirror, dec_hook=load, str_keys=True)
            pairs = ((name, getattr(found, name)) for name in names)
            return make({name: value for name, value in pairs if value is not _MISSING})

        stand_in.load = staticmethod(read)


def _needs(hint: Any, seen: set[Any]) -> bool:  # noqa: ANN401 - any type
    """Tell whether a part of *hint* must have a stand-in."""
    hint, metadata = _bare(hint)
    if any(map(_is_check, metadata)) or _is_choice(hint):
        return True
    kind = get_origin(hint) or hint
    if _has_fields(kind):
        return _is_pydantic_dataclass(kind) or _field_needs(hint, seen)
    return kind is not Literal and any(_needs(part, seen) for part in get_args(hint))


def _field_needs(hint: Any, seen: set[Any]) -> bool:  # noqa: ANN401 - any type
    kind = get_origin(hint) or hint
    if kind in seen:
        return False
    seen.add(kind)
    try:
        return any(_needs(part, seen) for part in _field_types(hint).values())
    except NameError:
        return False  # msgspec says so, if it does not find the name either


def _bare(hint: Any) -> tuple[Any, list[Any]]:  # noqa: ANN401 - any type
    """Return *hint* without its other names and its metadata, and these."""
    metadata: list[Any] = []
    while True:
        if get_origin(hint) is Annotated:
            metadata = [*hint.__metadata__, *metadata]
            hint = hint.__origin__
        elif hasattr(hint, "__supertype__"):
            hint = hint.__supertype__
        elif type(hint).__name__ == "TypeAliasType":
            hint = hint.__value__
        else:
            return hint, metadata


def _annotated(hint: Any, metadata: list[Any]) -> Any:  # noqa: ANN401 - any type
    return Annotated[(hint, *metadata)] if metadata else hint


def _is_check(metadata: object) -> bool:
    """Tell whether *metadata* changes what pydantic takes, or what it makes of it."""
    kind = metadata if isinstance(metadata, type) else type(metadata)
    if kind.__name__ in _CODECS:
        return False
    if kind.__name__ == "FieldInfo":
        field: Any = metadata
        return bool(field.metadata or field.discriminator)
    return kind.__module__.partition(".")[0] in {"pydantic", "annotated_types"} or hasattr(
        metadata, "__get_pydantic_core_schema__"
    )


def _is_union(hint: object) -> bool:
    return get_origin(hint) in {Union, types.UnionType}


def _is_choice(hint: object) -> bool:
    """Tell whether *hint* is a union that msgspec cannot read, or not as pydantic does."""
    parts = [part for part in get_args(hint) if part is not type(None)]
    return _is_union(hint) and len(parts) > 1 and any(_is_ours(part) for part in parts)


def _is_ours(hint: Any) -> bool:  # noqa: ANN401 - any type
    bare, metadata = _bare(hint)
    if any(map(_is_check, metadata)):
        return True
    return isinstance(bare, type) and (models.is_model(bare) or _needs(bare, set()))


def _has_fields(kind: object) -> bool:
    """Tell whether msgspec reads a *kind* field by field."""
    if not isinstance(kind, type):
        return False
    of: Any = kind
    if dataclasses.is_dataclass(of) or hasattr(of, "__required_keys__"):  # a TypedDict
        return True
    return issubclass(of, msgspec.Struct) or (hasattr(of, "_fields") and issubclass(of, tuple))


def _is_pydantic_dataclass(kind: type) -> bool:
    return dataclasses.is_dataclass(kind) and "__pydantic_validator__" in vars(kind)


def _json_names(kind: Any) -> dict[str, str]:  # noqa: ANN401 - a class with fields
    """Return the fields with which a *kind* is made, and their names in JSON."""
    if issubclass(kind, msgspec.Struct):
        return dict(zip(kind.__struct_fields__, kind.__struct_encode_fields__, strict=True))
    if dataclasses.is_dataclass(kind):
        names = [field.name for field in dataclasses.fields(kind) if field.init]
    else:
        names = list(getattr(kind, "_fields", kind.__annotations__))
    return {name: name for name in names}


def _field_types(hint: Any) -> dict[str, Any]:  # noqa: ANN401 - any type
    """Return the types of the fields of *hint*, a class or one with its parameters filled in."""
    kind: Any = get_origin(hint) or hint
    hints = get_type_hints(kind, localns={kind.__name__: kind}, include_extras=True)
    filled = dict(zip(getattr(kind, "__parameters__", ()), get_args(hint), strict=False))
    return {name: _filled(_unqualified(hints[name]), filled) for name in _json_names(kind)}


def _unqualified(hint: Any) -> Any:  # noqa: ANN401 - any type
    """Return the type itself, of which a qualifier says how a class holds it."""
    qualified = get_origin(hint) in {Required, NotRequired, Final}
    return _unqualified(get_args(hint)[0]) if qualified else hint


def _filled(hint: Any, filled: Mapping[Any, Any]) -> Any:  # noqa: ANN401 - any type
    if isinstance(hint, TypeVar):
        return filled.get(hint, hint)
    open_ones = getattr(hint, "__parameters__", ())
    return hint[tuple(filled.get(one, Any) for one in open_ones)] if open_ones and filled else hint


def _config(kind: Any) -> dict[str, Any]:  # noqa: ANN401 - a class with fields
    if issubclass(kind, msgspec.Struct):
        config = kind.__struct_config__
        names = ("tag", "tag_field", "array_like", "forbid_unknown_fields")
        return {name: getattr(config, name) for name in names}
    return {"array_like": issubclass(kind, tuple)}


def _maker(hint: Any) -> Callable[[dict[str, Any]], object]:  # noqa: ANN401 - any type
    """Return what makes a value of *hint* of its fields."""
    kind: Any = get_origin(hint) or hint
    if not _is_pydantic_dataclass(kind):
        return lambda values: kind(**values)
    validate = _type_adapter(hint).validate_python
    by_name = models.by_names(validate)
    return lambda values: validate(values, **by_name)


def _stand_in(hint: Any) -> type[StandIn]:  # noqa: ANN401 - any type
    return type(getattr(hint, "__name__", str(hint)), (StandIn,), {})


def _read(hint: Any) -> type[StandIn]:  # noqa: ANN401 - any type
    """Return a stand-in for *hint*, which pydantic reads from JSON."""
    stand_in, adapter = _stand_in(hint), _type_adapter(hint)
    refusal = models.refusal_of(list(models.nodes_of(adapter.core_schema)), adapter.core_schema)
    if refusal:
        msg = f"JSON cannot carry a part of it: {refusal}"
        raise TypeError(msg)
    by_name: dict[str, bool] = {}
    for node in models.nodes_of(adapter.core_schema):
        if node.get("type") == "model":
            by_name |= models.way_of(node["cls"]).load

    def read(value: object) -> object:
        return cast("object", adapter.validate_json(msgspec.json.encode(value), **by_name))

    stand_in.load = staticmethod(read)
    return stand_in


def _checked(hint: Any, inner: Any) -> type[StandIn]:  # noqa: ANN401 - any type
    """Return a stand-in for *hint*, which msgspec reads as *inner* and pydantic checks."""
    stand_in, adapter = _stand_in(hint), _type_adapter(hint)
    stand_in.parts = (inner,)

    def read(value: object) -> object:
        found = msgspec.convert(value, inner, dec_hook=load, str_keys=True)
        return cast("object", adapter.validate_python(found))

    stand_in.load = staticmethod(read)
    return stand_in


def _type_adapter(hint: Any) -> Any:  # noqa: ANN401 - pydantic's
    """Return what reads and checks *hint*; of types that are not pydantic's it checks the class.

    Raises:
        TypeError: If pydantic cannot.
    """
    pydantic = _pydantic()
    for config in (None, {"arbitrary_types_allowed": True}):
        try:
            return pydantic.TypeAdapter(hint, config=config)
        except (TypeError, pydantic.errors.PydanticUserError) as error:
            reason = error
    msg = f"pydantic cannot check it: {str(reason).splitlines()[0]}"
    raise TypeError(msg) from reason
