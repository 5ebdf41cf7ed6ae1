"""The Pythons on this machine that the service could run on."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

_OURS = "{}.{}".format(*sys.version_info)

VERSIONS = sorted({_OURS, "3.11", "3.12", "3.13", "3.14"})


def python_of(version: str) -> str:
    """Return the interpreter of *version*; skip the test if there is none.

    Only a test that needs it asks: the first Python of the path may be a shim of pyenv, which takes
    a tenth of a second to say what is behind it.
    """
    if version == _OURS:
        return sys.executable
    found = shutil.which(f"python{version}")
    python = None if found is None else _resolve(Path(found), version)
    return python or pytest.skip(f"there is no Python {version}")


def _resolve(python: Path, version: str) -> str:
    """Return the interpreter behind *python*; empty if it does not run."""
    env = {**os.environ, "PYENV_VERSION": _pyenv_version(version)}
    ask = [python, "-c", "import sys; print(sys.executable)"]
    return subprocess.run(ask, env=env, capture_output=True, text=True, check=False).stdout.strip()


def _pyenv_version(version: str) -> str:
    if shutil.which("pyenv") is None:
        return ""
    ask = ["pyenv", "whence", f"python{version}"]
    answer = subprocess.run(ask, capture_output=True, text=True, check=False)
    return answer.stdout.strip().rpartition("\n")[2]
