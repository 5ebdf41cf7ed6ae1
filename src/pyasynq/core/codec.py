"""Seal payloads and results with the user's codecs, which compress or encrypt, and open them.

A header of the task names the applied codecs. So reading never depends on settings: plain and
sealed tasks may be mixed, and a sealed payload is not sealed again. A result is sealed with the
codecs of its task.
"""

import re
from collections.abc import Iterable, Sequence
from itertools import chain
from typing import Final, Protocol, cast

import msgspec

from pyasynq.core.errors import OptionError
from pyasynq.core.extension_errors import Action, CodecError, Part
from pyasynq.core.info import TaskInfo
from pyasynq.core.message import TaskMessage

HEADER: Final = "pyasynq:codec"
"""Header with the names of the applied codecs in their order, joined by commas."""

LONGEST_NAME: Final = 100
"""Characters of a codec's name that errors show; peers may write names of any length."""

_NAME: Final = re.compile(r"[!-+\--~]+")

_MISSING: Final = "it is not among the codecs given here (codecs=[…])"


class CodecContext(msgspec.Struct, frozen=True, kw_only=True):
    """The task whose payload or result a codec seals or opens.

    These values never change for a task, so a cipher can bind its text to them.

    Attributes:
        type: Type of the task.
        queue: Queue of the task.
        id: Id of the task.
        part: ``payload`` or ``result``.
    """

    type: str
    queue: str
    id: str
    part: Part


class Codec(Protocol):
    """Converts payloads and results to the form in which the broker stores them, and back.

    Both methods are called on the event loop and must not block. They must not depend on earlier
    calls.
    """

    @property
    def name(self) -> str:
        """Name of the codec in the header: ASCII text without spaces and commas."""
        ...

    def seal(self, payload: bytes, context: CodecContext, /) -> bytes:
        """Return *payload* sealed."""
        ...

    def open(self, payload: bytes, context: CodecContext, /) -> bytes:
        """Return the bytes that were sealed to *payload*.

        Raises:
            Exception: If it cannot: a key is missing, or the bytes are not from `seal`.
        """
        ...


