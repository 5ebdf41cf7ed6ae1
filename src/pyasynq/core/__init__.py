"""Decisions: pure code, without I/O, clock or random numbers."""
