"""No statement needs a newer SQLite than the oldest one that is supported, 3.24.

RHEL 9 has 3.34, Ubuntu 22.04 has 3.37; the tests run with that of this machine.
"""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

import pyasynq.broker.sqlite
from pyasynq.broker.sqlite.connection import OLDEST

NEWER = {
    r"\bRENAME COLUMN\b": "3.25",
    r"\bOVER\s*\(|\bWINDOW\b": "3.25",
    r"\bVACUUM\b.*\bINTO\b": "3.27",
    r"\bNULLS (FIRST|LAST)\b": "3.30",
    r"\bFILTER\s*\(": "3.30",
    r"\bGENERATED ALWAYS\b|\bAS \(.*\) (STORED|VIRTUAL)\b": "3.31",
    r"\biif\s*\(": "3.32",
    r"^\s*UPDATE\b.*\bSET\b.*\bFROM\b": "3.33",
    r"\bRETURNING\b": "3.35",
    r"\bDROP COLUMN\b": "3.35",
    r"\bMATERIALIZED\b": "3.35",
    r"\bON CONFLICT\b.*\bON CONFLICT\b|\bON CONFLICT DO UPDATE\b": "3.35",
    r"\b(ceil|ceiling|exp|floor|ln|log|log10|mod|pow|power|sqrt|trunc)\s*\(": "3.35",
    r"\)\s*(WITHOUT ROWID\s*,\s*)?STRICT\b": "3.37",
    r"->": "3.38",
    r"\b(unixepoch|format)\s*\(": "3.38",
    r"\bIS (NOT )?DISTINCT FROM\b": "3.39",
    r"\b(RIGHT|FULL)( OUTER)? JOIN\b": "3.39",
    r"\boctet_length\s*\(": "3.43",
    r"\b(concat|concat_ws|string_agg)\s*\(": "3.44",
    r"\bjson\w*\s*\(": "a build with JSON functions",
}
"""What newer versions know, as patterns of statements without subqueries, with these versions."""

EXAMPLES = [
    "ALTER TABLE t RENAME COLUMN a TO b",
    "SELECT row_number() OVER (ORDER BY a) FROM t",
    "VACUUM INTO 'backup.db'",
    "SELECT a FROM t ORDER BY a NULLS LAST",
    "SELECT count(*) FILTER (WHERE a) FROM t",
    "CREATE TABLE t(a, b AS (a + 1) STORED)",
    "SELECT iif(a, 1, 2) FROM t",
    "UPDATE t SET a = u.a FROM u WHERE u.b = t.b",
    "DELETE FROM t WHERE a = ? RETURNING b",
    "ALTER TABLE t DROP COLUMN a",
    "WITH u AS MATERIALIZED (SELECT 1) SELECT * FROM u",
    "INSERT INTO t VALUES (1) ON CONFLICT DO UPDATE SET a = 1",
    "SELECT floor(a) FROM t",
    "CREATE TABLE t(a INTEGER) STRICT",
    "SELECT a ->> 'b' FROM t",
    "SELECT unixepoch()",
    "SELECT a FROM t WHERE a IS NOT DISTINCT FROM ?",
    "SELECT * FROM t FULL JOIN u USING (a)",
    "SELECT octet_length(a) FROM t",
    "SELECT concat(a, b) FROM t",
    "SELECT * FROM json_each(?)",
]

VERBS = ("ALTER", "BEGIN", "CREATE", "DELETE", "DROP", "INSERT", "PRAGMA", "SELECT", "UPDATE")


def statements() -> Iterator[str]:
    """Yield every statement in the code, with a mark for each value that is put in."""
    for file in sorted(Path(pyasynq.broker.sqlite.__file__).parent.glob("*.py")):
        for node in ast.walk(ast.parse(file.read_text())):
            text = _text(node)
            if text.lstrip().startswith(VERBS):
                yield " ".join(text.split())


def _text(node: ast.AST) -> str:
    match node:
        case ast.Constant(value=str(text)):
            return text
        case ast.JoinedStr(values=parts):
            return "".join(_text(part) or "?" for part in parts)
        case _:
            return ""


def needs(statement: str) -> set[str]:
    """Return the versions, newer than the oldest one, that know parts of *statement*."""
    parts = [statement]
    while (inner := re.search(r"\(([^()]*)\)", statement)) is not None:
        parts.append(inner[1])
        statement = statement.replace(inner[0], "<>")
    texts = [*parts, statement.replace("<>", "()")]
    return {
        version
        for pattern, version in NEWER.items()
        for text in texts
        if re.search(pattern, text, re.IGNORECASE)
    }


def test_every_statement_is_known_to_the_oldest_sqlite() -> None:
    assert OLDEST == (3, 24, 0)
    found = list(statements())
    assert len(found) > 100
    assert {statement: needs(statement) for statement in found if needs(statement)} == {}


@pytest.mark.parametrize("statement", EXAMPLES)
def test_what_newer_versions_know_is_noticed(statement: str) -> None:
    assert needs(statement)
