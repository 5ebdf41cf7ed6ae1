"""Check that who installs the wheel gets the types of the library.

    python tools/wheel_types.py

Type checkers read the programs in tests/typing against an installed wheel, as users do: right
programs pass, and each deliberate mistake in them bears a comment that is an error if the checker
does not find the mistake. Every public name must say its type.
"""

import json
import os
import shutil
import subprocess
import sys
import sysconfig
import venv
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from pyasynq.integrations import django

ROOT = Path(__file__).parents[1]
PROGRAMS = ROOT / "tests" / "typing"
MYPY_CACHE = ROOT / ".mypy_cache" / "wheel"
"""Spares the next run nine tenths of mypy's work: the packages that the library requires."""

CHECKERS = {
    "mypy": ["mypy", "--strict", f"--cache-dir={MYPY_CACHE}", "--python-executable"],
    "pyright": ["pyright", "--pythonpath"],
}
STRICT = {"typeCheckingMode": "strict", "reportUnnecessaryTypeIgnoreComment": "error"}

FOR_USERS_OF_DJANGO = {f"pyasynq.integrations.django.{name}" for name in django.__all__}


def build(folder: Path) -> Path:
    """Build the wheel in *folder*, without a network; return its file."""
    _pip("wheel", "--no-build-isolation", "--no-deps", "--wheel-dir", folder, ROOT)
    (wheel,) = folder.glob("*.whl")
    return wheel


def install(folder: Path) -> Path:
    """Install the wheel in an environment in *folder*; return its site-packages."""
    environment = folder / "environment"
    venv.create(environment, symlinks=True)
    python = environment / "bin" / "python"
    _pip("--python", python, "install", "--no-deps", "--no-index", "--no-compile", build(folder))
    (packages,) = environment.glob("lib/python*/site-packages")
    # A path in a .pth file brings the packages that are there, but not what their own .pth files
    # name, this project among them.
    (packages / "needed.pth").write_text(sysconfig.get_path("purelib"))
    return packages


def _pip(*arguments: str | Path) -> None:
    command = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check", *arguments]
    subprocess.run(command, check=True)


def check_programs(checker: str, python: Path, programs: Path) -> str:
    """Return what *checker* says about *programs*; empty if all is as it should be."""
    command = [sys.executable, "-m", *CHECKERS[checker], python, "."]
    found = subprocess.run(command, cwd=programs, capture_output=True, text=True, check=False)
    if found.returncode == 0 and found.stdout.startswith(("Success", "0 errors")):
        return ""
    return found.stdout + found.stderr


def check_names(python: Path, installed: Path) -> str:
    """Return a line for each public name that does not say its type."""
    command = [sys.executable, "-m", "pyright", "--pythonpath", python, "--outputjson"]
    found = subprocess.run(
        [*command, "--verifytypes", "pyasynq", "--ignoreexternal"],
        env=os.environ | {"PYTHONPATH": str(installed)},  # otherwise it may read the sources
        capture_output=True,
        text=True,
        check=False,
    )
    report = json.loads(found.stdout)["typeCompleteness"]
    if report["moduleRootDirectory"] != str(installed / "pyasynq"):
        return f"pyright has read {report['moduleRootDirectory']} instead of the wheel\n"
    names = [symbol["name"] for symbol in report["symbols"] if _says_too_little(symbol)]
    return "".join(f"{name} does not say its type\n" for name in names)


def _says_too_little(symbol: dict[str, Any]) -> bool:
    """Return whether a public name does not say its type.

    Names that only Django uses need not: they are made of Django's, which have no types.
    """
    name: str = symbol["name"]
    if name.startswith("pyasynq.integrations.django.") and name not in FOR_USERS_OF_DJANGO:
        return False
    known = symbol["isTypeKnown"] and not symbol["isTypeAmbiguous"]
    return bool(symbol["isExported"] and not known)


def main() -> int:
    """Print what is wrong; return 1 if something is, else 0."""
    with TemporaryDirectory(prefix="wheel-") as name:
        folder = Path(name).resolve()
        installed = install(folder)
        python = folder / "environment" / "bin" / "python"
        programs = shutil.copytree(PROGRAMS, folder / "programs")
        (programs / "pyrightconfig.json").write_text(json.dumps(STRICT))
        problems = [check_programs(checker, python, programs) for checker in CHECKERS]
        problems.append(check_names(python, installed))
    sys.stdout.write("".join(problems))
    return int(any(problems))


if __name__ == "__main__":
    sys.exit(main())
