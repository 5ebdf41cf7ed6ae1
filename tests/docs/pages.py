"""Run the Python blocks of a Markdown page as the one program that its reader would write.

The blocks of a page share names and an event loop, and may await at top level. The page shows its
reader a Redis at the usual address; its blocks are run on another. A block that cannot be run
stands after `<!-- skip: next "why" -->`.
"""

import ast
import asyncio
import inspect
import sys
from contextlib import suppress
from pathlib import Path
from types import ModuleType
from typing import Any
from unittest import SkipTest

from sybil import Document, Example
from sybil.parsers.markdown import CodeBlockParser, SkipParser

READERS_REDIS = "127.0.0.1:6379"
"""The address in the pages."""


def run_page(path: Path, redis_address: str) -> None:
    """Run every block of a page, first to last.

    Args:
        path: The page.
        redis_address: `host:port` of the Redis to run on.
    """
    with asyncio.Runner() as runner:

        def run(example: Example) -> None:
            _run_block(example, runner, redis_address)

        page = Document.parse(
            str(path), CodeBlockParser(language="python", evaluator=run), SkipParser()
        )
        page.namespace = _names_of_page()
        for block in page.examples():
            # Sybil takes a block for a test of its own; here it is a part of one.
            with suppress(SkipTest):
                block.evaluate()


def _names_of_page() -> dict[str, Any]:
    """Return the names of a fresh module; classes ask for the module they are defined in."""
    module = ModuleType("page")
    sys.modules[module.__name__] = module
    return vars(module)


def _run_block(example: Example, runner: asyncio.Runner, redis_address: str) -> None:
    # Empty lines in front make the line numbers of a traceback those of the page.
    lines_before = "\n" * (example.line + example.parsed.line_offset)
    source = lines_before + example.parsed.replace(READERS_REDIS, redis_address)
    code = compile(source, example.path, "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
    result = eval(code, example.namespace)
    if inspect.iscoroutine(result):
        runner.run(result)
