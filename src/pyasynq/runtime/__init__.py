"""What runs: the clock, event loops, threads, signals, and what all actors share."""
