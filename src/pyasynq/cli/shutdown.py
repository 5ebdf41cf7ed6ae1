"""End the process, even if handlers left threads or coroutines running.

Python waits at exit for threads, and for coroutines that swallow their cancellation, perhaps
forever. By then the server has written all outcomes, so it is safe to end the process.
"""

import logging
import os
import sys
import threading
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

import click

from pyasynq.cli.exit_codes import Exit

GRACE_S: Final = 2.0
"""Time for an orderly exit, ``atexit`` functions included."""

FLUSH_S: Final = 1.0
"""Time to flush the last log lines; the process that reads them may hang."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Invocation:
    """One call of `main`: the object of click's context.

    Attributes:
        arguments: The command line without the program's name.
        is_process: Whether these are the arguments of this process: the command may then end it.
    """

    arguments: Sequence[str]
    is_process: bool


@contextmanager
def end_process_soon(invocation: Invocation) -> Generator[None]:
    """End the process soon after the block: exit code 0, or that of the error.

    If a program has called `main`, the process goes on.
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
            end_after(GRACE_S, code)


def end_after(wait_s: float, code: int) -> None:
    """End the process with *code* in *wait_s* seconds, if it has not ended by then."""
    timer = threading.Timer(wait_s, end_now, [code])
    timer.daemon = True
    timer.start()


def end_now(code: int) -> None:
    """End the process with *code* after the last log lines are written."""
    flusher = threading.Thread(target=_flush, daemon=True)
    flusher.start()
    flusher.join(FLUSH_S)
    os._exit(code)


def _flush() -> None:
    logging.shutdown()
    sys.stdout.flush()
