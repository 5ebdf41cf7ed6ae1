"""The runtime: clock, event loops, threads, signals, actors and services."""
