"""Tests on Redis and on a file of SQLite."""

from tests.support.addresses import address, broker, pytest_generate_tests

__all__ = ["address", "broker", "pytest_generate_tests"]
