"""Print the oldest packages that pyproject.toml allows, as pip takes them: ``redis==8.0 ...``."""

import re
import sys
import tomllib
from pathlib import Path

PROJECT = Path(__file__).parents[1] / "pyproject.toml"
BOUND = re.compile(r"(?P<name>[\w.-]+)(\[[\w,-]+\])?>=(?P<version>[\d.]+)(?P<marker>;\S+)?")


def main() -> None:
    project = tomllib.loads(PROJECT.read_text())["project"]
    extras = project["optional-dependencies"].values()
    print(*sorted({pin(each) for each in sum(extras, project["dependencies"])}))


def pin(requirement: str) -> str:
    """Return the oldest version that *requirement* allows, as a requirement of its own."""
    if found := BOUND.fullmatch(requirement):
        return f"{found['name']}=={found['version']}{found['marker'] or ''}"
    sys.exit(f"pyproject.toml: {requirement!r} has no lower bound such as >=1.2")


if __name__ == "__main__":
    main()
