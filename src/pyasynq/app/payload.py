"""Convert the arguments of a function to a payload, and back.

Parameters are the keys of a JSON object; a single positional-only parameter is the whole payload.
Types are checked on both sides: arguments are sent only if they come back unchanged. Equal
arguments make equal payloads in every process.
"""

import inspect
import math
from collections.abc import Callable, Mapping
from typing import Any, Final, Protocol, TypeVar, cast, get_type_hints

import msgspec

from pyasynq.app import values
from pyasynq.app.models import dump
from pyasynq.app.parameter_types import may_hold_sets, type_in_json
from pyasynq.app.substitutes import load, normalizer_of
from pyasynq.core.call import StepResult
from pyasynq.core.control import PayloadError, SkipRetry
from pyasynq.core.verdict import error_text
from pyasynq.server import ActiveTask

T = TypeVar("T")

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
    """The parameters of a task function."""

    def __init__(self, type: str, function: Callable[..., object]) -> None:
        """Read the parameters of *function*, which handles *type*.

        Raises:
            TypeError: If it has ``*args`` or ``**kwargs``, other parameters beside one that is the
                whole payload, or types that are unknown or that JSON cannot carry.
        """
        self._type = type
        signature = inspect.signature(function)
        hints = _type_hints(type, function)
        self.returns: object = hints.get("return", Any)
        parameters = list(signature.parameters.values())
        self.active: list[str] = [p.name for p in parameters if hints.get(p.name) is ActiveTask]
        sent = [p for p in parameters if p.name not in self.active]
        self.names: list[str] = [p.name for p in sent]
        self._positional = [p.name for p in parameters if p.kind is p.POSITIONAL_ONLY]
        self._names = [p.name for p in sent if p.kind is not p.POSITIONAL_ONLY]
        self._places = [p.name for p in sent if p.kind is not p.KEYWORD_ONLY]
        self._required = {p.name for p in sent if p.default is _NO_DEFAULT}
        self._sent = signature.replace(parameters=sent, return_annotation=None)
        self._takes = f"({', '.join(p.name for p in sent)})"
        types = {p.name: type_in_json(type, p, hints.get(p.name, Any)) for p in sent}
        self._parameters = sent
        self._types = types
        self._with_sets = [name for name, known in types.items() if may_hold_sets(known)]
        self._normalizers = {p.name: normalizer_of(hints.get(p.name, Any)) for p in sent}
        self._codec = _make_codec(type, sent, types)
        self._partial_codecs: dict[frozenset[str], Codec] = {}

    def payload(self, *args: object, **kwargs: object) -> bytes:
        """Return the payload of a call with these arguments.

        Raises:
            TypeError: If they are not the arguments of the function.
            PayloadError: If an argument is not of its type, or cannot be sent; its cause may be an
                error that a model raised.
        """
        return self._encode(self._bind(args, kwargs), self._codec)

    def partial_payload(
        self, args: tuple[object, ...], kwargs: Mapping[str, object]
    ) -> tuple[bytes, dict[str, StepResult]]:
        """Return the payload of a call without the results of steps among its arguments, and those.

        The given arguments are checked one by one; `complete` adds the results when the step
        begins.

        Raises:
            TypeError: If they are not the arguments of the function.
            PayloadError: See `payload`.
        """
        arguments = self._bind(args, kwargs)
        results = {name: it for name, it in arguments.items() if isinstance(it, StepResult)}
        given = {name: it for name, it in arguments.items() if name not in results}
        if self._positional:
            return b"", results
        return self._encode(given, self._codec_without(frozenset(results))), results

    def complete(self, task: ActiveTask) -> bytes:
        """Return the payload of *task* with the results of the steps that it uses.

        Raises:
            PayloadError: If the payload is no JSON object.
        """
        inputs = task.inputs
        if not inputs:
            return task.payload
        if self._positional:
            return next(iter(inputs.values()))
        try:
            given = msgspec.json.decode(task.payload or b"{}", type=dict[str, msgspec.Raw])
        except msgspec.DecodeError as error:
            raise PayloadError(self._type, _text_of(error)) from error
        results = {name: msgspec.Raw(data) for name, data in inputs.items()}
        return msgspec.json.encode({**given, **results})

    def _codec_without(self, names: frozenset[str]) -> Codec:
        """Return a codec of the other parameters; kept, because it takes long to make."""
        codec = self._partial_codecs.get(names)
        if codec is None:
            sent = [parameter for parameter in self._parameters if parameter.name not in names]
            codec = self._partial_codecs[names] = _make_codec(self._type, sent, self._types)
        return codec

    def _encode(self, arguments: dict[str, object], codec: Codec) -> bytes:
        try:
            sent = self._with_sorted_sets(arguments) if self._with_sets else arguments
            payload = codec.encode(sent)
            back = codec.decode(payload)
            return (
                payload
                if values.is_unchanged(arguments, back)
                else self._payload_after_change(arguments, back, codec)
            )
        except Exception as error:
            raise PayloadError(self._type, _text_of(error)) from error

    def _bind(self, args: tuple[object, ...], kwargs: Mapping[str, object]) -> dict[str, object]:
        """Return the arguments by name, in the order of the parameters."""
        named = dict(zip(self._places, args, strict=False))
        named |= {name: kwargs[name] for name in self._names if name in kwargs}
        if len(named) == len(args) + len(kwargs) and self._required <= named.keys():
            return named
        try:  # slower, but its error says what is wrong
            return self._sent.bind(*args, **kwargs).arguments
        except TypeError as error:
            msg = f"the task {self._type!r} takes {self._takes}: {error}"
            raise TypeError(msg) from None

    def _with_sorted_sets(self, arguments: dict[str, object]) -> dict[str, object]:
        """Return *arguments* with sorted sets; walks only arguments that may hold sets."""
        sets = [name for name in self._with_sets if name in arguments]
        return arguments | {name: _sort_sets(arguments[name]) for name in sets}

    def _payload_after_change(
        self, arguments: Mapping[str, object], back: Mapping[str, object], codec: Codec
    ) -> bytes:
        """Return the payload of *arguments*, some of which came *back* different.

        Raises:
            ValueError: If a difference is a loss.
        """
        for name, value in arguments.items():
            reason = _find_change(self._normalizers[name](value), back[name], name)
            if reason:
                raise ValueError(reason)
        # A list may have come back as a set, or a set as a list.
        sets = [name for name in self._with_sets if name in arguments]
        declared = {name: _restore_sets(arguments[name], back[name]) for name in sets}
        return codec.encode(_sort_sets({**arguments, **declared}))

    def arguments(self, payload: bytes) -> dict[str, object]:
        """Return the arguments in *payload* by name.

        Raises:
            PayloadError: If the payload does not fit; the error names the field.
        """
        try:
            return self._codec.decode(payload)
        except (TypeError, ValueError, RecursionError) as error:
            raise PayloadError(self._type, _text_of(error)) from error

    def rewrite(self, payload: bytes) -> bytes:
        """Return *payload* as `payload` writes it: equal arguments have equal locks.

        Raises:
            PayloadError: If it does not fit; it names the field.
        """
        arguments = self.arguments(payload)
        if self._positional:
            return self.payload(*arguments.values())
        given = msgspec.json.decode(payload or b"{}", type=dict[str, msgspec.Raw])
        if unknown := given.keys() - arguments.keys():
            reason = f"there is no parameter {min(unknown)!r}: the task takes {self._takes}"
            raise PayloadError(self._type, reason)
        return self.payload(**{name: arguments[name] for name in given})

    def call(self, task: ActiveTask) -> tuple[list[object], dict[str, object]]:
        """Return positional and keyword arguments for the function that runs *task*.

        Raises:
            PayloadError: If the payload does not fit; the error names the field.
        """
        return self.bind_payload(self.complete(task), task)

    def bind_payload(
        self, payload: bytes, task: ActiveTask | None = None
    ) -> tuple[list[object], dict[str, object]]:
        """Like `call`, for a *payload*; *task* is only for functions that take an `ActiveTask`."""
        arguments = self.arguments(payload)
        arguments |= dict.fromkeys(self.active, task)
        positional = [arguments.pop(name) for name in self._positional if name in arguments]
        return positional, arguments


