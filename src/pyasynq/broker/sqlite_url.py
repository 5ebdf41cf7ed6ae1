"""The URL of a SQLite broker."""

import os
import re
from collections.abc import Collection
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final
from urllib.parse import parse_qsl, unquote

from pyasynq.core.errors import OptionError

URLS: Final = (
    "sqlite:///relative/file, sqlite:////absolute/file, or sqlite:// for this process's memory"
)

TIMEOUT_S: Final = 5.0
"""Seconds for which a call waits until other processes let it write."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SqliteAddress:
    """A parsed URL.

    Attributes:
        path: Absolute path of the file; None for the memory of this process.
        sync_work: Whether verdicts are on the disk when they count, and not only new tasks.
        sync_new: Whether a new task is on the disk when `enqueue` returns.
        timeout_s: How long a call waits until other processes let it write, seconds.
        unsafe_filesystem: Also use a file system whose locks do not work between machines.
    """

    path: Path | None
    sync_work: bool = False
    sync_new: bool = True
    timeout_s: float = TIMEOUT_S
    unsafe_filesystem: bool = False


def parse_sqlite(text: str) -> SqliteAddress:
    """Parse the URL *text*; a relative path starts at the working directory of this moment.

    Raises:
        OptionError: If it is malformed, or one of its settings is unknown or invalid.
    """
    try:
        return _parse(text.strip())
    except ValueError as error:
        allowed = f"{URLS} ({error})" if str(error) else URLS
        raise OptionError("broker", text, allowed) from None


def _parse(text: str) -> SqliteAddress:
    scheme, _, rest = text.partition("://")
    front, _, query = rest.partition("?")
    host, _, path = front.partition("/")
    if scheme.lower() != "sqlite":
        raise ValueError
    if host:
        msg = "a file is named after three slashes"
        raise ValueError(msg)
    if path == ":memory:":
        msg = "memory is sqlite://"
        raise ValueError(msg)
    if "#" in rest:
        msg = "write # as %23 in the name of a file"
        raise ValueError(msg)
    if "\0" in unquote(path):
        msg = "the name of a file has no NUL"
        raise ValueError(msg)
    file = Path(unquote(path)).absolute() if path else None
    if file is not None and os.path.isdir(file):  # Path.is_dir() raises for some, this never
        msg = "it names a folder"
        raise ValueError(msg)
    return replace(_settings(query), path=file)


def redact_sqlite(text: str) -> str:
    """Return the URL *text* without its settings; there are no secrets in it."""
    return text.strip().partition("?")[0]


def _settings(query: str) -> SqliteAddress:
    address = SqliteAddress(path=None)
    given = parse_qsl(query, keep_blank_values=True)
    names = [name for name, _ in given]
    for name, value in given:
        if names.count(name) > 1:
            msg = f"{name} is given twice"
            raise ValueError(msg)
        match name:
            case "synchronous":
                sync_new, sync_work = _SYNCHRONOUS[_one_of(name, value, _SYNCHRONOUS)]
                address = replace(address, sync_new=sync_new, sync_work=sync_work)
            case "timeout":
                if not re.fullmatch(r"\d+(\.\d*)?|\.\d+", value) or not float(value):
                    msg = "timeout is a number of seconds above 0"
                    raise ValueError(msg)
                address = replace(address, timeout_s=float(value))
            case "unsafe_filesystem":
                is_allowed = _one_of(name, value, ("0", "1")) == "1"
                address = replace(address, unsafe_filesystem=is_allowed)
            case _:
                msg = "the settings are synchronous, timeout and unsafe_filesystem"
                raise ValueError(msg)
    return address


def _one_of(name: str, value: str, allowed: Collection[str]) -> str:
    if value not in allowed:
        msg = f"{name} is {' or '.join(allowed)}"
        raise ValueError(msg)
    return value


_SYNCHRONOUS: Final = {"accept": (True, False), "normal": (False, False), "full": (True, True)}
"""Whether new tasks, and whether verdicts are synced to the disk."""
