"""Check the Lua scripts in the form that Redis gets, with ``luac -p`` and luacheck.

    python tools/lua.py

A single file is not enough: the loader adds names of keys and arguments and shared code.
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
    """Return the exit code of luacheck; raise an error if luac refuses a script."""
    with TemporaryDirectory() as name:
        folder = Path(name)
        for port in iter_modules(lua.__path__):
            for script in vars(import_module(f"{lua.__name__}.{port.name}")).values():
                if isinstance(script, Script):
                    write_and_compile(script, folder / f"{script.name}.lua")
        command = ["luacheck", "--quiet", "--config", str(SETTINGS), "."]
        return subprocess.run(command, cwd=folder, check=False).returncode


def write_and_compile(script: Script, file: Path) -> None:
    """Write *script* to *file*, and compile it."""
    file.parent.mkdir(exist_ok=True)
    file.write_text(script.lua)
    subprocess.run(["luac5.1", "-p", str(file)], check=True)


if __name__ == "__main__":
    sys.exit(main())
