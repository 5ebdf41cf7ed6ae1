"""Build the first stage of a Dockerfile without Docker: same files and commands, another root."""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TypedDict, cast

from docker.utils.build import exclude_paths
from dockerfile_parse import DockerfileParser

_FASTER = {
    # Compiling would take two thirds of the time, and the tests do not check it.
    "PIP_COMPILE": "0",
    # Build with the packages that are here, not in an environment for each wheel (0 means that: it
    # is the value of --build-isolation), but fail if one that the wheel asks for is not here.
    "PIP_NO_BUILD_ISOLATION": "0",
    "PIP_CHECK_BUILD_DEPENDENCIES": "1",
}


class Instruction(TypedDict):
    """One line of a Dockerfile, as its parser returns it."""

    instruction: str
    value: str


def stages_of(dockerfile: Path) -> list[list[Instruction]]:
    """Return the instructions of each stage of *dockerfile*, without those before the first."""
    structure = cast("list[Instruction]", DockerfileParser(str(dockerfile)).structure)
    starts = [n for n, line in enumerate(structure) if line["instruction"] == "FROM"]
    ends = [*starts[1:], len(structure)]
    return [structure[start:end] for start, end in zip(starts, ends, strict=True)]


def values(stage: Sequence[Instruction], name: str) -> list[str]:
    """Return the values of the instructions *name* of a stage."""
    return [line["value"] for line in stage if line["instruction"] == name]


def copy_sources(stage: Sequence[Instruction]) -> Iterator[str]:
    """Yield each file or folder of the build context that a stage copies."""
    for value in values(stage, "COPY"):
        if not value.startswith("--from="):
            yield from value.split()[:-1]


def fill_context(folder: Path, *, source: Path, ignored: Path) -> None:
    """Copy the files of *source* that the ``.dockerignore`` *ignored* lets Docker see.

    Args:
        folder: Where to copy them.
        source: The folder in which the image is built.
        ignored: Names the files that Docker does not see.
    """
    lines = ignored.read_text().splitlines()
    patterns = [line for line in lines if line and not line.startswith("#")]
    for name in exclude_paths(str(source), patterns):
        if (file := source / name).is_file():
            target = folder / name
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(file, target)


def build(
    stage: Sequence[Instruction],
    *,
    context: Path,
    root: Path,
    programs: str,
    variables: Mapping[str, str] | None = None,
) -> Path:
    """Run the instructions of a stage with *root* as ``/``; return the folder of programs.

    Args:
        stage: The instructions.
        context: The files that Docker sees.
        root: Stands for ``/``.
        programs: The folder of programs in the image.
        variables: Environment variables for the commands, such as settings of pip.
    """
    folder = root / "build"
    folder.mkdir(parents=True)
    for line in stage:
        match line["instruction"]:
            case "COPY":
                _copy(line["value"].split(), context, folder)
            case "RUN":
                command = line["value"].replace(programs, f"{root}{programs}")
                _run(command, folder, variables or {})
            case _:
                pass
    return root / programs.lstrip("/")


def _copy(words: list[str], context: Path, folder: Path) -> None:
    *patterns, target = words
    for source in [path for pattern in patterns for path in context.glob(pattern)]:
        if source.is_dir():
            shutil.copytree(source, folder / target, dirs_exist_ok=True)
        else:
            shutil.copy(source, folder / target)


def _run(command: str, folder: Path, variables: Mapping[str, str]) -> None:
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    done = subprocess.run(
        ["sh", "-c", command],
        cwd=folder,
        env={**os.environ, "PATH": path, **_FASTER, **variables},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        check=False,
    )
    assert done.returncode == 0, f"{command}\n{done.stdout.decode()}"
