"""Counts and durations of runs."""

from typing import Final

from pyasynq.broker.redis.scripts import Script

add_runs: Final = Script("history/add_runs")
