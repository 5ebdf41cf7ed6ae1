"""Settings of a project for tests; variables name its database and its broker."""

import os
from datetime import timedelta
from pathlib import Path

import django

PACKAGE = __name__.removesuffix(".settings")

SECRET_KEY = "for tests"
DEBUG = False
ALLOWED_HOSTS = ["*"]
TIME_ZONE = "UTC"  # Django sets the time zone of the whole process
USE_TZ = True
ROOT_URLCONF = f"{PACKAGE}.urls"
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
STATIC_URL = "static/"

INSTALLED_APPS = [
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.messages",
    "django.contrib.sessions",
    "django.contrib.staticfiles",
    *(["django_tasks"] if django.VERSION < (6, 0) else []),
    "pyasynq.integrations.django",
    f"{PACKAGE}.orders",
]

MIDDLEWARE = [
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
]

TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ]
        },
    }
]

FOLDER = Path(os.environ.get("TEST_FOLDER", "/nonexistent"))

SQLITE = {"ENGINE": "django.db.backends.sqlite3", "NAME": FOLDER / "shop.sqlite3"}

DATABASES = {
    "default": SQLITE,
    "other": {**SQLITE, "NAME": FOLDER / "other.sqlite3"},
    "empty": {**SQLITE, "NAME": FOLDER / "empty.sqlite3"},
    "postgres": {
        "ENGINE": "django.db.backends.postgresql",
        "USER": "postgres",
        "CONN_MAX_AGE": None,  # the connections of a thread stay open
    },
}

PYASYNQ = {"OPTIONS": {"queues": {"default": 1, "mails": 1}, "threads": 2, "concurrency": 20}}

BACKEND = "pyasynq.integrations.django.backend.PyasynqBackend"
TASKS = {
    "default": {"BACKEND": BACKEND, "QUEUES": ["default", "mails"]},
    "retrying": {"BACKEND": BACKEND, "OPTIONS": {"max_retry": 2, "enqueue": "at_once"}},
    "outbox": {"BACKEND": BACKEND, "OPTIONS": {"enqueue": "outbox"}},
    "slow": {"BACKEND": BACKEND, "OPTIONS": {"timeout": timedelta(seconds=1)}},
}
