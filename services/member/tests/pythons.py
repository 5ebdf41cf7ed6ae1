"""The Pythons on this machine that the service could run on."""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator

_VERSIONS = ("3.11", "3.12", "3.13", "3.14")


def _find_pythons() -> Iterator[str]:
    yield sys.executable
    here = "{}.{}".format(*sys.version_info)
    for version in _VERSIONS:
        found = None if version == here else shutil.which(f"python{version}")
        if found is not None:
            yield from _resolve(found, version)


def _resolve(python: str, version: str) -> Iterator[str]:
    """Yield the interpreter behind *python*, which may be a shim of pyenv."""
    env = {**os.environ, "PYENV_VERSION": _pyenv_version(version)}
    ask = [python, "-c", "import sys; print(sys.executable)"]
    answer = subprocess.run(ask, env=env, capture_output=True, text=True, check=False)
    if answer.returncode == 0:
        yield answer.stdout.strip()


def _pyenv_version(version: str) -> str:
    if shutil.which("pyenv") is None:
        return ""
    ask = ["pyenv", "whence", f"python{version}"]
    answer = subprocess.run(ask, capture_output=True, text=True, check=False)
    return answer.stdout.strip().rpartition("\n")[2]


PYTHONS = tuple(_find_pythons())
