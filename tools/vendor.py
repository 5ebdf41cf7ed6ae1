"""Copy the pinned JavaScript packages of the dashboard from the npm registry into the tree.

Run it after a change to the manifest: ``python tools/vendor.py``. It needs npm. Browsers do not
find a module by the name of its package without an import map, which would have to be inline:
imports of packages are therefore replaced by those of the files beside. Nothing else is changed,
which a test checks by the hashes in the manifest.
"""

import hashlib
import io
import json
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parent.parent / "src/pyasynq/dashboard/static/vendor"
MANIFEST = FOLDER / "manifest.json"


def packed(package: str) -> dict[str, bytes]:
    """Return the files of *package*, which is ``name@version``."""
    with tempfile.TemporaryDirectory() as folder:
        command = ["npm", "pack", "--silent", package]
        name = subprocess.check_output(command, cwd=folder, text=True).split()[-1]
        data = (Path(folder) / name).read_bytes()
    with tarfile.open(fileobj=io.BytesIO(data)) as archive:
        members = {member.name: archive.extractfile(member) for member in archive}
        return {name: file.read() for name, file in members.items() if file}


def replace_imports(text: str, imports: dict[str, str]) -> str:
    """Return *text* with packages replaced by files, as *imports* says."""
    for package, file in imports.items():
        text = text.replace(f'from"{package}"', f'from"{file}"')
    return text


def sha256(data: bytes) -> str:
    """Return the hash of *data* as the manifest has it."""
    return hashlib.sha256(data).hexdigest()


def vendor(entry: dict[str, Any], imports: dict[str, str]) -> None:
    """Write the files of one entry of the manifest, and note their hashes in it."""
    files = packed(f"{entry['name']}@{entry['version']}")
    for file in entry["files"]:
        original = files[f"package/{file['source']}"]
        here = replace_imports(original.decode(), imports).encode()
        (FOLDER / file["file"]).write_bytes(here)
        file |= {"source_sha256": sha256(original), "sha256": sha256(here)}


def main() -> int:
    """Write all files that the manifest names."""
    manifest = json.loads(MANIFEST.read_text())
    for entry in manifest["packages"]:
        vendor(entry, manifest["imports"])
    MANIFEST.write_text(json.dumps(manifest, indent=2) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
