"""Pages of Django's admin: the tasks of all queues, with filters and actions."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Final

from asgiref.sync import async_to_sync
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse

from pyasynq.core.errors import (
    BrokerError,
    OptionError,
    PyasynqError,
    QueueNotFoundError,
    TaskNotFoundError,
)
from pyasynq.core.states import ALLOWED_STATES, Action, TaskState
from pyasynq.integrations.django.admin_pages import (
    ListPage,
    TaskPage,
    perform,
    read_list,
    read_task,
)
from pyasynq.integrations.django.models import QueuedTask

CANCEL: Final = "cancel"

ACTIONS: Final = {
    "run": ("Run now", ALLOWED_STATES[Action.RUN], "change"),
    "archive": ("Archive", ALLOWED_STATES[Action.ARCHIVE], "change"),
    CANCEL: ("Cancel the run", frozenset({TaskState.ACTIVE}), "change"),
    "delete": ("Delete", ALLOWED_STATES[Action.DELETE], "delete"),
}
"""Each action: its label, the states in which it is possible, and the permission that it needs."""


if TYPE_CHECKING:
    ModelAdmin = admin.ModelAdmin[QueuedTask]
else:
    ModelAdmin = admin.ModelAdmin  # it takes a type only in the stubs


@admin.register(QueuedTask)
class QueuedTaskAdmin(ModelAdmin):
    """The tasks in the broker. Permissions are those of the model: view, change and delete."""

    list_template: ClassVar[str] = "pyasynq/task_list.html"
    task_template: ClassVar[str] = "pyasynq/task.html"
    confirm_template: ClassVar[str] = "pyasynq/confirm_delete.html"

    def has_add_permission(self, request: HttpRequest) -> bool:
        """Refuse: programs enqueue tasks."""
        return False

    def get_urls(self) -> list[URLPattern]:
        """Return the two pages. Names of queues and ids may be any text, so both are in queries."""
        wrap = self.admin_site.admin_view
        return [
            path("", wrap(self.list_view), name="pyasynq_queuedtask_changelist"),
            path("task/", wrap(self.task_view), name="pyasynq_queuedtask_change"),
        ]

    def list_view(self, request: HttpRequest) -> HttpResponseBase:
        """Show the tasks of a queue in one state, or perform an action on some of them."""
        self._check(request, "view")
        if request.method == "POST":
            return self._act(request, request.get_full_path())
        try:
            page = async_to_sync(read_list)(request.GET)
        except (OptionError, QueueNotFoundError) as error:
            raise Http404(str(error)) from error
        except BrokerError as error:
            messages.error(request, f"the broker does not answer: {error}")
            page = ListPage()
        return self._render(request, self.list_template, page, page.state)

    def task_view(self, request: HttpRequest) -> HttpResponseBase:
        """Show one task, or perform an action on it."""
        self._check(request, "view")
        if request.method == "POST":
            return self._act(request, reverse("admin:pyasynq_queuedtask_changelist"))
        try:
            queue, task_id = request.GET.get("queue", ""), request.GET.get("id", "")
            page = async_to_sync(read_task)(queue, task_id)
        except (OptionError, QueueNotFoundError, TaskNotFoundError) as error:
            raise Http404(str(error)) from error
        except BrokerError as error:
            messages.error(request, f"the broker does not answer: {error}")
            return redirect("admin:pyasynq_queuedtask_changelist")
        return self._render(request, self.task_template, page, page.task.state)

    def _act(self, request: HttpRequest, then: str) -> HttpResponse:
        """Perform the action that the form names, and go to the page *then*."""
        action, queue = request.POST.get("action", ""), request.POST.get("queue", "")
        ids = request.POST.getlist("id")
        if action not in ACTIONS:
            raise Http404(action)
        self._check(request, ACTIONS[action][2])
        if not ids:
            messages.warning(request, "Select tasks first.")
        elif action == "delete" and "confirmed" not in request.POST:
            context = self._context(request, then=then, queue=queue, ids=ids)
            return TemplateResponse(request, self.confirm_template, context)
        else:
            self._tell(request, action, async_to_sync(perform)(action, queue, ids))
        return redirect(then)

    def _tell(
        self, request: HttpRequest, action: str, outcomes: Sequence[PyasynqError | None]
    ) -> None:
        """Tell the user the outcome of an action."""
        errors = [outcome for outcome in outcomes if outcome is not None]
        done = len(outcomes) - len(errors)
        if done:
            label = ACTIONS[action][0].lower()
            messages.success(request, f"{done} task{'' if done == 1 else 's'}: {label}.")
        for error in errors:
            messages.error(request, str(error))

    def _check(self, request: HttpRequest, permission: str) -> None:
        if not getattr(self, f"has_{permission}_permission")(request):
            raise PermissionDenied

    def _render(
        self, request: HttpRequest, template: str, page: ListPage | TaskPage, state: TaskState
    ) -> HttpResponse:
        actions = [
            (name, label)
            for name, (label, states, permission) in ACTIONS.items()
            if state in states and getattr(self, f"has_{permission}_permission")(request)
        ]
        return TemplateResponse(
            request, template, self._context(request, page=page, actions=actions)
        )

    def _context(self, request: HttpRequest, **more: object) -> dict[str, Any]:
        title = {"title": "Tasks", "opts": self.model._meta}  # noqa: SLF001 - Django's templates want it
        return {**self.admin_site.each_context(request), **title, **more}
