"""Names of tests that pages cite, and the tests that exist."""

import ast
import re
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[2]
FILES = sorted((ROOT / "tests").rglob("test_*.py"))

TEST = re.compile(r"`((?:\w+/)*test_\w+\.py)(?:::(\w+))?`")
"""A file, as its path below the folder of tests or the end of that, and maybe a test in it."""


def missing(text: str) -> list[str]:
    """Return the tests that *text* names and that do not exist."""
    named: list[tuple[str, str]] = TEST.findall(text)
    return [f"{file}::{name}" for file, name in named if not _exists(file, name)]


def _exists(file: str, name: str) -> bool:
    paths = [path for path in FILES if path.as_posix().endswith(f"/{file}")]
    return any(not name or name in _names_in(path) for path in paths)


@cache
def _names_in(path: Path) -> frozenset[str]:
    statements = ast.parse(path.read_text()).body
    functions = (n for n in statements if isinstance(n, ast.FunctionDef | ast.AsyncFunctionDef))
    return frozenset(n.name for n in functions if n.name.startswith("test_"))
