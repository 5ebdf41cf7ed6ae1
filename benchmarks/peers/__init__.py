"""One file for each task queue, each run in a process of its own; see `benchmarks.contract`."""
