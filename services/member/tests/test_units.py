"""The systemd units are valid, and start the processes of the service."""

import re
import shutil
import subprocess
from configparser import RawConfigParser
from pathlib import Path

import pytest

from member.durations import parse_duration
from member.settings import Settings
from services.member.tests.deployment import DEPLOY, LEAVING, example
from services.member.tests.image import PROGRAMS

UNITS = DEPLOY / "systemd"
SERVICES = ["member.service", "member-worker@.service", "member-relay.service"]
ROLES = dict(zip(SERVICES, ["grpc,http", "worker", "relay"], strict=True))

WORST_EXPOSURE = 15
"""Exposure score, of 100 points; a service without any hardening has 96."""


def unit(name: str) -> RawConfigParser:
    """Return the sections of a unit; of a repeated name, the last value."""
    parser = RawConfigParser(strict=False, interpolation=None, delimiters=("=",))
    parser.optionxform = str  # type: ignore[assignment]  # names of units have capitals
    parser.read(UNITS / name)
    return parser


@pytest.fixture
def installed(tmp_path: Path) -> Path:
    """The units as on a machine with the programs and a second worker."""
    program = shutil.which("true")
    for file in UNITS.iterdir():
        text = re.sub(rf"{PROGRAMS}/bin/member\b", str(program), file.read_text())
        (tmp_path / file.name.replace("@.", "@8102.")).write_text(text)
    return tmp_path


def systemd_analyze(*arguments: str | Path) -> None:
    """Run the tool; fail with its output if it finds a problem."""
    done = subprocess.run(
        ["systemd-analyze", *arguments], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_systemd_finds_nothing_wrong_with_the_units(installed: Path) -> None:
    systemd_analyze("verify", "--man=no", *sorted(installed.iterdir()))


def test_a_process_is_exposed_to_little_and_exposes_little(installed: Path) -> None:
    services = sorted(installed.glob("*.service"))
    threshold = f"--threshold={WORST_EXPOSURE}"
    systemd_analyze("security", "--offline=true", "--no-pager", threshold, *services)


@pytest.mark.parametrize("name", SERVICES)
def test_a_unit_starts_its_roles(name: str) -> None:
    command = unit(name)["Service"]["ExecStart"]
    assert command == f"{PROGRAMS}/bin/member --roles {ROLES[name]}"


@pytest.mark.parametrize("name", SERVICES)
def test_a_unit_says_where_its_process_listens_in_words_of_the_settings(name: str) -> None:
    words = unit(name)["Service"]["Environment"].split()
    variables = dict(word.split("=", 1) for word in words)
    assert "HTTP_SERVER_ADDRESS" in variables
    assert set(variables) <= {field.upper() for field in Settings.model_fields}


def test_no_two_processes_listen_at_the_same_place() -> None:
    words = [word for name in SERVICES for word in unit(name)["Service"]["Environment"].split()]
    addresses = [word.partition("=")[2] for word in words]
    assert len(set(addresses)) == len(addresses)


@pytest.mark.parametrize("name", SERVICES)
def test_a_unit_lets_its_process_drain_before_it_is_killed(name: str) -> None:
    allowed = parse_duration(unit(name)["Service"]["TimeoutStopSec"] + "s")
    assert allowed > parse_duration(example()["SHUTDOWN_TIMEOUT"]) + LEAVING


def test_the_units_differ_only_in_what_they_are_for() -> None:
    own = {"ExecStart", "Environment", "MemoryMax"}
    first, *others = (
        {k: v for k, v in unit(n)["Service"].items() if k not in own} for n in SERVICES
    )
    assert others == [first, first]


@pytest.mark.parametrize("name", SERVICES)
def test_a_unit_stops_with_the_target(name: str) -> None:
    sections = unit(name)
    assert sections["Unit"]["PartOf"] == sections["Install"]["WantedBy"] == "member.target"
