"""Errors that travel from one process to another, with their tracebacks.

Pickle drops the traceback, the cause and the context of an error. It also calls the class with
``args``, which fails or gives a wrong text if the class has an ``__init__`` of its own.
"""

import inspect
import pickle
import traceback
from types import FrameType, TracebackType
from typing import Any, Final, NamedTuple, cast

from pyasynq.core.control import NotPicklableError

MOST_ERRORS: Final = 20
"""Causes and contexts of an error that travel with it."""

MOST_FRAMES: Final = 100
"""Frames of a traceback that travel; of a longer one the first and the last."""

_RAISE: Final = compile("raise Exception", "", "exec")

PLAIN: Final = (BaseException.__reduce__, Exception.__reduce__)


class PackedFrame(NamedTuple):
    """A line of a traceback."""

    file: str
    function: str
    module: str
    line: int


class PackedError(NamedTuple):
    """An error as bytes and plain values.

    Attributes:
        data: The pickled error, or its class, ``args`` and attributes; of a group its message.
        frames: Its traceback, the outermost frame first.
        cause: What it was raised from.
        context: The error during whose handling it was raised; None if a traceback leaves it out.
        hides_context: Whether a traceback leaves the context out.
        parts: The errors of a group; None if it is no group.
    """

    data: bytes
    frames: list[PackedFrame]
    cause: "PackedError | None"
    context: "PackedError | None"
    hides_context: bool
    parts: "list[PackedError] | None"


def pack_error(
    error: BaseException, most: int = MOST_ERRORS, packed: dict[int, PackedError] | None = None
) -> PackedError:
    """Return *error* without what cannot travel; see `NotPicklableError`.

    Args:
        error: The error.
        most: How deep causes and contexts are followed.
        packed: Errors that are packed already, by their ``id``. After ``raise … from`` an error is
            both cause and context: each further one would double the work.
    """
    packed = {} if packed is None else packed
    key = id(error)
    if key in packed:
        return packed[key]
    parts: list[PackedError] | None = None
    if isinstance(error, BaseExceptionGroup):
        group = cast("BaseExceptionGroup[BaseException]", error)
        parts = [pack_error(part, most - 1, packed) for part in group.exceptions]
    packed[key] = one = PackedError(
        data=pickle.dumps(cast("str", error.message)) if parts else _pickle(error),  # type: ignore[attr-defined]
        frames=_pack_frames(error.__traceback__),
        cause=_pack_linked(error.__cause__, most, packed),
        context=_pack_linked(error.__context__, most, packed),
        hides_context=error.__suppress_context__,
        parts=parts,
    )
    return one


def unpack_error(
    packed: PackedError, unpacked: dict[int, BaseException] | None = None
) -> BaseException:
    """Return the error that was packed, with a traceback of the same files and lines.

    Args:
        packed: The packed error.
        unpacked: Errors that are unpacked already, by the ``id`` of the packed ones.
    """
    unpacked = {} if unpacked is None else unpacked
    if id(packed) in unpacked:
        return unpacked[id(packed)]
    unpacked[id(packed)] = error = _unpickle(packed, unpacked)
    error.__cause__ = unpack_error(packed.cause, unpacked) if packed.cause else None
    error.__context__ = unpack_error(packed.context, unpacked) if packed.context else None
    error.__suppress_context__ = packed.hides_context
    return error.with_traceback(_unpack_frames(packed.frames))


def _pack_linked(
    error: BaseException | None, most: int, packed: dict[int, PackedError]
) -> PackedError | None:
    return pack_error(error, most - 1, packed) if error is not None and most > 1 else None


def _pickle(error: BaseException) -> bytes:
    """Return *error* as bytes from which `_unpickle` makes an equal one."""
    kind = type(error)
    # A class that Python code wrote, with the ``__init__`` of its own that pickle would call.
    is_bare = inspect.isfunction(kind.__init__) and kind.__reduce__ in PLAIN
    try:
        data = pickle.dumps((kind, error.args, vars(error)) if is_bare else error)
        _load(data)
    except Exception as reason:  # noqa: BLE001 - the user's classes decide how they are pickled
        text = "".join(traceback.format_exception_only(error)).strip()
        failure = NotPicklableError(f"the error {text!r}", f"{type(reason).__name__}: {reason}")
        return pickle.dumps((NotPicklableError, failure.args, vars(failure)))
    return data


def _load(data: bytes) -> BaseException:
    value: Any = pickle.loads(data)  # noqa: S301 - our own processes wrote it
    if isinstance(value, BaseException):
        return value
    kind, args, attributes = value
    error: BaseException = kind.__new__(kind, *args)
    error.args = args
    vars(error).update(attributes)
    return error


def _unpickle(packed: PackedError, unpacked: dict[int, BaseException]) -> BaseException:
    if packed.parts is None:
        return _load(packed.data)
    message: str = pickle.loads(packed.data)  # noqa: S301 - our own processes wrote it
    return BaseExceptionGroup(message, [unpack_error(part, unpacked) for part in packed.parts])


def _pack_frames(frames: TracebackType | None) -> list[PackedFrame]:
    packed: list[PackedFrame] = []
    while frames is not None:
        code, names = frames.tb_frame.f_code, frames.tb_frame.f_globals
        module = str(names.get("__name__", ""))
        packed.append(PackedFrame(code.co_filename, code.co_name, module, frames.tb_lineno))
        frames = frames.tb_next
    if len(packed) > MOST_FRAMES:
        packed[MOST_FRAMES // 2 : -MOST_FRAMES // 2] = []
    return packed


def _unpack_frames(packed: list[PackedFrame]) -> TracebackType | None:
    """Return a traceback that logs, records and tools such as Sentry read like any other."""
    frames: TracebackType | None = None
    for one in reversed(packed):
        frames = TracebackType(frames, _make_frame(one), -1, one.line)
    return frames


def _make_frame(packed: PackedFrame) -> FrameType:
    """Return a frame of the named function: Python makes frames only for code that it runs."""
    code = _RAISE.replace(co_filename=packed.file, co_name=packed.function)
    try:
        exec(code, {"__name__": packed.module, "__file__": packed.file})  # noqa: S102
    except Exception as error:  # noqa: BLE001 - the code does nothing but raise
        return cast("TracebackType", cast("TracebackType", error.__traceback__).tb_next).tb_frame
    raise AssertionError