def encode_result(type: str, value: object) -> bytes:
    """Return the JSON of *value*, the result of a task of *type*.

    Raises:
        SkipRetry: If it has no JSON; the work is done, so the task must not run again.
    """
    try:
        data = _encode_json(value)
        return data if _is_plain(value, data) else _encode_json(_sort_sets(value))
    except Exception as error:
        reason = f"{type!r} is done, but its result cannot be stored: {_text_of(error)}"
        raise SkipRetry(reason) from error


def _type_hints(type: str, function: Callable[..., object]) -> dict[str, Any]:
    try:
        return get_type_hints(function, include_extras=True)
    except NameError as error:
        msg = f"the task {type!r}: {error}; import the types of its parameters at run time, too"
        raise TypeError(msg) from error


def _make_codec(type: str, sent: list[inspect.Parameter], types: Mapping[str, Any]) -> Codec:
    whole = [p for p in sent if p.kind is p.POSITIONAL_ONLY]
    if whole and len(sent) > 1:
        msg = (
            f"the task {type!r} takes more than {whole[0].name!r}: a positional-only parameter is "
            "the whole payload, so it must be the only one; move or remove the /"
        )
        raise TypeError(msg)
    if whole:
        name = sent[0].name
        return _Whole(name, types[name], sent[0].default)
    return _Fields(type, sent, types)


