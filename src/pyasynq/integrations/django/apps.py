"""The entry in ``INSTALLED_APPS``."""

from django.apps import AppConfig
from django.utils.module_loading import autodiscover_modules

from pyasynq.integrations.django.project import project_app


class PyasynqConfig(AppConfig):
    """Makes the project's app, and imports the module ``tasks`` of each installed application."""

    name = "pyasynq.integrations.django"
    label = "pyasynq"
    verbose_name = "Tasks"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        """Make the app, once all models are there."""
        app = project_app()
        autodiscover_modules("tasks")
        try:
            from pyasynq.integrations.django.runs import serve
        except ModuleNotFoundError as error:
            if error.name != "django_tasks":
                raise
            return  # Django 5.2 without its backport
        serve(app)
