"""A function's parameters as a payload, and back.

Parameters become the keys of a JSON object; a single positional-only parameter takes the whole
payload. Types are checked on both sides: nothing goes out that could not come in again.
"""

import inspect
import math
from collections.abc import Callable, Mapping
from typing import Any, Final, Protocol, cast, get_type_hints

import msgspec

from pyasynq.errors import PayloadError, SkipRetry
from pyasynq.server import ActiveTask
from pyasynq.settle import error_text

_NO_DEFAULT: Final = inspect.Parameter.empty


class Codec(Protocol):
    """Turns the arguments of a call into bytes and back."""

    def encode(self, arguments: Mapping[str, object]) -> bytes:
        """Return the payload."""
        ...

    def decode(self, payload: bytes) -> dict[str, object]:
        """Return the arguments by name."""
        ...


class Signature:
    """What a task function takes."""

    def __init__(self, type: str, function: Callable[..., object]) -> None:
        """Read the parameters of *function*, which handles *type*.

        Raises:
            TypeError: If it has ``*args`` or ``**kwargs``, or types that JSON cannot carry.
        """
        self._type = type
        signature = inspect.signature(function)
        hints = get_type_hints(function, include_extras=True)
        parameters = list(signature.parameters.values())
        self.active = [p.name for p in parameters if hints.get(p.name) is ActiveTask]
        sent = [p for p in parameters if p.name not in self.active]
        self._positional = [p.name for p in parameters if p.kind is p.POSITIONAL_ONLY]
        self._sent = signature.replace(parameters=sent, return_annotation=None)
        self._codec = _codec(type, sent, hints)

    def payload(self, *args: object, **kwargs: object) -> bytes:
        """Return the payload of a call with these arguments.

        Raises:
            TypeError: If they are not the arguments of the function.
            PayloadError: If one is not of its type, or cannot be sent; its cause may be an error
                of a model's own.
        """
        arguments = self._sent.bind(*args, **kwargs).arguments
        try:
            payload = self._codec.encode(arguments)
            self._codec.decode(payload)
        except Exception as error:
            raise PayloadError(self._type, _reason(error)) from error
        return payload

    def arguments(self, payload: bytes) -> dict[str, object]:
        """Return the arguments by name that *payload* holds.

        Raises:
            PayloadError: If it does not fit; it names the field.
        """
        try:
            return self._codec.decode(payload)
        except (TypeError, ValueError, RecursionError) as error:
            raise PayloadError(self._type, _reason(error)) from error

    def call(self, task: ActiveTask) -> tuple[list[object], dict[str, object]]:
        """Return positional and keyword arguments for the function that runs *task*.

        Raises:
            PayloadError: If the payload does not fit; it names the field.
        """
        arguments = self.arguments(task.payload)
        arguments |= dict.fromkeys(self.active, task)
        positional = [arguments.pop(name) for name in self._positional if name in arguments]
        return positional, arguments


def encode_result(type: str, value: object) -> bytes:
    """Return the JSON of what a task of *type* returned.

    Raises:
        SkipRetry: If it has none; the work is done, so the task must not run again.
    """
    try:
        return msgspec.json.encode(value, enc_hook=_to_json)
    except Exception as error:
        reason = f"{type!r} is done, but its result cannot be stored: {_reason(error)}"
        raise SkipRetry(reason) from error


def _codec(type: str, sent: list[inspect.Parameter], hints: Mapping[str, Any]) -> Codec:
    for parameter in sent:
        if parameter.kind in {parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD}:
            msg = f"the task {type!r} takes {parameter}: name its parameters, they become JSON keys"
            raise TypeError(msg)
    if len(sent) == 1 and sent[0].kind is sent[0].POSITIONAL_ONLY:
        name = sent[0].name
        return _Whole(name, hints.get(name, Any), sent[0].default)
    return _Fields(type, sent, hints)


class _Fields:
    """Parameters as the keys of a JSON object."""

    def __init__(self, type: str, sent: list[inspect.Parameter], hints: Mapping[str, Any]) -> None:
        fields: list[tuple[str, Any] | tuple[str, Any, Any]] = [
            (p.name, hints.get(p.name, Any))
            if p.default is _NO_DEFAULT
            else (p.name, hints.get(p.name, Any), msgspec.field(default_factory=_always(p.default)))
            for p in sent
        ]
        name = "".join(c if c.isalnum() else "_" for c in type)
        self._names = [p.name for p in sent]
        self._decoder = msgspec.json.Decoder(
            msgspec.defstruct(f"Payload_{name}", fields, kw_only=True), dec_hook=_from_json
        )

    def encode(self, arguments: Mapping[str, object]) -> bytes:
        return _finite_json(arguments)

    def decode(self, payload: bytes) -> dict[str, object]:
        values = self._decoder.decode(payload or b"{}")
        return {name: getattr(values, name) for name in self._names}


class _Whole:
    """One parameter as the whole payload; bytes stay what they are."""

    def __init__(self, name: str, type: Any, default: object) -> None:  # noqa: ANN401 - any type
        self._name = name
        self._default = default
        self._raw = type is bytes
        self._decoder: msgspec.json.Decoder[object] = msgspec.json.Decoder(
            type, dec_hook=_from_json
        )

    def encode(self, arguments: Mapping[str, object]) -> bytes:
        value = arguments.get(self._name, self._default)
        if self._raw:
            if not isinstance(value, bytes):
                msg = f"Expected `bytes`, got `{type(value).__name__}` - at `{self._name}`"
                raise TypeError(msg)
            return value
        return _finite_json(value)

    def decode(self, payload: bytes) -> dict[str, object]:
        return {self._name: payload if self._raw else self._decoder.decode(payload)}


def _reason(error: Exception) -> str:
    """Return what *error* says; where its class does not speak of values, with its name."""
    return str(error) if isinstance(error, TypeError | ValueError) else error_text(error)


def _finite_json(value: object) -> bytes:
    """Return the JSON of *value*.

    Raises:
        ValueError: If a float in it is infinite or not a number, for which JSON has ``null`` alone.
    """
    data = msgspec.json.encode(value, enc_hook=_to_json)
    if b"null" in data:
        _check_finite(msgspec.to_builtins(value, enc_hook=_to_json))
    return data


def _check_finite(value: object) -> None:
    waiting: list[tuple[str, object]] = [("$", value)]
    while waiting:
        path, found = waiting.pop()
        if isinstance(found, float) and not math.isfinite(found):
            msg = f"Expected a finite `float`, got `{found}` - at `{path}`"
            raise ValueError(msg)
        if isinstance(found, dict):
            fields = cast("dict[object, object]", found).items()
            waiting += [(f"{path}.{name}", member) for name, member in fields]
        elif isinstance(found, list | tuple):
            members = enumerate(cast("list[object]", found))
            waiting += [(f"{path}[{n}]", member) for n, member in members]


def _always(value: object) -> Callable[[], object]:
    """Return a factory of *value*; msgspec refuses mutable defaults, a function shares its own."""
    return lambda: value


def _to_json(value: object) -> object:
    """Return what stands for *value* in JSON, if it is a pydantic model."""
    dump = getattr(value, "model_dump", None)
    if dump is None:
        msg = f"{type(value).__name__} cannot be sent as JSON"
        raise TypeError(msg)
    return cast("object", dump(mode="json"))


def _from_json(kind: type, value: object) -> object:
    """Return *value* as a *kind*, if that is a pydantic model."""
    validate = getattr(kind, "model_validate", None)
    if validate is None:
        msg = f"{kind.__name__} cannot come from JSON"
        raise TypeError(msg)
    return cast("object", validate(value))
