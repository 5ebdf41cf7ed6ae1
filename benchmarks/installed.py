"""Find or create the environment of a contender, and read its version."""

import asyncio
import json
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

from benchmarks import programs
from benchmarks.roster import Contender, GoPeer, Peer

VENVS = programs.ROOT / ".venv"
GO_SOURCE = programs.ROOT / "tests" / "interop" / "peer"
BUILD_S = 300


class NotInstalledError(Exception):
    """A peer is not installed; the text says why."""


@dataclass(frozen=True, slots=True)
class PythonRun:
    """How to run a Python peer: `benchmarks.agent` in the peer's environment."""

    peer: Peer
    python: Path
    version: str
    uvloop: bool

    def command(self, verb: str, address: str, *flags: str) -> list[str]:
        """Return the command line of one of the agent's commands."""
        loop = ["--uvloop"] if self.uvloop and self.peer.on_asyncio else []
        agent = [str(self.python), "-m", "benchmarks.agent", self.peer.module, verb]
        return [*agent, "--address", address, *loop, *flags]


@dataclass(frozen=True, slots=True)
class GoRun:
    """How to run the Go peer."""

    peer: GoPeer
    program: Path
    version: str

    def command(self, verb: str, address: str, *flags: str) -> list[str]:
        """Return the command line of one of its commands."""
        return [str(self.program), f"bench-{verb}", "--redis", address, *flags]


Run: TypeAlias = PythonRun | GoRun


async def prepare(contender: Contender, *, uvloop: bool) -> Run:
    """Return how to run *contender*.

    Raises:
        NotInstalledError: If this machine cannot run it.
    """
    match contender:
        case Peer():
            python = await asyncio.to_thread(_find_python, contender)
            return PythonRun(contender, python, await _read_version(contender, python), uvloop)
        case GoPeer():
            return await asyncio.to_thread(_build, contender)


async def _read_version(peer: Peer, python: Path) -> str:
    command = [str(python), "-m", "benchmarks.agent", peer.distributions, "about"]
    try:
        about = await programs.read_answer(command)
    except programs.ProgramError as error:
        raise NotInstalledError(str(error)) from None
    return " + ".join(about["versions"].values())


def _find_python(peer: Peer) -> Path:
    """Return the Python of the peer's environment; create the environment if it is separate.

    Raises:
        NotInstalledError: If this Python is too old for it.
    """
    if sys.version_info[:2] < peer.least_python:
        least = "{}.{}".format(*peer.least_python)
        msg = f"it needs Python {least} (make bench PYTHON=python{least})"
        raise NotInstalledError(msg)
    if not peer.apart:
        return Path(sys.executable)
    requirements = programs.ROOT / "requirements" / f"bench-{peer.module}.txt"
    venv = VENVS / "{}.{}-bench-{}".format(*sys.version_info[:2], peer.module)
    done = venv / "installed"
    if not done.exists() or done.read_text() != requirements.read_text():
        shutil.rmtree(venv, ignore_errors=True)
        _run([sys.executable, "-m", "venv", str(venv)])
        _run([str(venv / "bin" / "python"), "-m", "pip", "install", "-qr", str(requirements)])
        done.write_text(requirements.read_text())
    return venv / "bin" / "python"


def _build(peer: GoPeer) -> GoRun:
    go = shutil.which("go")
    if go is None:
        msg = "Go is not installed"
        raise NotInstalledError(msg)
    program = VENVS / "bench-go-peer"
    program.parent.mkdir(exist_ok=True)
    _run([go, "build", "-o", str(program), "."], cwd=GO_SOURCE)
    modules = _run([go, "list", "-m", "-json", "github.com/hibiken/asynq"], cwd=GO_SOURCE)
    return GoRun(peer, program, json.loads(modules)["Version"].removeprefix("v"))


def _run(command: list[str], cwd: Path = programs.ROOT) -> str:
    try:
        done = subprocess.run(
            command, cwd=cwd, check=True, capture_output=True, text=True, timeout=BUILD_S
        )
    except subprocess.CalledProcessError as error:
        lines = error.stderr.strip().splitlines() or ["it gave no reason"]
        raise NotInstalledError(lines[-1]) from None
    except (OSError, subprocess.TimeoutExpired) as error:
        raise NotInstalledError(str(error)) from None
    return done.stdout
