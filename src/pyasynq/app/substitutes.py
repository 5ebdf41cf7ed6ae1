"""Substitutes for types that msgspec would read without pydantic's checks.

Such types are pydantic's dataclasses, ``Annotated`` with its constraints, and unions with a model.
This module does not import pydantic: if one of its types is used, it is imported already.
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
"""Annotations that decode text to a value; msgspec has decoded the value itself."""

_MISSING: Final = object()


class _Anything(type):
    """The class of substitutes: msgspec asks them whether a loaded value is an instance."""

    def __instancecheck__(cls, instance: object) -> bool:
        """Accept any value: the code that loaded it has checked it."""
        return True


class Substitute(metaclass=_Anything):
    """A type that msgspec does not know, in place of a type that pydantic must read or check.

    Attributes:
        load: Makes the value from decoded JSON.
        parts: Types of its parts that msgspec reads.
    """

    load: ClassVar[Callable[[object], object]]
    parts: ClassVar[tuple[Any, ...]] = ()


def load(kind: type, value: object) -> object:
    """Return *value*, decoded JSON, as a *kind*, which is a substitute or a class of models.

    Raises:
        TypeError: If *kind* is neither.
        ValueError: If the value does not fit.
    """
    return kind.load(value) if issubclass(kind, Substitute) else models.load(kind, value)


def substitute_types(hint: Any) -> Any:  # noqa: ANN401 - any type
    """Return *hint* with a substitute for each part that pydantic must read or check.

    Raises:
        TypeError: If pydantic cannot read or check it.
    """
    return _Substitutes().of(hint) if _loaded_pydantic() else hint


def normalizer_of(hint: Any) -> Callable[[object], object]:  # noqa: ANN401 - any type
    """Return a function that applies the checks in *hint* to a value, which may change the value.

    If there are no checks, or pydantic does not know all types in *hint*, it returns the value.
    """
    if not _loaded_pydantic() or not _needs_substitute(hint, set()):
        return _identity
    try:
        return cast("Callable[[object], object]", _type_adapter(hint).validate_python)
    except TypeError:
        return _identity


def _identity(value: object) -> object:
    return value


def _loaded_pydantic() -> Any:  # noqa: ANN401 - a module
    """Return pydantic if it is imported and new enough, else None."""
    module = sys.modules.get("pydantic")
    return module if hasattr(module, "TypeAdapter") else None


class _Substitutes:
    """The substitutes for one hint; a class that contains itself has only one."""

    def __init__(self) -> None:
        self._known: dict[tuple[type, str], type[Substitute]] = {}

    def of(self, hint: Any) -> Any:  # noqa: ANN401 - any type
        if not _needs_substitute(hint, set()):
            return hint
        hint, metadata = _strip(hint)
        checks = [m for m in metadata if _is_check(m)]
        others = [m for m in metadata if not _is_check(m)]
        if _is_model_union(hint):
            return _read_by_pydantic(_annotate(hint, metadata))
        inner = _annotate(self._within(hint), others)
        return _check_by_pydantic(_annotate(hint, checks), inner) if checks else inner

    def _within(self, hint: Any) -> Any:  # noqa: ANN401 - any type
        """Return *hint*, which has no metadata, with substitutes for its parts."""
        if not _needs_substitute(hint, set()):
            return hint
        kind = get_origin(hint) or hint
        if _has_fields(kind):
            key = (kind, repr(get_args(hint)))
            if key not in self._known:
                self._known[key] = substitute = _new_substitute(hint)
                self._mirror(substitute, hint)
            return self._known[key]
        parts = tuple(self.of(part) for part in get_args(hint))
        return Union[parts] if _is_union(hint) else kind[parts]  # noqa: UP007 - made at run time

    def _mirror(self, substitute: type[Substitute], hint: Any) -> None:  # noqa: ANN401 - any type
        """Let *substitute* read the fields of a class one by one, then make an instance of them."""
        kind: Any = get_origin(hint) or hint
        substitute.parts = parts = tuple(map(self.of, _field_types(hint).values()))
        names = _json_names(kind)
        required = getattr(kind, "__required_keys__", ())
        fields = [
            (name, part, msgspec.field(name=names[name]))
            if name in required
            else (name, part, msgspec.field(name=names[name], default_factory=lambda: _MISSING))
            for name, part in zip(names, parts, strict=True)
        ]
        mirror = msgspec.defstruct(kind.__name__, fields, kw_only=True, **_config(kind))
        make = _maker_of(hint)

        def read(value: object) -> object:
            found = msgspec.convert(value, mirror, dec_hook=load, str_keys=True)
            pairs = ((name, getattr(found, name)) for name in names)
            return make({name: value for name, value in pairs if value is not _MISSING})

        substitute.load = staticmethod(read)


def _needs_substitute(hint: Any, seen: set[Any]) -> bool:  # noqa: ANN401 - any type
    """Tell whether a part of *hint* needs a substitute."""
    hint, metadata = _strip(hint)
    if any(map(_is_check, metadata)) or _is_model_union(hint):
        return True
    kind = get_origin(hint) or hint
    if _has_fields(kind):
        return _is_pydantic_dataclass(kind) or _any_field_needs_substitute(hint, seen)
    return kind is not Literal and any(_needs_substitute(part, seen) for part in get_args(hint))


def _any_field_needs_substitute(hint: Any, seen: set[Any]) -> bool:  # noqa: ANN401 - any type
    kind = get_origin(hint) or hint
    if kind in seen:
        return False
    seen.add(kind)
    try:
        return any(_needs_substitute(part, seen) for part in _field_types(hint).values())
    except NameError:
        return False  # if msgspec does not find the name either, it raises


def _strip(hint: Any) -> tuple[Any, list[Any]]:  # noqa: ANN401 - any type
    """Return *hint* without aliases and metadata, and its metadata."""
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


def _annotate(hint: Any, metadata: list[Any]) -> Any:  # noqa: ANN401 - any type
    return Annotated[(hint, *metadata)] if metadata else hint


def _is_check(metadata: object) -> bool:
    """Tell whether *metadata* changes which values pydantic accepts, or what it returns."""
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


def _is_model_union(hint: object) -> bool:
    """Tell whether *hint* is a union that msgspec cannot read as pydantic does."""
    parts = [part for part in get_args(hint) if part is not type(None)]
    return _is_union(hint) and len(parts) > 1 and any(_is_for_pydantic(part) for part in parts)


def _is_for_pydantic(hint: Any) -> bool:  # noqa: ANN401 - any type
    bare, metadata = _strip(hint)
    if any(map(_is_check, metadata)):
        return True
    return isinstance(bare, type) and (models.is_model(bare) or _needs_substitute(bare, set()))


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
    """Return the fields of the constructor of *kind*, and their names in JSON."""
    if issubclass(kind, msgspec.Struct):
        return dict(zip(kind.__struct_fields__, kind.__struct_encode_fields__, strict=True))
    if dataclasses.is_dataclass(kind):
        names = [field.name for field in dataclasses.fields(kind) if field.init]
    else:
        names = list(getattr(kind, "_fields", kind.__annotations__))
    return {name: name for name in names}


def _field_types(hint: Any) -> dict[str, Any]:  # noqa: ANN401 - any type
    """Return the types of the fields of *hint*, a class or a generic class with arguments."""
    kind: Any = get_origin(hint) or hint
    hints = get_type_hints(kind, localns={kind.__name__: kind}, include_extras=True)
    filled = dict(zip(getattr(kind, "__parameters__", ()), get_args(hint), strict=False))
    return {name: _fill_in(_strip_qualifiers(hints[name]), filled) for name in _json_names(kind)}


def _strip_qualifiers(hint: Any) -> Any:  # noqa: ANN401 - any type
    """Return *hint* without qualifiers such as ``Final`` and ``Required``."""
    qualified = get_origin(hint) in {Required, NotRequired, Final}
    return _strip_qualifiers(get_args(hint)[0]) if qualified else hint


def _fill_in(hint: Any, filled: Mapping[Any, Any]) -> Any:  # noqa: ANN401 - any type
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


def _maker_of(hint: Any) -> Callable[[dict[str, Any]], object]:  # noqa: ANN401 - any type
    """Return a function that makes a value of *hint* from its fields."""
    kind: Any = get_origin(hint) or hint
    if not _is_pydantic_dataclass(kind):
        return lambda values: kind(**values)
    validate = _type_adapter(hint).validate_python
    by_name = models.name_keywords(validate)
    return lambda values: validate(values, **by_name)


def _new_substitute(hint: Any) -> type[Substitute]:  # noqa: ANN401 - any type
    return type(getattr(hint, "__name__", str(hint)), (Substitute,), {})


def _read_by_pydantic(hint: Any) -> type[Substitute]:  # noqa: ANN401 - any type
    """Return a substitute for *hint* that pydantic reads from JSON."""
    substitute, adapter = _new_substitute(hint), _type_adapter(hint)
    refusal = models.refusal_of(list(models.nodes_of(adapter.core_schema)), adapter.core_schema)
    if refusal:
        msg = f"JSON cannot carry a part of it: {refusal}"
        raise TypeError(msg)
    by_name: dict[str, bool] = {}
    for node in models.nodes_of(adapter.core_schema):
        if node.get("type") == "model":
            by_name |= models.json_settings_of(node["cls"]).load

    def read(value: object) -> object:
        return cast("object", adapter.validate_json(msgspec.json.encode(value), **by_name))

    substitute.load = staticmethod(read)
    return substitute


def _check_by_pydantic(hint: Any, inner: Any) -> type[Substitute]:  # noqa: ANN401 - any type
    """Return a substitute for *hint* that msgspec reads as *inner* and pydantic checks."""
    substitute, adapter = _new_substitute(hint), _type_adapter(hint)
    substitute.parts = (inner,)

    def read(value: object) -> object:
        found = msgspec.convert(value, inner, dec_hook=load, str_keys=True)
        return cast("object", adapter.validate_python(found))

    substitute.load = staticmethod(read)
    return substitute


def _type_adapter(hint: Any) -> Any:  # noqa: ANN401 - pydantic's
    """Return pydantic's adapter for *hint*; of foreign types it checks only the class.

    Raises:
        TypeError: If pydantic cannot make one.
    """
    pydantic = _loaded_pydantic()
    for config in (None, {"arbitrary_types_allowed": True}):
        try:
            return pydantic.TypeAdapter(hint, config=config)
        except (TypeError, pydantic.errors.PydanticUserError) as error:
            reason = error
    msg = f"pydantic cannot check it: {str(reason).splitlines()[0]}"
    raise TypeError(msg) from reason
