"""OpenTelemetry is loaded only by those who ask for it."""

import subprocess
import sys


def run(code: str) -> subprocess.CompletedProcess[str]:
    """Run *code* in a process of its own."""
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)


def test_apps_clients_and_workers_load_no_opentelemetry() -> None:
    done = run("import sys; from pyasynq import App, Client, Server; App(); print(*sys.modules)")
    assert "pyasynq.server" in done.stdout.split()
    assert "opentelemetry" not in done.stdout.split()


def test_the_error_without_the_extra_says_what_to_install() -> None:
    done = run("import sys; sys.modules['opentelemetry'] = None; import pyasynq.telemetry")
    assert done.stderr.splitlines()[-1] == ("install the extra otel: pip install 'pyasynq[otel]'")
