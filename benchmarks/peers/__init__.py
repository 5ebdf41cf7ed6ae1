"""One file for each task queue; each runs in its own process. See `benchmarks.contract`."""
