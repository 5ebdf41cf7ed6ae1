"""Check that docs, comments and docstrings use none of the words listed below.

Each entry is a regular expression and what to write instead. Add a word that a reader had to look
up, or to read twice.
"""

import io
import re
import subprocess
import sys
import tokenize
from collections.abc import Iterator
from pathlib import Path

WORDS = {
    r"whoever": "name the subject: the caller, the server, the process that",
    r"(is|are|was|were|be|being) told": "is notified, receives; or name what says it: the log",
    r"unless told( otherwise)?": "by default",
    r"tells? of": "reports, names, describes",
    r"ghosts?": "missing ids",
    r"ripe": "ready",
    r"mend(s|ed|ing)?": "fix, repair",
    r"(let|lets|letting) go": "release, close, stop",
    r"for ever": "forever",
    r"reckon(s|ed|ing)?": "compute",
    r"disbeliev\w+": "ignore, reject",
    r"(become|becomes|became) of": "happens to; or name the result: outcome, verdict, state",
    r"one's own": "your own, its own",
    r"(a|no|draws?|drew|draw) lots?": "a random number, at random",
    r"so many": "this number of, that many",
    r"so long": "this long, that long",
    r"held against": "compared with, checked against",
    r"(?-i:(?<!there )is none)": "is not one, does not exist",
    r"all the same": "still, anyway",
    r"by turns": "in turn, alternately",
    r"shall": "must, will",
    r"orders? of (an )?operators?": "action",
    r"not to be had": "unavailable",
    r"(a|the) dialect": "terms",
}
STARTS = r"(?:^|[.;:?] +)(?-i:Who|Whose|Whom)(?!.*\?)\b"
"""A sentence that begins with a relative clause has no noun for its subject."""

CHECKED = ("*.md", "*.py", "*.lua", "Makefile", "*.toml", "*.proto")
GENERATED = ("_pb2.py", "_pb2_grpc.py")
PATTERNS = [
    *((re.compile(rf"\b(?:{word})\b", re.IGNORECASE), instead) for word, instead in WORDS.items()),
    (re.compile(STARTS), "begin with a noun: the caller that, a server that"),
]


def texts(path: Path) -> Iterator[tuple[int, str]]:
    """Yield each line of prose of a file, with its number: of code, comments and strings."""
    text = path.read_text()
    if path.suffix == ".py":
        yield from _of_python(text, strings="tests" not in path.parts)
    elif path.suffix == ".lua":
        for number, line in enumerate(text.splitlines(), 1):
            if "--" in line:
                yield number, line.partition("--")[2].strip()
    else:
        yield from enumerate(text.splitlines(), 1)


def _of_python(text: str, *, strings: bool) -> Iterator[tuple[int, str]]:
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        is_docstring = token.type == tokenize.STRING and token.string.lstrip("rf").startswith('"""')
        if (
            token.type == tokenize.COMMENT
            or is_docstring
            or (strings and token.type == tokenize.STRING)
        ):
            for offset, line in enumerate(token.string.splitlines()):
                yield token.start[0] + offset, line.strip("#\"' ")


def complaints(line: str) -> Iterator[str]:
    """Yield what to write instead of each listed word that *line* contains."""
    for pattern, instead in PATTERNS:
        for match in pattern.finditer(line):
            yield f"{match.group().strip()!r}: {instead}"


def main() -> int:
    """Check the named files, or every tracked one; return 1 if a listed word was found."""
    names = (
        sys.argv[1:] or subprocess.check_output(["git", "ls-files", *CHECKED], text=True).split()
    )
    found = 0
    for name in names:
        if name.endswith(GENERATED) or name == "tools/words.py" or not Path(name).is_file():
            continue
        for number, line in texts(Path(name)):
            for complaint in complaints(line):
                print(f"{name}:{number}: {complaint}")
                found += 1
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
