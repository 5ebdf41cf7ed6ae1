"""Run ``manage.py`` of a project without waiting for the imports of Django and pyasynq."""

from collections.abc import Mapping
from contextlib import AbstractAsyncContextManager
from pathlib import Path

from tests.cli.processes import IMPORTS, WorkerProcess, forked

OF_DJANGO = (
    "django.core.handlers.wsgi",
    "django.core.management.commands.runserver",
    "django.core.servers.basehttp",
    "django.db.backends.sqlite3.base",
    "django.db.migrations.autodetector",
    "django.db.models",
    "django.forms",
    "django.test",
    "django.test.runner",
    "django.views.decorators.http",
)


def start(
    manage: Path, *words: str, cwd: Path, environ: Mapping[str, str] | None = None
) -> AbstractAsyncContextManager[WorkerProcess]:
    """Start *manage* with *words*; kill it in the end."""
    return forked(str(manage), *words, imports=(*IMPORTS, *OF_DJANGO), cwd=cwd, environ=environ)


async def run(
    manage: Path, *words: str, cwd: Path, environ: Mapping[str, str] | None = None
) -> tuple[int, str]:
    """Run *manage* with *words*; return its exit code and its output."""
    async with start(manage, *words, cwd=cwd, environ=environ) as process:
        code = await process.wait_for_end()
    return code, "\n".join(process.lines)
