"""Run the tests in each cell of the matrix: Pythons, servers, oldest packages, newest SQLite.

    python3 tools/matrix.py [CELL...]

The first cell runs all tests and measures their coverage, the others run those of the library.
The variable TESTS names other tests for all cells; then no coverage is measured. The output of a
cell goes to build/matrix/CELL.log. A cell that this machine cannot run is no failure.
"""

import os
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO
from xml.etree import ElementTree

ROOT = Path(__file__).parents[1]
LOGS = Path("build/matrix")

UNAVAILABLE = 69
"""Exit status of tools/setup if the machine lacks something."""

OWN_VARIABLES = {"ARGS", "MAKEFLAGS", "MAKELEVEL", "MFLAGS", "TESTS"}
"""Variables of `make matrix`, which must not reach the make of a cell."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """One run of the tests.

    Attributes:
        name: Its name on the command line.
        target: The target of the Makefile.
        profile: The profile of tools/setup behind the target.
        tests: The tests to run; empty for all.
        variables: What it adds to the environment.
    """

    name: str
    target: str = "test"
    profile: str = "test"
    tests: str = "tests"
    variables: Mapping[str, str] = field(default_factory=dict[str, str])


def python(version: str, **others: str) -> Cell:
    return Cell(name=f"python-{version}", variables={"PYTHON": f"python{version}"}, **others)


def server(name: str) -> Cell:
    return Cell(name=name, variables={"PYASYNQ_TEST_REDIS": name})


CELLS = (
    python("3.11", target="cover", tests=""),
    python("3.12"),
    python("3.13"),
    python("3.14"),
    *(server(file.stem) for file in sorted(ROOT.glob("requirements/*-[0-9]*.txt"))),
    Cell(
        name="oldest",
        target="test-oldest",
        profile="oldest",
        variables={"PYTHON": "python3.11"},
    ),
    Cell(
        name="newest-sqlite",
        target="test-newest-sqlite",
        profile="newest-sqlite",
        tests="tests/broker tests/e2e/sqlite",
        variables={"PYTHON": "python3.11"},
    ),
)


def main() -> int:
    """Return 1 if a cell failed, else 0."""
    names = [cell.name for cell in CELLS]
    chosen = sys.argv[1:] or names
    if unknown := set(chosen) - set(names):
        sys.exit(f"no such cell: {', '.join(unknown)}: choose from {', '.join(names)}")
    os.chdir(ROOT)
    LOGS.mkdir(parents=True, exist_ok=True)
    states = [run(cell, os.environ.get("TESTS", "")) for cell in CELLS if cell.name in chosen]
    return int("failed" in states)


def run(cell: Cell, tests: str) -> str:
    """Run *cell* with *tests* or its own, print one line about it, and return its state."""
    log, report = LOGS / f"{cell.name}.log", LOGS / f"{cell.name}.xml"
    report.unlink(missing_ok=True)
    target = "test" if tests and cell.target == "cover" else cell.target
    began = time.monotonic()
    with log.open("wb") as output:
        status = call(cell, output, "tools/setup", cell.profile, "true")
        if status == 0:
            began = time.monotonic()  # how long the setup took says nothing about the cell
            arguments = f"ARGS=--junitxml={report} {tests or cell.tests}"
            status = call(cell, output, "make", target, arguments)
    if status == UNAVAILABLE:
        state, detail = "not here", log.read_text().splitlines()[-1]
    else:
        state = "failed" if status else "passed"
        detail = f"{summary(report)}, {time.monotonic() - began:.0f} s, {log}"
    print(f"{cell.name:13} {state:9} {detail}", flush=True)
    return state


def call(cell: Cell, output: BinaryIO, *command: str) -> int:
    """Run *command* as *cell* wants it, and return its exit status."""
    inherited = {name: value for name, value in os.environ.items() if name not in OWN_VARIABLES}
    return subprocess.run(
        command,
        env=inherited | cell.variables,
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=output,
        check=False,
    ).returncode


def summary(report: Path) -> str:
    """Return how many tests had which end, from a report in JUnit's format."""
    if not report.exists():
        return "no test ran"
    suite = ElementTree.parse(report).getroot()[0]
    tests, failures, errors, skipped = (
        int(suite.attrib[name]) for name in ("tests", "failures", "errors", "skipped")
    )
    failed = failures + errors
    return f"{tests - failed - skipped} passed, {failed} failed, {skipped} skipped"


if __name__ == "__main__":
    sys.exit(main())
