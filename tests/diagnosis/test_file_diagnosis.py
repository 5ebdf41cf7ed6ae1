"""The checks of ``pyasynq doctor`` for a file of SQLite decide what is wrong."""

import pytest

from pyasynq.broker import NodeReport
from pyasynq.diagnosis.checks import Check
from pyasynq.diagnosis.file_diagnosis import check_file

MIB = 1024 * 1024
SOUND = {
    "sqlite_version": "3.51.3",
    "file": "/srv/tasks.db",
    "size": "94208",
    "free": "0",
    "mode": "600",
    "writable": "yes",
    "log_size": "4096",
    "network_filesystem": "",
    "disk_free": str(1024 * MIB),
    "disk_reserve": str(64 * MIB),
}


def check(synchronous: str = "accept", **info: str) -> dict[str, Check]:
    """Return the checks of a sound file with other *info*, by name."""
    report = NodeReport(
        address="",
        info=SOUND | info,
        settings={"synchronous": synchronous},
        offset_s=0.0,
        round_trip_s=0.0,
    )
    return {check.check: check for check in check_file(report)}


def test_nothing_is_wrong_with_a_sound_file() -> None:
    checks = check()
    assert {it.status for it in checks.values()} == {"ok"}
    assert checks["file"].message == "92.0 KiB, 0 bytes unused"


@pytest.mark.parametrize("version", ["3.51.3", "3.52.0", "3.50.7", "3.44.6", "4.0.0"])
def test_a_version_whose_checkpoints_are_safe_is_only_named(version: str) -> None:
    assert check(sqlite_version=version)["sqlite"].message == f"SQLite {version}"


@pytest.mark.parametrize("version", ["3.24.0", "3.40.1", "3.44.5", "3.50.6", "3.51.2"])
def test_a_version_with_the_reset_bug_is_told_without_alarm(version: str) -> None:
    found = check(sqlite_version=version)["sqlite"]
    assert (found.status, "WAL-reset bug" in found.message) == ("ok", True)


def test_a_file_that_this_user_may_not_write_is_a_problem() -> None:
    assert check(writable="no")["rights"].status == "problem"


@pytest.mark.parametrize(
    ("mode", "status"), [("660", "ok"), ("644", "warning"), ("602", "warning")]
)
def test_a_file_that_everybody_may_read_or_write_is_a_warning(mode: str, status: str) -> None:
    assert check(mode=mode)["rights"].status == status


@pytest.mark.parametrize(
    ("free_mib", "status"), [(63, "problem"), (64, "warning"), (255, "warning"), (256, "ok")]
)
def test_a_full_disk_is_told_before_tasks_are_refused(free_mib: int, status: str) -> None:
    assert check(disk_free=str(free_mib * MIB))["disk"].status == status


def test_a_network_file_system_is_a_warning() -> None:
    found = check(network_filesystem="NFS")["disk"]
    assert (found.status, "NFS" in found.message) == ("warning", True)


def test_a_log_that_is_never_emptied_is_a_warning() -> None:
    found = check(log_size=str(64 * MIB))["log"]
    assert (found.status, found.message) == ("warning", "the write-ahead log has 64.0 MiB")


@pytest.mark.parametrize("synchronous", ["full", "accept", "normal"])
def test_what_a_power_cut_loses_depends_on_the_setting(synchronous: str) -> None:
    found = check(synchronous)["persistence"]
    assert (found.status, found.message.startswith("a power cut")) == ("ok", True)
