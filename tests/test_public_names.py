"""The public names of ``import pyasynq``, and what it imports."""

import ast
import inspect
import subprocess
import sys

import pytest

import pyasynq

SLOW = {"asyncio", "google.protobuf", "msgspec", "redis"}


def imported_for_type_checkers() -> list[str]:
    """Return the names that type checkers see."""
    tree = ast.parse(inspect.getsource(pyasynq))
    block = next(node for node in tree.body if isinstance(node, ast.If))
    imports = (node for node in block.body if isinstance(node, ast.ImportFrom))
    return [alias.name for node in imports for alias in node.names]


def test_type_checkers_see_the_names_that_there_are() -> None:
    assert sorted(imported_for_type_checkers()) == sorted(pyasynq.__all__)


@pytest.mark.parametrize("name", pyasynq.__all__)
def test_each_name_leads_to_what_bears_it(name: str) -> None:
    found = getattr(pyasynq, name)
    assert getattr(found, "__name__", name) in {name, "Callable"}  # an alias has no name
    assert name in dir(pyasynq)


def test_a_name_that_is_not_there_is_refused_as_python_does() -> None:
    with pytest.raises(AttributeError, match="module 'pyasynq' has no attribute 'Taks'"):
        pyasynq.Taks  # type: ignore[attr-defined] # noqa: B018
    with pytest.raises(ImportError, match="cannot import name 'Taks' from 'pyasynq'"):
        from pyasynq import Taks  # type: ignore[attr-defined] # noqa: F401


def test_the_import_loads_nothing_that_takes_long() -> None:
    code = "import sys, pyasynq; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not SLOW & set(done.stdout.split())


def test_a_server_loads_no_multiprocessing_before_a_task_needs_a_process() -> None:
    code = "import sys, pyasynq; pyasynq.App('redis://h').server(); print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "multiprocessing" not in done.stdout.split()


def test_a_module_is_there_without_an_import_of_its_own() -> None:
    code = "import pyasynq; print(pyasynq.client.Client is pyasynq.Client)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "True\n"


def test_an_errors_name_loads_no_driver() -> None:
    code = "import sys; from pyasynq import SkipRetry, TaskState; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "redis" not in done.stdout.split()