class Codecs:
    """The codecs of a client, server or inspector, in the order in which they seal.

    Attributes:
        names: Their names, joined by commas as in the header; empty if there are no codecs.
    """

    __slots__ = ("_by_name", "names")

    def __init__(self, given: Sequence[Codec] = ()) -> None:
        """Use *given*.

        Raises:
            OptionError: If it is not a list of codecs, or two have the same name.
        """
        self._by_name: dict[str, Codec] = _by_name(given)
        self.names: str = ",".join(self._by_name)

    def seal(self, message: TaskMessage) -> int:
        """Seal the payload of *message* in place, unless its headers say that it is sealed.

        Anybody can set such a header, so a payload that is said to be sealed must open.

        Returns:
            Size of the sealed payload and the headers, bytes.

        Raises:
            CodecError: If a codec fails.
        """
        context = _context(message, "payload")
        if names := message.headers.get(HEADER):
            self._open(names, message.payload, context)
        elif self.names:
            message.payload = self._apply("seal", self._by_name, message.payload, context)
            message.headers[HEADER] = self.names
        texts = chain(message.headers.keys(), message.headers.values())
        return len(message.payload) + sum(len(text.encode()) for text in texts)

    def seal_again(self, message: TaskMessage) -> None:
        """Seal the new payload of *message* in place, with the codecs in its headers, if any.

        Raises:
            CodecError: If one of those codecs is missing, or fails.
        """
        if names := message.headers.get(HEADER):
            context = _context(message, "payload")
            message.payload = self._apply("seal", names.split(","), message.payload, context)

    def seal_result(self, message: TaskMessage, result: bytes) -> bytes:
        """Return *result* sealed with the codecs of *message*.

        Raises:
            CodecError: If one of those codecs is missing, or fails.
        """
        names = message.headers[HEADER].split(",")
        return self._apply("seal", names, result, _context(message, "result"))

    def open_message(self, message: TaskMessage) -> TaskMessage:
        """Return a copy of *message* with its payload opened; *message* itself if it is not sealed.

        Raises:
            CodecError: If a codec is missing, or fails.
        """
        names = message.headers.get(HEADER)
        if not names:
            return message
        copy = TaskMessage()
        copy.CopyFrom(message)
        copy.payload = self._open(names, message.payload, _context(message, "payload"))
        del copy.headers[HEADER]
        return copy

    def open_result(self, info: TaskInfo) -> bytes:
        """Return the result of *info*; empty if the task has none.

        Raises:
            CodecError: If a codec is missing, or fails.
        """
        names = info.headers.get(HEADER)
        if not names or info.result is None:
            return info.result or b""
        return self._open(names, info.result, _context(info, "result"))

    def open_info(self, info: TaskInfo) -> TaskInfo:
        """Return *info* opened, or with the names of its codecs if they cannot open it."""
        names = info.headers.get(HEADER)
        if not names:
            return info
        try:
            payload = self._open(names, info.payload, _context(info, "payload"))
            result = None if info.result is None else self.open_result(info)
        except CodecError:
            return msgspec.structs.replace(info, sealed=names)
        headers = {name: text for name, text in info.headers.items() if name != HEADER}
        return msgspec.structs.replace(info, payload=payload, result=result, headers=headers)

    def _open(self, names: str, content: bytes, context: CodecContext) -> bytes:
        return self._apply("open", reversed(names.split(",")), content, context)

    def _apply(
        self, action: Action, names: Iterable[str], content: bytes, context: CodecContext
    ) -> bytes:
        for name in names:
            codec = self._by_name.get(name)
            if codec is None:
                raise _codec_error(name, action, context, _MISSING)
            call = codec.seal if action == "seal" else codec.open
            try:
                content = call(content, context)
            except BaseException as error:  # a plain call raises no cancellation
                if isinstance(error, KeyboardInterrupt):
                    raise
                raise _codec_error(name, action, context, _describe(error)) from error
            if not isinstance(content, bytes):  # pyright: ignore[reportUnnecessaryIsInstance]
                reason = f"it must return bytes, got {type(content).__name__}"
                raise _codec_error(name, action, context, reason)
        return content


def _context(task: TaskMessage | TaskInfo, part: Part) -> CodecContext:
    return CodecContext(type=task.type, queue=task.queue, id=task.id, part=part)


def _describe(error: BaseException) -> str:
    try:
        return f"{type(error).__name__}: {error}"
    except Exception:  # noqa: BLE001 - __str__ is the user's code
        return type(error).__name__


def _codec_error(name: str, action: Action, context: CodecContext, reason: str) -> CodecError:
    name = name if len(name) <= LONGEST_NAME else f"{name[:LONGEST_NAME]}…"
    return CodecError(
        name, action, context.part, queue=context.queue, task_id=context.id, reason=reason
    )


def _by_name(given: object) -> dict[str, Codec]:
    if not isinstance(given, Sequence):  # a generator could be read only once
        raise OptionError("codecs", given, "a list of codecs")
    found: dict[str, Codec] = {}
    for codec in cast("Sequence[object]", given):
        name = _check_codec(codec)
        if name in found:
            raise OptionError("codecs", name, "codecs with different names")
        found[name] = cast("Codec", codec)
    return found


def _check_codec(codec: object) -> str:
    methods = (getattr(codec, "seal", None), getattr(codec, "open", None))
    if isinstance(codec, type) or not all(map(callable, methods)):
        allowed = "objects with name, seal(payload, context) and open(payload, context)"
        raise OptionError("codecs", codec, allowed)
    name = getattr(codec, "name", None)
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        allowed = "named by ASCII text without spaces and commas"
        raise OptionError("codecs", name, allowed)
    return name


NO_CODECS: Final = Codecs()
