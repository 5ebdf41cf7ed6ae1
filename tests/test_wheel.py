"""The wheel has the whole library, and users who install it get its types."""

import json
import os
import shutil
import subprocess
import sys
import sysconfig
import venv
from pathlib import Path
from typing import Any

import pytest

import pyasynq
from pyasynq.integrations import django

ROOT = Path(__file__).parents[1]
PROGRAMS = Path(__file__).parent / "typing"
MYPY_CACHE = ROOT / ".mypy_cache" / "wheel"
"""Spares the next run nine tenths of mypy's work: the packages that the library requires."""


@pytest.fixture(scope="session")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the site-packages of an environment with the wheel and its requirements."""
    wheels, environment = tmp_path_factory.mktemp("wheels"), tmp_path_factory.mktemp("environment")
    pip("wheel", "--no-build-isolation", "--no-deps", "--wheel-dir", wheels, ROOT)
    venv.create(environment, symlinks=True)
    python = environment / "bin" / "python"
    pip("--python", python, "install", "--no-deps", "--no-index", "--no-compile", *wheels.iterdir())
    (packages,) = environment.glob("lib/python*/site-packages")
    # A path in a .pth file brings the packages that are there, but not what their own .pth files
    # name, this project among them.
    (packages / "needed.pth").write_text(sysconfig.get_path("purelib"))
    return packages


def pip(*arguments: str | Path) -> None:
    command = [sys.executable, "-m", "pip", "--disable-pip-version-check", *arguments]
    subprocess.run(command, check=True, capture_output=True)


def files_of(folder: Path) -> set[Path]:
    found = (path.relative_to(folder) for path in folder.rglob("*") if path.is_file())
    return {file for file in found if "__pycache__" not in file.parts}


def test_the_wheel_has_every_file_of_the_package(installed: Path) -> None:
    files = files_of(installed / "pyasynq")
    assert files == files_of(ROOT / "src" / "pyasynq")
    assert {".py", ".pyi", ".lua", ".typed"} <= {file.suffix for file in files}


def test_the_wheel_bears_the_version_of_the_package(installed: Path) -> None:
    assert (installed / f"pyasynq-{pyasynq.__version__}.dist-info").is_dir()


def test_pytest_finds_the_plugin_of_the_wheel(installed: Path) -> None:
    names = (
        installed / f"pyasynq-{pyasynq.__version__}.dist-info" / "entry_points.txt"
    ).read_text()
    assert "[pytest11]\npyasynq = pyasynq.testing.plugin\n" in names


# Right programs pass; each mistake in them bears a comment, and one that finds nothing is an error.
CHECKERS = {
    "mypy": ["mypy", "--strict", f"--cache-dir={MYPY_CACHE}", "--python-executable"],
    "pyright": ["pyright", "--pythonpath"],
}
STRICT = {"typeCheckingMode": "strict", "reportUnnecessaryTypeIgnoreComment": "error"}


@pytest.mark.parametrize("checker", CHECKERS)
def test_a_type_checker_finds_the_mistakes_of_those_who_install_it(
    installed: Path, tmp_path: Path, checker: str
) -> None:
    programs = shutil.copytree(PROGRAMS, tmp_path / "programs")
    (programs / "pyrightconfig.json").write_text(json.dumps(STRICT))
    python = installed.parents[2] / "bin" / "python"
    command = [sys.executable, "-m", *CHECKERS[checker], python, "."]
    found = subprocess.run(command, cwd=programs, capture_output=True, text=True, check=False)
    assert found.returncode == 0, found.stdout + found.stderr
    assert found.stdout.startswith(("Success", "0 errors"))


FOR_USERS_OF_DJANGO = {f"pyasynq.integrations.django.{name}" for name in django.__all__}


def test_every_public_name_says_its_type(installed: Path) -> None:
    python = installed.parents[2] / "bin" / "python"
    command = [sys.executable, "-m", "pyright", "--pythonpath", python, "--outputjson"]
    found = subprocess.run(
        [*command, "--verifytypes", "pyasynq", "--ignoreexternal"],
        env=os.environ | {"PYTHONPATH": str(installed)},  # otherwise it may read the sources
        capture_output=True,
        text=True,
        check=False,
    )
    report = json.loads(found.stdout)["typeCompleteness"]
    assert report["moduleRootDirectory"] == str(installed / "pyasynq")
    assert [it["name"] for it in report["symbols"] if says_too_little(it)] == []


def says_too_little(symbol: dict[str, Any]) -> bool:
    """Return whether a public name does not say its type; Django has none to say."""
    name: str = symbol["name"]
    if name.startswith("pyasynq.integrations.django.") and name not in FOR_USERS_OF_DJANGO:
        return False
    known = symbol["isTypeKnown"] and not symbol["isTypeAmbiguous"]
    return bool(symbol["isExported"] and not known)
