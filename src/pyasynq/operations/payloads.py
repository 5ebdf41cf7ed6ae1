"""Payloads and results as the dashboard shows them: redacted, decoded, and cut to a size."""

import codecs
from collections.abc import Callable
from typing import Final, TypeAlias, cast

import msgspec

from pyasynq.core.info import TaskInfo
from pyasynq.core.json_form import fields, text_of, to_json_types
from pyasynq.runtime.loggers import get_logger

Redact: TypeAlias = Callable[[str, bytes], bytes]
"""Takes the type of a task and its payload or result; returns what may be shown of it."""

MAX_SHOWN: Final = 256 * 1024
"""Bytes of a payload that are sent."""

MAX_DECODED: Final = 64 * 1024
"""Bytes of the largest payload that is decoded."""

PREVIEW: Final = 200
"""Characters of a payload in lists."""

HEX: Final = 4096
"""Bytes that are shown as hexadecimal digits."""

HIDDEN: Final = b"(hidden: redact failed)"

LONG: Final = ("payload", "result", "attempts")
"""Members of a task that lists leave out."""

log: Final = get_logger("pyasynq.dashboard")


class Payloads:
    """Redacts payloads and results; all that leave the dashboard come from here."""

    def __init__(self, redact: Redact | None) -> None:
        """Let *redact* decide what may be shown; None shows all."""
        self._redact = redact

    @property
    def redacts(self) -> bool:
        """Whether there is a function that redacts."""
        return self._redact is not None

    def visible(self, type: str, content: bytes) -> bytes:
        """Return what may be shown of *content*."""
        if self._redact is None or not content:
            return content
        try:
            return self._redact(type, content)
        except Exception:  # the user's function; nothing may leak because it fails
            log.exception("redact failed for a task of type %r", type)
            return HIDDEN

    def redacted(self, task: TaskInfo) -> TaskInfo:
        """Return *task* with what may be shown of its payload and result."""
        if self._redact is None:
            return task
        return msgspec.structs.replace(
            task,
            payload=self.visible(task.type, task.payload),
            result=None if task.result is None else self.visible(task.type, task.result),
        )

    def row(self, task: TaskInfo) -> dict[str, object]:
        """Return *task* as an item of a list."""
        visible = self.visible(task.type, task.payload)
        members = {name: value for name, value in fields(task).items() if name not in LONG}
        return {**members, "payload_preview": preview(visible), "payload_size": len(task.payload)}

    def view(self, type: str, content: bytes | None) -> dict[str, object] | None:
        """Return *content* decoded, if its form is known."""
        if content is None:
            return None
        visible = self.visible(type, content)
        form, value = decode(visible)
        return {
            "format": form,
            "value": value,
            "hex": visible[:HEX].hex(" "),
            "size": len(content),
            "truncated": len(visible) > MAX_SHOWN,
            "redacted": visible != content,
        }

    def members(self, task: TaskInfo) -> dict[str, object]:
        """Return all members of *task*; of a long payload or result the beginning."""
        shown = self.redacted(task)
        members = fields(shown)
        members["payload"] = shown.payload[:MAX_SHOWN]
        if shown.result is not None:
            members["result"] = shown.result[:MAX_SHOWN]
        return members


def preview(content: bytes) -> str | None:
    """Return the beginning of *content* as text; None if it is not text."""
    beginning = content[: 4 * PREVIEW]  # a character takes at most four bytes; the last may be cut
    is_whole = len(beginning) == len(content)
    try:
        return codecs.getincrementaldecoder("utf-8")().decode(beginning, is_whole)[:PREVIEW]
    except UnicodeDecodeError:
        return None


def decode(content: bytes) -> tuple[str, object]:
    """Return the form of *content* and its value in that form."""
    if not content:
        return "empty", None
    text = text_of(content)
    if text is None:
        found = _decode_msgpack(content) if len(content) <= MAX_DECODED else None
        return ("binary", None) if found is None else ("msgpack", found)
    if len(content) <= MAX_DECODED:
        try:
            return "json", to_json_types(msgspec.json.decode(content))
        except (msgspec.DecodeError, RecursionError):
            return "text", text
    return "text", text[:MAX_SHOWN]


def _decode_msgpack(content: bytes) -> object | None:
    """Return a map or list in MessagePack; shorter values are more likely to be something else."""
    try:
        found = msgspec.msgpack.decode(content)
        if isinstance(found, dict | list):
            # Keys may be of any type, and values of types that JSON lacks.
            return cast("object", msgspec.json.decode(msgspec.json.encode(found)))
    except (msgspec.MsgspecError, TypeError, ValueError, OverflowError, RecursionError):
        return None
    return None
