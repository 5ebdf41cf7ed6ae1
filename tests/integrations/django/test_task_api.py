"""The backend is one of the API that the version of Django has."""

from importlib import import_module

import django
import pytest

from pyasynq.integrations.django.backend import PyasynqBackend


@pytest.mark.skipif(django.VERSION >= (6, 0), reason="Django has this API itself")
def test_before_django_6_it_is_one_of_the_package() -> None:
    base = import_module("django_tasks.backends.base")
    assert issubclass(PyasynqBackend, base.BaseTaskBackend)


@pytest.mark.skipif(
    django.VERSION < (6, 0), reason="Django 6 needs Python 3.12: make test PYTHON=python3.12"
)
def test_from_django_6_on_it_is_one_of_djangos_own() -> None:
    base = import_module("django.tasks.backends.base")
    assert issubclass(PyasynqBackend, base.BaseTaskBackend)
