"""Tracebacks for the log, which begin at the first frame of the user's code."""

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
"""Folders of the code that calls a handler; its frames are left out."""


def format_traceback(error: BaseException) -> ExcInfo | None:
    """Return ``exc_info`` for *error*, which is not changed; None if there is nothing to show."""
    frames = error.__traceback__
    while frames is not None and frames.tb_frame.f_code.co_filename.startswith(_OURS):
        frames = frames.tb_next
    if frames is None and error.__cause__ is None and error.__context__ is None:
        return None
    return error.__class__, error, frames
