"""The image of the member service, whose first stage is built without Docker."""

import hashlib
import shutil
import sys
import tempfile
from contextlib import suppress
from pathlib import Path

from tests.support import dockerfile
from tests.support.dockerfile import Instruction, stages_of

ROOT = Path(__file__).parents[3]
DOCKERFILE = ROOT / "services/member/deploy/Dockerfile"

PROGRAMS = "/opt/member"
"""The folder of programs in the image."""

_OURS = shutil.ignore_patterns("member-*", "pyasynq-*")

BUILDING, FINAL = stages_of(DOCKERFILE)


def fill_context(folder: Path) -> None:
    """Copy the files of the repository that ``.dockerignore`` lets Docker see into *folder*."""
    dockerfile.fill_context(folder, source=ROOT, ignored=ROOT / ".dockerignore")


def build(stage: list[Instruction], *, context: Path, root: Path, kept: Path) -> Path:
    """Run the instructions of a stage with *root* as ``/``; return the folder of programs.

    The wheels of the pinned packages stay in *kept*, so that the next run with the same pins need
    not ask the package index about each: that takes most of the time.
    """
    wheels = kept / _pins()
    variables = {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(wheels)} if wheels.exists() else {}
    programs = dockerfile.build(
        stage, context=context, root=root, programs=PROGRAMS, variables=variables
    )
    if not variables:
        _keep(root / "build" / "wheels", wheels)
    return programs


def _pins() -> str:
    """Return a name for the packages that are pinned, and for this Python."""
    files = sorted((ROOT / "requirements").glob("*.txt"))
    pinned = b"\0".join(file.read_bytes() for file in files)
    return f"{sys.implementation.cache_tag}-{hashlib.sha256(pinned).hexdigest()[:16]}"


def _keep(made: Path, wheels: Path) -> None:
    """Copy the wheels of others in *made* to *wheels*, which exists only as a whole."""
    with tempfile.TemporaryDirectory(dir=wheels.parent) as folder:
        copy = shutil.copytree(made, Path(folder) / "wheels", ignore=_OURS)
        with suppress(OSError):  # another process has kept them meanwhile
            copy.rename(wheels)
