"""End the process, even if handlers left threads or coroutines running.

Python waits at exit for threads, and for coroutines that swallow their cancellation; if these never
end, it waits forever. All outcomes are written by then, so the process can end anyway.
"""

import logging
import os
import sys
import threading
from collections.abc import Generator
from contextlib import contextmanager
from typing import Final

import click

from pyasynq.cli.exit_codes import Exit
from pyasynq.cli.invocation import Invocation

GRACE_S: Final = 2.0
"""Time for an orderly exit, ``atexit`` functions included."""

FLUSH_S: Final = 1.0
"""Time to flush the last log lines; the process that reads them may hang."""


@contextmanager
def end_process_soon(invocation: Invocation) -> Generator[None]:
    """End the process soon after the block, with the exit code that its end means.

    A program that has called the command goes on.
    """
    code: int = Exit.FAILED
    try:
        yield
        code = Exit.OK
    except click.ClickException as error:
        code = error.exit_code
        raise
    finally:
        if invocation.is_process:
            end_after(GRACE_S, code)  # all is written; what is left may hang


def end_after(wait_s: float, code: int) -> None:
    """End the process with *code* in *wait_s* seconds, if it has not ended by then."""
    timer = threading.Timer(wait_s, end_now, [code])
    timer.daemon = True
    timer.start()


def end_now(code: int) -> None:
    """End the process with *code*, without waiting for anything but the last lines."""
    flusher = threading.Thread(target=_flush, daemon=True)
    flusher.start()
    flusher.join(FLUSH_S)
    os._exit(code)


def _flush() -> None:
    logging.shutdown()
    sys.stdout.flush()
