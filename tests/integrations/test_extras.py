"""Frameworks are loaded only by those who ask for them."""

import subprocess
import sys

import pytest


def run(code: str) -> subprocess.CompletedProcess[str]:
    """Run *code* in a process of its own."""
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)


def test_apps_clients_and_workers_load_no_framework() -> None:
    done = run("import sys; from pyasynq import App, Client, Server; App(); print(*sys.modules)")
    loaded = set(done.stdout.split())
    assert "pyasynq.server" in loaded
    assert not {"fastapi", "flask", "pyasynq.integrations", "starlette"} & loaded


def test_starlette_needs_no_fastapi() -> None:
    done = run("import sys, pyasynq.integrations.fastapi; print(*sys.modules)")
    assert "starlette" in done.stdout.split()
    assert "fastapi" not in done.stdout.split()


@pytest.mark.parametrize(("framework", "extra"), [("starlette", "fastapi"), ("flask", "flask")])
def test_the_error_without_the_extra_says_what_to_install(framework: str, extra: str) -> None:
    done = run(
        f"import sys; sys.modules[{framework!r}] = None; import pyasynq.integrations.{extra}"
    )
    text = f"install the extra {extra}: pip install 'pyasynq[{extra}]'"
    assert done.stderr.splitlines()[-1] == text
