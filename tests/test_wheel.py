"""The wheel has the whole library; `tools/wheel_types.py` checks the types of an installed one."""

from pathlib import Path, PurePosixPath
from zipfile import ZipFile

import pytest

import pyasynq
from tools.wheel_types import ROOT, build

ABOUT = f"pyasynq-{pyasynq.__version__}.dist-info"


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> ZipFile:
    """Return the wheel."""
    return ZipFile(build(tmp_path_factory.mktemp("wheel")))


def test_the_wheel_has_every_file_of_the_package(wheel: ZipFile) -> None:
    files = {PurePosixPath(name) for name in wheel.namelist() if not name.startswith(ABOUT)}
    assert files == files_of(ROOT / "src")
    assert {".py", ".pyi", ".lua", ".typed"} <= {file.suffix for file in files}


def files_of(folder: Path) -> set[PurePosixPath]:
    found = (path.relative_to(folder) for path in folder.rglob("*") if path.is_file())
    return {PurePosixPath(file) for file in found if "__pycache__" not in file.parts}


def test_the_wheel_bears_the_version_of_the_package(wheel: ZipFile) -> None:
    assert f"{ABOUT}/METADATA" in wheel.namelist()


def test_pytest_finds_the_plugin_of_the_wheel(wheel: ZipFile) -> None:
    names = wheel.read(f"{ABOUT}/entry_points.txt").decode()
    assert "[pytest11]\npyasynq = pyasynq.testing.plugin\n" in names
