"""A program that uses SQLite loads nothing of Redis."""

import subprocess
import sys
from typing import Final

PROGRAM: Final = """
import asyncio, sys
import pyasynq

app = pyasynq.App("sqlite://")

@app.task("t")
async def run() -> None:
    print("ran")

async def main() -> None:
    async with app:
        await run.enqueue()
    await app.server(burst=True).run()
    async with pyasynq.Inspector("sqlite://") as inspector:
        await inspector.queues()

asyncio.run(main())
print(sorted(name for name in sys.modules if name.partition(".")[0] in {"redis", "hiredis"}))
"""


def test_a_program_on_sqlite_does_not_import_the_driver_of_redis() -> None:
    command = [sys.executable, "-c", PROGRAM]
    result = subprocess.run(command, capture_output=True, text=True, check=True)
    assert result.stdout == "ran\n[]\n"
