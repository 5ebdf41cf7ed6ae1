"""What a supervisor knows of a worker process."""

import asyncio
import socket
import sys
from pathlib import Path

from pyasynq.cli.worker_process import START_S, WorkerProcess


async def test_a_process_that_hangs_while_it_imports_its_app_becomes_silent() -> None:
    program = (sys.executable, "-c", "input()")
    hanging = await asyncio.create_subprocess_exec(*program, stdin=asyncio.subprocess.PIPE)
    ours, theirs = socket.socketpair()
    with ours, theirs:
        process = WorkerProcess(hanging, ours, server_id="s", socket=Path("nowhere"), stop_s=1)
        assert process.silent_s == 0
        process.started_at -= START_S + 12
        assert process.silent_s >= 12
        await hanging.communicate(b"\n")
        assert await process.wait() == 0
