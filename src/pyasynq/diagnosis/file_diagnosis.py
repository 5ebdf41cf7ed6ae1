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
    size, free = format_bytes(int(info["size"])), format_bytes(int(info["free"]))
    yield ok("file", f"{size}, {free} unused", "file-ok", size=size, free=free)
    yield check_rights(info)
    yield check_disk(info)
    yield check_log(info)
    setting = report.settings["synchronous"]
    yield ok("persistence", LOSSES[setting], f"persistence-file-{setting}")


def check_version(version: str) -> Check:
    """Tell the version, and whether it has the bug that `broker.sqlite.checkpoints` avoids."""
    numbers = tuple(map(int, re.findall(r"\d+", version)))
    *backports, fixed = LOG_RESET_FIXED
    if numbers >= fixed or any(it <= numbers < (*it[:2], 100) for it in backports):
        return ok("sqlite", f"SQLite {version}")
    message = "pyasynq avoids its WAL-reset bug (fixed in 3.51.3); other writers may not"
    return ok("sqlite", f"SQLite {version}; {message}", "sqlite-bug", version=version)


def check_rights(info: Mapping[str, str]) -> Check:
    """Check whether this user may write the file, and whether every user may."""
    mode = info["mode"]
    if info["writable"] == "no":
        advice = "let this user write the file and its folder, or run as the file's owner"
        message = f"mode {mode}: this user may not write the file"
        return problem("rights", message, advice, "rights-denied", mode=mode)
    if int(mode[-1], 8):
        message = f"mode {mode}: every user of this machine may read or write the tasks"
        return warning("rights", message, "chmod o= FILE", "rights-open", mode=mode)
    return ok("rights", f"mode {mode}, and this user may write", "rights-ok", mode=mode)


def check_disk(info: Mapping[str, str]) -> Check:
    """Check the file system, and whether the disk has room for new tasks."""
    if kind := info["network_filesystem"]:
        message = f"the file is on {kind}, whose locks may not work between machines"
        advice = "use a local disk, or Redis for several machines"
        return warning("disk", message, advice, "disk-network", kind=kind)
    free, reserve = int(info["disk_free"]), int(info["disk_reserve"])
    values = {"free": format_bytes(free), "reserve": format_bytes(reserve)}
    message = f"{values['free']} are free"
    if free >= LITTLE_SPACE * reserve:
        return ok("disk", message, "disk-ok", **values)
    advice = f"make room: with less than {values['reserve']} no new task is accepted"
    report = problem if free < reserve else warning
    return report("disk", message, advice, "disk-full", **values)


def check_log(info: Mapping[str, str]) -> Check:
    """Check whether the write-ahead log is copied into the file from time to time."""
    size = format_bytes(int(info["log_size"]))
    message = f"the write-ahead log has {size}"
    if int(info["log_size"]) < LARGE_LOG:
        return ok("log", message, "log-ok", size=size)
    advice = "a program reads for a long time and keeps the log from being emptied: end it"
    return warning("log", message, advice, "log-large", size=size)
