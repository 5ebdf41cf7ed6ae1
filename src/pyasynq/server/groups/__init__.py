"""Combines the tasks of groups."""
