"""Runs tasks: what is taken, what runs, and what became of it."""
