"""The files that a browser loads: pages, styles and scripts beside this module."""

import gzip
import hashlib
import re
from functools import lru_cache
from pathlib import Path
from typing import Final

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from pyasynq.dashboard.bundle import bundle
from pyasynq.dashboard.problems import Problem
from pyasynq.dashboard.routes import Call, Nothing

FOLDER: Final = Path(__file__).resolve().parent / "static"

ENTRY: Final = "app.js"
"""The script of the page; it is sent with all modules that it imports, but `SHARED`."""

SHARED: Final = "lib.js"
"""The only module of ours that imports vendored ones."""

MEDIA_TYPES: Final = {
    ".css": "text/css",
    ".html": "text/html",
    ".ico": "image/x-icon",
    ".js": "text/javascript",
    ".json": "application/json",
    ".png": "image/png",
    ".svg": "image/svg+xml",
    ".txt": "text/plain",
    ".woff2": "font/woff2",
}
"""Types of the files that are served; others are not."""

_WASTE: Final = {
    ".js": re.compile(rb"^[ \t]*(//.*)?\n|^[ \t]+", re.MULTILINE),
    ".css": re.compile(rb"\s*/\*.*?\*/\s*|(?<=[;{}])\s+", re.DOTALL),
}
"""Comments, indentation, empty lines: browsers need none, and load a tenth less."""

_WEIGHT: Final = re.compile(r"q=(0(\.[0-9]{0,3})?|1(\.0{0,3})?)")


class _File(msgspec.Struct, frozen=True):
    content: bytes
    compressed: bytes
    tag: str


async def show_index(call: Call, _given: Nothing) -> Response:
    """Return the page."""
    return serve(call.request, "index.html")


async def show_file(call: Call, _given: Nothing) -> Response:
    """Return a file."""
    return serve(call.request, call.request.path_params["file"])


def serve(request: Request, name: str) -> Response:
    """Return the file *name*, or only that it is still the same.

    Raises:
        Problem: If there is no such file.
    """
    path = find(name)
    changed_ns = max(part.stat().st_mtime_ns for part in parts_of(path))
    file = load(path, changed_ns)
    headers = {"Cache-Control": "no-cache", "ETag": file.tag, "Vary": "Accept-Encoding"}
    if file.tag in request.headers.get("if-none-match", ""):  # proxies mark it as weak
        return Response(status_code=304, headers=headers)
    content = file.content
    if accepts_gzip(",".join(request.headers.getlist("accept-encoding"))):
        content = file.compressed
        headers["Content-Encoding"] = "gzip"
    return Response(content, headers=headers, media_type=MEDIA_TYPES[path.suffix])


def accepts_gzip(accepted: str) -> bool:
    """Return whether a client accepts gzip, and does not prefer a file as it is.

    Args:
        accepted: The header ``Accept-Encoding``: names, each perhaps with a weight from 0, which
            means never, to 1. A weight that cannot be read counts as 0: every client reads a file
            as it is.
    """
    weights: dict[str, float] = {}
    for part in accepted.lower().split(","):
        name, _, weight = part.partition(";")
        weights[name.strip()] = _weight(weight.strip()) if weight else 1.0
    gzip_weight = weights.get("gzip", weights.get("*", 0.0))
    return gzip_weight > 0 and gzip_weight >= weights.get("identity", 0.0)


def _weight(text: str) -> float:
    return float(text[2:]) if _WEIGHT.fullmatch(text) else 0.0


def find(name: str) -> Path:
    """Return the path of the file *name*, which is in `FOLDER`.

    Raises:
        Problem: If there is no such file.
    """
    missing = Problem(404, "not-found", "there is no such file")
    try:
        path = (FOLDER / name).resolve()
        is_there = path.is_relative_to(FOLDER.resolve()) and path.is_file()
    except (OSError, ValueError) as error:  # no file can have the name: it is too long, or has \0
        raise missing from error
    if not is_there or path.suffix not in MEDIA_TYPES:
        raise missing
    return path


def without_waste(content: bytes, suffix: str) -> bytes:
    """Return a file of ours without lines of comments and without indentation."""
    waste = _WASTE.get(suffix)
    return content if waste is None else waste.sub(b"", content)


def parts_of(path: Path) -> list[Path]:
    """Return the files of which the one at *path* is made: itself, except for `ENTRY`."""
    if path != FOLDER / ENTRY:
        return [path]
    return sorted({*FOLDER.glob("*.js"), *FOLDER.glob("pages/*.js")} - {FOLDER / SHARED})


@lru_cache(maxsize=100)
def load(path: Path, _changed_ns: int) -> _File:
    """Return what is sent of the file at *path*, which was changed at the given time."""
    content = path.read_bytes()
    if len(parts := parts_of(path)) > 1:
        sources = {part.relative_to(FOLDER).as_posix(): part.read_text("utf-8") for part in parts}
        content = bundle(ENTRY, sources, SHARED).encode()
    if path.parent.name != "vendor":
        content = without_waste(content, path.suffix)
    tag = f'"{hashlib.sha256(content).hexdigest()[:32]}"'
    return _File(content, gzip.compress(content, 9, mtime=0), tag)
