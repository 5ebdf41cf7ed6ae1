"""What a disk holds after a power cut, from the system calls of a program.

A file is on the disk as it was when it was last synced. Of what was written to it since then, any
part may be on the disk, too.
"""

import random
import re
import subprocess
import sys
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tests.cli.processes import ROOT

CALLS = "pwrite64,write,ftruncate,fsync,fdatasync,unlink"
LARGEST_WRITE = 1024 * 1024

_CALL = re.compile(r"^(\d+) +(\w+)\((.*)\) += (-?\d+)")
_UNFINISHED = re.compile(r"^(\d+) +(\w+\(.*) <unfinished \.\.\.>$")
_RESUMED = re.compile(r"^(\d+) +<\.\.\. \w+ resumed>(.*)$")
_FILE = re.compile(r"^(\d+)<(.*?)>")
_TEXT = re.compile(r'"((?:\\x[0-9a-f]{2})*)"')


@dataclass(frozen=True, slots=True)
class Call:
    """A system call that succeeded.

    Attributes:
        name: Its name.
        path: The file, or what the descriptor stands for.
        data: What was written.
        offset: Where it was written, or the new length of the file.
    """

    name: str
    path: str
    data: bytes = b""
    offset: int = 0


def trace(command: Sequence[str], log: Path) -> list[Call]:
    """Run a Python module to its end; return its calls, in the order in which they ended."""
    strace = ["strace", "-f", "-qq", "-y", "-xx", "-s", f"{LARGEST_WRITE}", "-e", f"trace={CALLS}"]
    program = [sys.executable, "-m", *command]
    subprocess.run([*strace, "-o", log, *program], cwd=ROOT, check=True, stdout=subprocess.DEVNULL)
    return [call for line in _whole_lines(log) if (call := _parse(line)) is not None]


def _whole_lines(log: Path) -> Iterator[str]:
    """Yield the lines; one that was interrupted by another thread's ends where its call ended."""
    begun: dict[str, str] = {}
    for line in log.read_text().splitlines():
        if unfinished := _UNFINISHED.match(line):
            begun[unfinished[1]] = unfinished[2]
        elif resumed := _RESUMED.match(line):
            yield f"{resumed[1]} {begun.pop(resumed[1])}{resumed[2]}"
        else:
            yield line


def _parse(line: str) -> Call | None:
    match = _CALL.match(line)
    if match is None or int(match[4]) < 0:
        return None
    name, arguments, result = match[2], match[3], int(match[4])
    if name == "unlink":
        return Call(name, _bytes(arguments).decode())
    file = _FILE.match(arguments)
    assert file is not None, line
    path = bytes.fromhex(file[2].replace("\\x", "")).decode()
    match name:
        case "write" | "pwrite64":
            data = _bytes(arguments)
            assert len(data) == result, "written in part"
            offset = int(arguments.rpartition(", ")[2]) if name == "pwrite64" else 0
            return Call(name, path, data, offset)
        case "ftruncate":
            return Call(name, path, offset=int(arguments.rpartition(", ")[2]))
        case _:
            return Call("sync", path)


def _bytes(arguments: str) -> bytes:
    text = _TEXT.search(arguments)
    assert text is not None, arguments
    return bytes.fromhex(text[1].replace("\\x", ""))


@dataclass
class Disk:
    """The files of a folder, as they were when they were synced, and the calls since then."""

    synced: dict[str, bytes] = field(default_factory=dict[str, bytes])
    unsynced: dict[str, list[Call]] = field(default_factory=lambda: defaultdict(list))

    def apply(self, call: Call) -> None:
        """Go on to the end of *call*."""
        match call.name:
            case "pwrite64" | "ftruncate":
                self.unsynced[call.path].append(call)
            case "sync":
                content = self.synced.get(call.path, b"")
                self.synced[call.path] = _content(content, self.unsynced.pop(call.path, []))
            case "unlink":
                self.synced.pop(call.path, None)
                self.unsynced.pop(call.path, None)
            case _:
                pass

    def after_power_cut(self, folder: Path, luck: random.Random | None) -> Path:
        """Write the files into *folder*; with *luck* some of what was not synced is in them."""
        for old in folder.iterdir():
            old.unlink()
        for path in {*self.synced, *self.unsynced}:
            calls = self.unsynced.get(path, [])
            survived = [call for call in calls if luck and luck.random() < 0.5]
            content = _content(self.synced.get(path, b""), survived)
            (folder / Path(path).name).write_bytes(content)
        return folder


def _content(before: bytes, calls: Sequence[Call]) -> bytes:
    content = bytearray(before)
    for call in calls:
        if call.name == "ftruncate":
            del content[call.offset :]
            content.extend(bytes(call.offset - len(content)))
        else:
            content.extend(bytes(max(0, call.offset - len(content))))
            content[call.offset : call.offset + len(call.data)] = call.data
    return bytes(content)
