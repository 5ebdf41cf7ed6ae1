"""The app of a Django project, made of the setting ``PYASYNQ``."""

import functools
from collections.abc import Iterable, Mapping
from typing import Any, Final, TypedDict, cast

import django
from django.apps import apps
from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.utils.module_loading import import_string

from pyasynq.app import App
from pyasynq.core.errors import OptionError
from pyasynq.core.options import check_known
from pyasynq.integrations.django.connections import in_own_thread
from pyasynq.integrations.django.failures import reporter_of
from pyasynq.server import ServerOptions
from pyasynq.server.config import CALLBACKS

SETTING: Final = "PYASYNQ"

LISTS: Final = ("client_middleware", "codecs")
"""Options whose items may be named by their path."""


class ProjectSettings(TypedDict, total=False):
    """The keys of the setting ``PYASYNQ``.

    Keys:
        BROKER: A URL or a bare ``host:port``; else that of ``PYASYNQ_URI``, or Redis on this
            machine.
        OPTIONS: Defaults for the project's servers. Functions, and the items of
            *client_middleware* and *codecs*, may be named by their path, such as
            ``"shop.tasks.report"``.
    """

    BROKER: str
    OPTIONS: ServerOptions


def project_app() -> App:
    """Return the app of the project; set Django up first if that is not done yet.

    Raises:
        ImproperlyConfigured: If the setting cannot work.
    """
    if not apps.ready and not apps.loading:
        django.setup()  # in `pyasynq worker`, which knows nothing of Django
    return _make_app()


@functools.cache
def _make_app() -> App:
    given = cast("ProjectSettings", getattr(settings, SETTING, {}))
    try:
        check_known(given, ProjectSettings.__annotations__)
        options = _resolve(given.get("OPTIONS", {}))
        options["on_error"] = reporter_of(
            options.get("on_error"), hide_errors=options.get("hide_errors", False)
        )
        app = App(given.get("BROKER"), **options)
    except (ImportError, OptionError, TypeError) as error:
        msg = f"the setting {SETTING} cannot be used: {error}"
        raise ImproperlyConfigured(msg) from error
    app.use(in_own_thread)
    return app


def _resolve(options: Mapping[str, Any]) -> ServerOptions:
    """Return *options* with the functions and objects that are named by their path."""
    resolved = dict(options)
    for name in CALLBACKS:
        if name in resolved:
            resolved[name] = _import(resolved[name])
    for name in LISTS:
        if name in resolved:
            items = cast("Iterable[object]", resolved[name])
            resolved[name] = [_import(item) for item in items]
    return cast("ServerOptions", resolved)


def _import(value: object) -> object:
    return import_string(value) if isinstance(value, str) else value
