"""Actors that combine the tasks of groups."""
