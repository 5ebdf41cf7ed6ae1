"""Read the Lua scripts as Redis gets them: with ``luac -p``, and with luacheck.

    python tools/lua.py

A file alone says little: the loader puts names of keys and arguments and shared code before it.
"""

import subprocess
import sys
from importlib import import_module
from pathlib import Path
from pkgutil import iter_modules
from tempfile import TemporaryDirectory

from pyasynq.broker.redis import lua
from pyasynq.broker.redis.scripts import Script

SETTINGS = Path(__file__).parents[1] / ".luacheckrc"


def main() -> int:
    """Return what luacheck ends with; raise what the compiler finds."""
    with TemporaryDirectory() as name:
        folder = Path(name)
        for port in iter_modules(lua.__path__):
            for script in vars(import_module(f"{lua.__name__}.{port.name}")).values():
                if isinstance(script, Script):
                    write(script, folder / f"{script.name}.lua")
        command = ["luacheck", "--quiet", "--config", str(SETTINGS), "."]
        return subprocess.run(command, cwd=folder, check=False).returncode


def write(script: Script, file: Path) -> None:
    """Write *script*, which is to be Lua, to *file*."""
    file.parent.mkdir(exist_ok=True)
    file.write_text(script.lua)
    subprocess.run(["luac5.1", "-p", str(file)], check=True)


if __name__ == "__main__":
    sys.exit(main())
