"""What tools/setup says on a machine that lacks something."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

SETUP = Path(__file__).parents[1] / "tools" / "setup"
NEEDED = ("bash", "cat", "dirname", "env", "rm")

UNAVAILABLE = 69


@pytest.fixture
def machine(tmp_path: Path) -> Path:
    """Return a folder with a copy of tools/setup and, in `bin`, the few programs that there are."""
    (tmp_path / "bin").mkdir()
    (tmp_path / "tools").mkdir()
    shutil.copy(SETUP, tmp_path / "tools")
    for name in NEEDED:
        (tmp_path / "bin" / name).symlink_to(shutil.which(name) or name)
    add_program(tmp_path, "uv", "exit 1")  # else a Python without ensurepip lacks a package, too
    return tmp_path


def add_program(machine: Path, name: str, script: str) -> None:
    program = machine / "bin" / name
    program.write_text(f"#!{shutil.which('bash')}\n{script}\n")
    program.chmod(0o755)


def set_up(machine: Path, profile: str, python: str = sys.executable) -> tuple[int, str]:
    """Return the exit status of tools/setup, and what it says."""
    done = subprocess.run(
        [machine / "tools" / "setup", profile, "true"],
        env=os.environ | {"PATH": str(machine / "bin"), "PYTHON": python},
        capture_output=True,
        text=True,
        check=False,
    )
    return done.returncode, done.stderr


def test_without_a_package_manager_one_line_says_what_to_install(machine: Path) -> None:
    text = "setup: programs are missing: apt-get install lua5.1 lua-check\n"
    assert set_up(machine, "check") == (UNAVAILABLE, text)


def test_a_user_without_rights_is_asked_no_password(machine: Path) -> None:
    add_program(machine, "apt-get", "echo installed >&2")
    add_program(machine, "id", "echo 1000")
    add_program(machine, "sudo", "exit 1")
    text = "setup: programs are missing: apt-get install lua5.1 lua-check\n"
    assert set_up(machine, "check") == (UNAVAILABLE, text)


def test_packages_of_the_distribution_are_named_before_they_are_installed(machine: Path) -> None:
    add_program(machine, "apt-get", 'echo "apt-get: ${*: -1}" >&2; exit 1')
    add_program(machine, "id", "echo 0")
    status, text = set_up(machine, "check")
    assert status == UNAVAILABLE
    assert text.splitlines() == [
        "setup: installing from the distribution: lua5.1 lua-check",
        "apt-get: update",
        "apt-get: lua-check",
        "setup: programs are missing: apt-get install lua5.1 lua-check",
    ]


def test_a_python_that_is_not_there_is_named(machine: Path) -> None:
    status, text = set_up(machine, "demo", python="python3.99")
    assert status == UNAVAILABLE
    assert text.startswith("setup: python3.99 is not Python 3.11 or later: install it")


def test_a_profile_that_is_not_there_is_named(machine: Path) -> None:
    assert set_up(machine, "lunch") == (2, "setup: no such profile: lunch\n")
