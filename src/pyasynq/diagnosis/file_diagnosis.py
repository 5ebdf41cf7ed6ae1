"""The checks of ``pyasynq doctor`` for a file of SQLite."""

import re
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Final

from pyasynq.core.sizes import format_bytes
from pyasynq.diagnosis.checks import Check, ok, problem, warning

if TYPE_CHECKING:
    from pyasynq.broker import NodeReport

LOG_RESET_FIXED: Final = ((3, 44, 6), (3, 50, 7), (3, 51, 3))
"""Versions in which a checkpoint can no longer damage the file; two are backports."""

LARGE_LOG: Final = 64 * 1024 * 1024
"""Bytes of the log at which checkpoints have failed for a while: they begin at 4 MiB."""

LITTLE_SPACE: Final = 4
"""The disk is almost full if it has less than this many times the space that is kept free."""

LOSSES: Final = {
    "full": "a power cut loses nothing",
    "accept": "a power cut loses no accepted task; tasks that ended just before it may run again",
    "normal": "a power cut may lose the last writes",
}
"""What a power cut loses, by the setting ``synchronous``."""


def check_file(report: "NodeReport") -> Iterator[Check]:
    """Check the version of SQLite, the file, the log beside it, and the disk."""
    info = report.info or {}
    yield check_version(info["sqlite_version"])
    yield ok("file", f"{format_bytes(int(info['size']))}, {format_bytes(int(info['free']))} unused")
    yield check_rights(info)
    yield check_disk(info)
    yield check_log(info)
    yield ok("persistence", LOSSES[report.settings["synchronous"]])


def check_version(version: str) -> Check:
    """Tell the version, and whether it has the bug that `broker.sqlite.checkpoints` avoids."""
    numbers = tuple(map(int, re.findall(r"\d+", version)))
    *backports, fixed = LOG_RESET_FIXED
    if numbers >= fixed or any(it <= numbers < (*it[:2], 100) for it in backports):
        return ok("sqlite", f"SQLite {version}")
    message = "pyasynq avoids its WAL-reset bug (fixed in 3.51.3); other writers may not"
    return ok("sqlite", f"SQLite {version}; {message}")


def check_rights(info: Mapping[str, str]) -> Check:
    """Check whether this user may write the file, and whether every user may."""
    mode = info["mode"]
    if info["writable"] == "no":
        advice = "let this user write the file and its folder, or run as the file's owner"
        return problem("rights", f"mode {mode}: this user may not write the file", advice)
    if int(mode[-1], 8):
        message = f"mode {mode}: every user of this machine may read or write the tasks"
        return warning("rights", message, "chmod o= FILE")
    return ok("rights", f"mode {mode}, and this user may write")


def check_disk(info: Mapping[str, str]) -> Check:
    """Check the file system, and whether the disk has room for new tasks."""
    if kind := info["network_filesystem"]:
        message = f"the file is on {kind}, whose locks may not work between machines"
        return warning("disk", message, "use a local disk, or Redis for several machines")
    free, reserve = int(info["disk_free"]), int(info["disk_reserve"])
    message = f"{format_bytes(free)} are free"
    advice = f"make room: with less than {format_bytes(reserve)} no new task is accepted"
    if free < reserve:
        return problem("disk", message, advice)
    if free < LITTLE_SPACE * reserve:
        return warning("disk", message, advice)
    return ok("disk", message)


def check_log(info: Mapping[str, str]) -> Check:
    """Check whether the write-ahead log is copied into the file from time to time."""
    size = int(info["log_size"])
    message = f"the write-ahead log has {format_bytes(size)}"
    if size < LARGE_LOG:
        return ok("log", message)
    advice = "a program reads for a long time and keeps the log from being emptied: end it"
    return warning("log", message, advice)
