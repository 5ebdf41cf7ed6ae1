"""Build the first stage of the image without Docker: same files and commands, another root."""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TypedDict, cast

from docker.utils.build import exclude_paths
from dockerfile_parse import DockerfileParser

ROOT = Path(__file__).parents[3]
DOCKERFILE = ROOT / "services/member/deploy/Dockerfile"

PROGRAMS = "/opt/member"
"""The folder of programs in the image."""


class Instruction(TypedDict):
    """One line of a Dockerfile, as its parser returns it."""

    instruction: str
    value: str


def stages() -> list[list[Instruction]]:
    """Return the instructions of each stage of the Dockerfile, without those before the first."""
    structure = cast("list[Instruction]", DockerfileParser(str(DOCKERFILE)).structure)
    starts = [n for n, line in enumerate(structure) if line["instruction"] == "FROM"]
    ends = [*starts[1:], len(structure)]
    return [structure[start:end] for start, end in zip(starts, ends, strict=True)]


def values(stage: list[Instruction], name: str) -> list[str]:
    """Return the values of the instructions *name* of a stage."""
    return [line["value"] for line in stage if line["instruction"] == name]


def copy_sources(stage: list[Instruction]) -> Iterator[str]:
    """Yield each file or folder of the build context that a stage copies."""
    for value in values(stage, "COPY"):
        if not value.startswith("--from="):
            yield from value.split()[:-1]


def fill_context(folder: Path) -> None:
    """Copy the files of the repository that ``.dockerignore`` lets Docker see into *folder*."""
    lines = (ROOT / ".dockerignore").read_text().splitlines()
    patterns = [line for line in lines if line and not line.startswith("#")]
    for name in exclude_paths(str(ROOT), patterns):
        if (source := ROOT / name).is_file():
            target = folder / name
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(source, target)


def build(stage: list[Instruction], *, context: Path, root: Path) -> Path:
    """Run the instructions of a stage with *root* as ``/``; return the folder of programs."""
    folder = root / "build"
    folder.mkdir(parents=True)
    for line in stage:
        match line["instruction"]:
            case "COPY":
                _copy(line["value"].split(), context, folder)
            case "RUN":
                _run(line["value"].replace(PROGRAMS, f"{root}{PROGRAMS}"), folder)
            case _:
                pass
    return root / PROGRAMS.lstrip("/")


def _copy(words: list[str], context: Path, folder: Path) -> None:
    *sources, target = words
    for source in sources:
        if (context / source).is_dir():
            shutil.copytree(context / source, folder / target, dirs_exist_ok=True)
        else:
            shutil.copy(context / source, folder / target)


def _run(command: str, folder: Path) -> None:
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    done = subprocess.run(
        ["sh", "-c", command],
        cwd=folder,
        # Compiling would take two thirds of the time, and the tests do not check it.
        env={**os.environ, "PATH": path, "PIP_COMPILE": "0"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        check=False,
    )
    assert done.returncode == 0, f"{command}\n{done.stdout.decode()}"
