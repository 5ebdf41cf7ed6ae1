"""Fixtures for the tests of telemetry."""

import pytest

from tests.support.telemetry import Recorder


@pytest.fixture
def recorder() -> Recorder:
    """Return providers that keep what they get."""
    return Recorder()