class _Fields:
    """Parameters as the keys of a JSON object."""

    def __init__(self, type: str, sent: list[inspect.Parameter], types: Mapping[str, Any]) -> None:
        fields: list[tuple[str, Any] | tuple[str, Any, Any]] = [
            (p.name, types[p.name])
            if p.default is _NO_DEFAULT
            else (p.name, types[p.name], msgspec.field(default_factory=_factory_of(p.default)))
            for p in sent
        ]
        name = "".join(c if c.isalnum() else "_" for c in type)
        self._names = [p.name for p in sent]
        self._decoder = msgspec.json.Decoder(
            msgspec.defstruct(f"Payload_{name}", fields, kw_only=True), dec_hook=load
        )

    def encode(self, arguments: Mapping[str, object]) -> bytes:
        return _encode_finite_json(arguments)

    def decode(self, payload: bytes) -> dict[str, object]:
        decoded = self._decoder.decode(payload or b"{}")
        return {name: getattr(decoded, name) for name in self._names}


class _Whole:
    """One parameter as the whole payload; bytes are sent unchanged."""

    def __init__(self, name: str, type: Any, default: object) -> None:  # noqa: ANN401 - any type
        self._name = name
        self._default = default
        self._raw = type is bytes
        self._decoder: msgspec.json.Decoder[object] = msgspec.json.Decoder(type, dec_hook=load)

    def encode(self, arguments: Mapping[str, object]) -> bytes:
        value = arguments.get(self._name, self._default)
        if self._raw:
            if not isinstance(value, bytes):
                msg = f"Expected `bytes`, got `{type(value).__name__}` - at `{self._name}`"
                raise TypeError(msg)
            return value
        return _encode_finite_json(value)

    def decode(self, payload: bytes) -> dict[str, object]:
        return {self._name: payload if self._raw else self._decoder.decode(payload)}


def _text_of(error: Exception) -> str:
    """Return the text of *error*, with the name of its class unless it is about a value."""
    return str(error) if isinstance(error, TypeError | ValueError) else error_text(error)


def _encode_json(value: object) -> bytes:
    return msgspec.json.encode(value, enc_hook=dump)


def _is_plain(value: object, data: bytes) -> bool:
    """Tell whether *value*, whose JSON is *data*, has only JSON's own types, and so no sets.

    Decoding *data* is much faster than walking through *value*.
    """
    try:
        return values.is_unchanged({"": value}, {"": msgspec.json.decode(data)})
    except (msgspec.DecodeError, RecursionError):
        return False


def _restore_sets(given: T, back: object) -> T:
    try:
        return cast("T", values.restore_sets(given, back))
    except RecursionError:
        return given  # as in `_sort_sets`


def _sort_sets(value: T) -> T:
    try:
        return cast("T", values.sort_sets(value, _encode_json))
    except RecursionError:
        return value  # msgspec refuses it if it contains itself; a deep value is sent unsorted


def _find_change(given: object, back: object, name: str) -> str | None:
    try:
        return values.find_change(given, back, f"$.{name}")
    except RecursionError:
        return None  # too deep to compare


def _encode_finite_json(value: object) -> bytes:
    """Return the JSON of *value*.

    Raises:
        ValueError: If a float in it is infinite or NaN, which JSON can only write as ``null``.
    """
    data = _encode_json(value)
    if b"null" in data:
        _check_finite(msgspec.to_builtins(value, enc_hook=dump))
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


def _factory_of(value: object) -> Callable[[], object]:
    """Return a factory of *value*; msgspec refuses mutable defaults, Python shares them."""
    return lambda: value
