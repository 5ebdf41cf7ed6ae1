"""Tracebacks as the log shows them: from the first frame of the user's code on."""

import asyncio
import concurrent.futures
import os
from pathlib import Path
from types import TracebackType
from typing import Final, TypeAlias

ExcInfo: TypeAlias = tuple[type[BaseException], BaseException, TracebackType | None]

_OURS: Final = (
    f"{Path(__file__).parents[2]}{os.sep}",
    f"{Path(asyncio.__file__).parent}{os.sep}",
    f"{Path(concurrent.futures.__file__).parent}{os.sep}",
)
"""Where the code is that leads to a handler."""


def format_traceback(error: BaseException) -> ExcInfo | None:
    """Return what the log shows of *error*, which stays as it is; None if that is nothing."""
    frames = error.__traceback__
    while frames is not None and frames.tb_frame.f_code.co_filename.startswith(_OURS):
        frames = frames.tb_next
    if frames is None and error.__cause__ is None and error.__context__ is None:
        return None
    return error.__class__, error, frames
