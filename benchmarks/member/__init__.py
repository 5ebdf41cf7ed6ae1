"""Measure the member service: ``make bench-member``."""
