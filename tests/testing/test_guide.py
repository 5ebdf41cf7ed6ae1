"""The files that the guide shows are a project whose tests pass."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.testing.test_plugin import run_pytest

GUIDE = Path(__file__).parents[2] / "docs/guides/testing.md"
FILE = re.compile(r"^```(?:python|ini)\n# (\S+\.(?:py|ini))\n(.*?)^```$", re.DOTALL | re.MULTILINE)


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """Return a folder with the files of the guide."""
    for name, text in FILE.findall(GUIDE.read_text()):
        (tmp_path / name).write_text(text)
    return tmp_path


def names_in(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


async def test_the_tests_of_the_guide_pass(project: Path) -> None:
    assert names_in(project) == {
        "conftest.py",
        "pytest.ini",
        "shop.py",
        "test_shop.py",
        "test_unittest.py",
    }
    output = await run_pytest(project, "-W", "error")
    assert "4 passed" in output, output


def test_the_tests_of_the_guide_pass_without_pytest(project: Path) -> None:
    command = [sys.executable, "-m", "unittest", "test_unittest"]
    done = subprocess.run(command, cwd=project, capture_output=True, text=True, check=False)
    assert done.stderr.endswith("OK\n"), done.stderr
