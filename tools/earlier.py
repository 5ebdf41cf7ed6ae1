"""Create environments with earlier versions of the library, from this repository's history.

An environment borrows the packages of the one that runs this module. It contains only the earlier
library, and the packages whose pins differ. So it takes a second to create.
"""

import compileall
import fcntl
import importlib.metadata
import shutil
import subprocess
import sys
import sysconfig
import venv
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parent.parent
VENVS = ROOT / ".venv"
SOURCE = "src/pyasynq"
CONSTRAINTS = "requirements/constraints.txt"
PINS = ("requirements/core.txt", "requirements/extras.txt")


class HistoryMissingError(Exception):
    """A commit is not in this clone."""

    def __init__(self, commit: str, *, is_shallow: bool) -> None:
        self.commit = commit
        remedy = "fetch the history with `git fetch --unshallow`" if is_shallow else "fetch it"
        reason = "this clone is shallow" if is_shallow else "this clone does not have it"
        super().__init__(f"commit {commit} is needed, but {reason}: {remedy}")


def full_name(commit: str) -> str:
    """Return the full hash of *commit*, which may be a branch or a short hash.

    Raises:
        HistoryMissingError: If this clone does not have it.
    """
    try:
        return _git("rev-parse", "--verify", "--quiet", f"{commit}^{{commit}}").decode().strip()
    except subprocess.CalledProcessError:
        is_shallow = _git("rev-parse", "--is-shallow-repository").strip() == b"true"
        raise HistoryMissingError(commit, is_shallow=is_shallow) from None


def python_of(commit: str) -> Path:
    """Return the Python whose environment has the library of *commit*.

    The first call creates the environment; concurrent processes take turns.

    Raises:
        HistoryMissingError: If this clone does not have the commit.
    """
    name = full_name(commit)
    home = VENVS / "{}.{}-at-{}".format(*sys.version_info[:2], name[:12])
    made_for = f"{home} {sys.version} {sys.prefix}\n"
    done = home / "made-for"
    VENVS.mkdir(exist_ok=True)
    with home.with_name(f"{home.name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not done.exists() or done.read_text() != made_for:
            shutil.rmtree(home, ignore_errors=True)
            _make(home, name)
            done.write_text(made_for)
    return home / "bin" / "python"


def _make(home: Path, commit: str) -> None:
    venv.create(home, symlinks=True)
    packages = Path(sysconfig.get_path("purelib", "venv", {"base": str(home)}))
    # Not `tarfile`: its filters depend on the patch version of Python.
    subprocess.run(["tar", "-x", "-C", home], input=_git("archive", commit, SOURCE), check=True)
    (home / SOURCE).rename(packages / "pyasynq")
    compileall.compile_dir(packages / "pyasynq", quiet=1)
    # Each line of a .pth file adds a folder to the end of the import path. The borrowed folder has
    # such a file for the running library, but Python does not read .pth files in added folders.
    (packages / "borrowed.pth").write_text(sysconfig.get_path("purelib") + "\n")
    if others := list(_find_differing_pins(commit)):
        (home / "constraints.txt").write_bytes(_git("show", f"{commit}:{CONSTRAINTS}"))
        _install(home, "-c", str(home / "constraints.txt"), *others)


def _find_differing_pins(commit: str) -> Iterator[str]:
    """Yield the pins of *commit* that differ from the running environment."""
    for file in PINS:
        for line in _git("show", f"{commit}:{file}").decode().splitlines():
            pin = line.partition("#")[0].strip()
            name, _, version = pin.partition("==")
            if pin and _installed_version(name.partition("[")[0]) != version:
                yield pin


def _installed_version(name: str) -> str | None:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None


def _install(home: Path, *words: str) -> None:
    """Install packages into *home*, with uv if it is installed, otherwise with pip."""
    python = str(home / "bin" / "python")
    uv = shutil.which("uv")
    if uv:
        command = [uv, "pip", "install", "--quiet", "--python", python]
    else:
        pip = [sys.executable, "-m", "pip", "--python", python, "--disable-pip-version-check"]
        command = [*pip, "install", "--quiet"]
    subprocess.run([*command, *words], check=True)


def _git(*words: str) -> bytes:
    return subprocess.run(["git", *words], cwd=ROOT, check=True, capture_output=True).stdout
