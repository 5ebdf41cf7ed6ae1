"""Run the shell blocks of a Markdown page in order, in one bash, as its reader would.

If a block of text follows a shell block, the shell block must print exactly that text; `…` in it
stands for anything within a line. The page shows fixed ports; the tests replace them by others.
"""

import asyncio
import os
import re
import signal
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

_BLOCK = re.compile(r"^```sh\n(.*?)^```$(?:\n\n^```text\n(.*?)^```$)?", re.MULTILINE | re.DOTALL)
_END = "the block has ended with"

PATIENCE_S = 60.0
"""Time limit of one block."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ShellBlock:
    """Commands, and their expected output.

    Attributes:
        line: Number of its first line in the page.
        shown: The output that the page shows; empty if it shows none.
    """

    line: int
    commands: str
    shown: str

    def check(self, printed: str, status: int) -> None:
        """Fail unless the block succeeded and printed the text that the page shows."""
        pattern = "\n".join(map(_pattern, self.shown.splitlines()))
        fits = re.fullmatch(pattern, "\n".join(map(str.strip, printed.splitlines())))
        assert fits, f"line {self.line} printed, with status {status}:\n{printed}"
        assert status == 0, f"line {self.line} ended with status {status}"


def _pattern(line: str) -> str:
    return ".*".join(re.escape(part.strip()) for part in line.split("…"))


def shell_blocks(page: str, ports: Mapping[str, str]) -> list[ShellBlock]:
    """Return the blocks of *page*, with *ports* (shown to used) replaced."""
    for shown, used in ports.items():
        page = re.sub(rf"\b{shown}\b", used, page)
    return [
        ShellBlock(line=page.count("\n", 0, m.start()) + 1, commands=m[1], shown=m[2] or "")
        for m in _BLOCK.finditer(page)
    ]


@asynccontextmanager
async def bash(folder: Path, variables: Mapping[str, str]) -> AsyncGenerator[Process]:
    """Run bash in *folder*; kill it and everything it started at the end of the block."""
    with (folder / "stderr").open("wb") as stderr:
        process = await asyncio.create_subprocess_exec(
            "bash",
            cwd=folder,
            env={**os.environ, **variables},
            stdin=PIPE,
            stdout=PIPE,
            stderr=stderr,
            start_new_session=True,
        )
    try:
        yield process
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        await process.wait()


async def run_block(shell: Process, block: ShellBlock) -> None:
    """Run *block*, and check its output."""
    assert shell.stdin is not None
    shell.stdin.write(f"{block.commands}echo {_END} $?\n".encode())
    printed: list[str] = []
    try:
        async with asyncio.timeout(PATIENCE_S):
            status = await _status(shell, printed)
    except TimeoutError:
        msg = f"line {block.line} did not end within {PATIENCE_S:g} s; it printed:\n"
        raise AssertionError(msg + "".join(printed)) from None
    block.check("".join(printed), status)


async def _status(shell: Process, printed: list[str]) -> int:
    """Append the output of a block to *printed*; return its exit status."""
    assert shell.stdout is not None
    async for line in shell.stdout:
        text = line.decode()
        if text.startswith(_END):
            return int(text.removeprefix(_END))
        printed.append(text)
    raise AssertionError("the shell ended after it printed:\n" + "".join(printed))


async def run_shell_page(
    page: str, folder: Path, *, ports: Mapping[str, str], variables: Mapping[str, str]
) -> None:
    """Run every block of *page* in *folder*, first to last."""
    async with bash(folder, variables) as shell:
        for block in shell_blocks(page, ports):
            await run_block(shell, block)
