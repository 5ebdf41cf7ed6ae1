"""Payloads and results as they travel: sealed by the user's codecs, which compress or encrypt.

Which codecs were applied stands in a header of the task. So reading never depends on settings:
plain and sealed tasks mix, and what is sealed is not sealed again. A result is sealed by the codecs
of its task.
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
"""Header with the names of the codecs that were applied, in that order, between commas."""

LONGEST_NAME: Final = 100
"""Characters of a codec's name that errors show: any peer may have written it."""

_NAME: Final = re.compile(r"[!-+\--~]+")

_MISSING: Final = "it is not among the codecs given here (codecs=[…])"


class CodecContext(msgspec.Struct, frozen=True, kw_only=True):
    """What a codec is told of what it seals or opens.

    All of it stays the same for a task as long as it lives: a cipher can bind its text to it.

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
    """Changes payloads and results for their way through Redis, and back.

    Both methods are called on the event loop, and must not wait for anything. They must not depend
    on what was sealed or opened before.
    """

    @property
    def name(self) -> str:
        """What stands in the header: ASCII text without spaces and commas."""
        ...

    def seal(self, payload: bytes, context: CodecContext, /) -> bytes:
        """Return *payload* as it travels."""
        ...

    def open(self, payload: bytes, context: CodecContext, /) -> bytes:
        """Return what was sealed as *payload*.

        Raises:
            Exception: If it cannot: a key is missing, or the bytes are not what `seal` returns.
        """
        ...


class Codecs:
    """Some codecs, in the order in which they are applied.

    Attributes:
        names: Their names, as in the header; empty if there are none.
    """

    __slots__ = ("_by_name", "names")

    def __init__(self, given: Sequence[Codec] = ()) -> None:
        """Use *given*.

        Raises:
            OptionError: If they are no list of codecs, or two have the same name.
        """
        self._by_name: dict[str, Codec] = _by_name(given)
        self.names: str = ",".join(self._by_name)

    def seal(self, message: TaskMessage) -> int:
        """Seal the payload of *message*, in place, unless its headers say that it is sealed.

        What they say may come from anywhere, so what is said to be sealed must open.

        Returns:
            Bytes of payload and headers, as they travel.

        Raises:
            CodecError: If a codec fails.
        """
        context = _context(message, "payload")
        if names := message.headers.get(HEADER):
            self._open(names, message.payload, context)
        elif self.names:
            message.payload = self._pass("seal", self._by_name, message.payload, context)
            message.headers[HEADER] = self.names
        texts = chain(message.headers.keys(), message.headers.values())
        return len(message.payload) + sum(len(text.encode()) for text in texts)

    def seal_again(self, message: TaskMessage) -> None:
        """Seal the new payload of *message*, in place, by what its headers say; by none if so.

        Raises:
            CodecError: If one of those codecs is missing, or fails.
        """
        if names := message.headers.get(HEADER):
            context = _context(message, "payload")
            message.payload = self._pass("seal", names.split(","), message.payload, context)

    def seal_result(self, message: TaskMessage, result: bytes) -> bytes:
        """Return *result* sealed as the payload of *message* is.

        Raises:
            CodecError: If one of those codecs is missing, or fails.
        """
        names = message.headers[HEADER].split(",")
        return self._pass("seal", names, result, _context(message, "result"))

    def open_message(self, message: TaskMessage) -> TaskMessage:
        """Return *message* as it was before it was sealed: itself, if it never was.

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
        """Return the result of *info*; empty if there is none.

        Raises:
            CodecError: If a codec is missing, or fails.
        """
        names = info.headers.get(HEADER)
        if not names or info.result is None:
            return info.result or b""
        return self._open(names, info.result, _context(info, "result"))

    def open_info(self, info: TaskInfo) -> TaskInfo:
        """Return *info* with payload and result opened, or with the codecs that would be needed."""
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
        return self._pass("open", reversed(names.split(",")), content, context)

    def _pass(
        self, action: Action, names: Iterable[str], content: bytes, context: CodecContext
    ) -> bytes:
        for name in names:
            codec = self._by_name.get(name)
            if codec is None:
                raise _error(name, action, context, _MISSING)
            call = codec.seal if action == "seal" else codec.open
            try:
                content = call(content, context)
            except BaseException as error:  # no cancellation comes out of a plain call
                if isinstance(error, KeyboardInterrupt):
                    raise
                raise _error(name, action, context, _said(error)) from error
            if not isinstance(content, bytes):  # pyright: ignore[reportUnnecessaryIsInstance]
                reason = f"it must return bytes, got {type(content).__name__}"
                raise _error(name, action, context, reason)
        return content


def _context(task: TaskMessage | TaskInfo, part: Part) -> CodecContext:
    return CodecContext(type=task.type, queue=task.queue, id=task.id, part=part)


def _said(error: BaseException) -> str:
    try:
        return f"{type(error).__name__}: {error}"
    except Exception:  # noqa: BLE001 - the user's code
        return type(error).__name__


def _error(name: str, action: Action, context: CodecContext, reason: str) -> CodecError:
    name = name if len(name) <= LONGEST_NAME else f"{name[:LONGEST_NAME]}…"
    return CodecError(
        name, action, context.part, queue=context.queue, task_id=context.id, reason=reason
    )


def _by_name(given: object) -> dict[str, Codec]:
    if not isinstance(given, Sequence):  # a generator would be empty the next time
        raise OptionError("codecs", given, "a list of codecs")
    found: dict[str, Codec] = {}
    for codec in cast("Sequence[object]", given):
        name = _name(codec)
        if name in found:
            raise OptionError("codecs", name, "codecs with different names")
        found[name] = cast("Codec", codec)
    return found


def _name(codec: object) -> str:
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
