"""The image of the member service, whose first stage is built without Docker."""

from pathlib import Path

from tests.support import dockerfile
from tests.support.dockerfile import Instruction, stages_of

ROOT = Path(__file__).parents[3]
DOCKERFILE = ROOT / "services/member/deploy/Dockerfile"

PROGRAMS = "/opt/member"
"""The folder of programs in the image."""

BUILDING, FINAL = stages_of(DOCKERFILE)


def fill_context(folder: Path) -> None:
    """Copy the files of the repository that ``.dockerignore`` lets Docker see into *folder*."""
    dockerfile.fill_context(folder, source=ROOT, ignored=ROOT / ".dockerignore")


def build(stage: list[Instruction], *, context: Path, root: Path) -> Path:
    """Run the instructions of a stage with *root* as ``/``; return the folder of programs."""
    return dockerfile.build(stage, context=context, root=root, programs=PROGRAMS)
