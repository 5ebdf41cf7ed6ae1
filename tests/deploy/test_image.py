"""The Dockerfile makes an image in which the commands run an app."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.deploy.files import DEPLOY
from tests.support.dockerfile import build, fill_context, stages_of, values

ROOT = DEPLOY.parent
PROGRAMS = "/opt/app"
BUILDING, FINAL = stages_of(DEPLOY / "Dockerfile")

TASKS = """
import pyasynq

app = pyasynq.App()


@app.periodic("@every 1h")
@app.task("hello")
async def hello() -> None:
    print("hello from the image")
"""


@pytest.fixture(scope="module")
def context(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The files of a small project that Docker sees."""
    home = tmp_path_factory.mktemp("image")
    project = home / "project"
    (project / "shop").mkdir(parents=True)
    (project / "shop" / "tasks.py").write_text(TASKS)
    (project / ".env").write_text("SECRET=1")
    shutil.copy(DEPLOY / "Dockerfile", project)
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check"]
    wheel = [*pip, "wheel", "--no-build-isolation", "--no-deps", "--wheel-dir", project, ROOT]
    subprocess.run(wheel, check=True, capture_output=True)
    (made,) = project.glob("*.whl")
    requirements = f"-c {ROOT}/requirements/core.txt\n./{made.name}\n"
    (project / "requirements.txt").write_text(requirements)
    folder = home / "context"
    fill_context(folder, source=project, ignored=DEPLOY / ".dockerignore")
    return folder


@pytest.mark.timeout(900)  # it downloads packages that are not in pip's cache
def test_the_image_runs_the_tasks_of_an_app(context: Path, tmp_path: Path, redis_url: str) -> None:
    programs = build(BUILDING, context=context, root=tmp_path / "root", programs=PROGRAMS)
    environment = {"PYASYNQ_URI": redis_url, "PATH": str(programs / "bin")}

    def run(*args: str) -> str:
        return subprocess.run(
            ["pyasynq", *args],
            cwd=context,  # the folder that the last stage copies to its WORKDIR
            env=environment,
            executable=programs / "bin" / "pyasynq",
            capture_output=True,
            text=True,
            check=True,
        ).stdout

    run("task", "enqueue", "--app", "shop.tasks:app", "-t", "hello")
    assert run("worker", "shop.tasks:app", "--burst") == "hello from the image\n"
    assert not list(programs.glob("lib/python*/site-packages/pip"))


def test_no_secret_is_in_the_context(context: Path) -> None:
    assert {file.name for file in context.iterdir()} >= {"shop", "requirements.txt"}
    assert not (context / ".env").exists()


def test_process_1_is_the_command_and_gets_the_signal() -> None:
    """The exec form: with the other, process 1 would be a shell, which passes no signals on."""
    assert values(FINAL, "ENTRYPOINT") == ['["pyasynq"]']
    assert values(FINAL, "STOPSIGNAL") == ["SIGTERM"]


def test_the_image_runs_as_the_user_of_the_manifests() -> None:
    assert values(FINAL, "USER") == ["10001:10001"]
