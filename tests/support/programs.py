"""Run Python programs that serve until a signal stops them."""

import os
import signal
import subprocess
import sys
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

PATIENCE_S = 60

ENDED_BY_SIGTERM = {0, -signal.SIGTERM}
"""Exit codes after SIGTERM; uvicorn raises the signal again at its end."""


@contextmanager
def running(
    words: Sequence[str | Path], folder: Path, environment: Mapping[str, str]
) -> Generator[None]:
    """Run ``python -m`` *words* while the block runs; then SIGTERM must end it.

    Args:
        words: The module and its arguments.
        folder: Where it runs.
        environment: Added to that of the tests.
    """
    process = subprocess.Popen(
        [sys.executable, "-m", *words], cwd=folder, env=os.environ | environment
    )
    try:
        yield
        process.send_signal(signal.SIGTERM)
        assert process.wait(PATIENCE_S) in ENDED_BY_SIGTERM
    finally:
        process.kill()
        process.wait()
