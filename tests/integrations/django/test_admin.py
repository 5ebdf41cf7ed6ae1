"""The pages of the admin show the tasks of all queues, and move them as the user may."""

from collections.abc import Callable, Generator
from datetime import timedelta

import pytest
from asgiref.sync import async_to_sync
from django.contrib.auth.models import Permission, User
from django.test import Client as Browser

from pyasynq import ActiveTask, Mux, Server, Task, TaskInfo
from pyasynq.integrations.django import app
from pyasynq.integrations.django.project import project_app

LIST = "/admin/pyasynq/queuedtask/"
TASK = "/admin/pyasynq/queuedtask/task/"

pytestmark = pytest.mark.usefixtures("database", "broker_url", "no_users")


@pytest.fixture
def no_users(database: None) -> Generator[None]:
    yield
    User.objects.all().delete()


@pytest.fixture
def browser_of() -> Callable[..., Browser]:
    """Return a function that logs in a user of the staff with permissions."""

    def log_in(*permissions: str) -> Browser:
        user = User.objects.create(username="ann", is_staff=True)
        names = [f"{it}_queuedtask" for it in permissions]
        user.user_permissions.set(Permission.objects.filter(codename__in=names))
        browser = Browser()
        browser.force_login(user)
        return browser

    return log_in


@pytest.fixture
def operator(browser_of: Callable[..., Browser]) -> Browser:
    """Return a browser of a user who may do everything with tasks."""
    return browser_of("view", "change", "delete")


def enqueue(type: str = "mail:send", **options: object) -> str:
    return project_app().sync_client.enqueue(Task(type, b'{"to": "bob"}'), **options).id  # type: ignore[arg-type]


@async_to_sync
async def info(task_id: str, queue: str = "default") -> TaskInfo:
    async with app.inspector() as inspector:
        return await inspector.task_info(queue, task_id)


@async_to_sync
async def let_fail() -> None:
    mux = Mux()

    @mux.handle("mail:")
    async def fail(task: ActiveTask) -> None:
        raise ConnectionError("<no> mail server")

    broker = app.address.check_broker()
    await Server(broker, burst=True).run(mux)


def test_the_list_shows_the_tasks_of_a_queue_in_a_state(operator: Browser) -> None:
    waiting, later = enqueue(), enqueue(process_in=timedelta(hours=1))
    enqueue("report:make", queue="low & slow")
    page = operator.get(LIST).content.decode()
    assert "mail:send" in page
    assert waiting in page
    assert later not in page
    assert "pending (1)" in page
    assert "low &amp; slow (1)" in page
    assert later in operator.get(LIST, {"queue": "default", "state": "scheduled"}).content.decode()
    other = operator.get(LIST, {"queue": "low & slow", "state": "pending"}).content.decode()
    assert "report:make" in other


def test_the_list_of_an_empty_broker_is_empty(operator: Browser) -> None:
    assert "There are no such tasks." in operator.get(LIST).content.decode()


def test_the_list_has_pages(operator: Browser) -> None:
    ids = [enqueue() for _ in range(51)]
    first = operator.get(LIST, {"queue": "default"}).content.decode()
    second = operator.get(LIST, {"queue": "default", "page": "2"}).content.decode()
    assert (ids[0] in first, ids[50] in first, "page=2" in first) == (True, False, True)
    assert (ids[0] in second, ids[50] in second, "page=1" in second) == (False, True, True)


def test_tasks_of_groups_are_listed_by_group(operator: Browser) -> None:
    one, another = enqueue(group="bob"), enqueue(group="eve")
    page = operator.get(LIST, {"state": "aggregating"}).content.decode()
    assert (one in page, another in page, "eve (1)" in page) == (True, False, True)
    page = operator.get(LIST, {"state": "aggregating", "group": "eve"}).content.decode()
    assert (one in page, another in page) == (False, True)


@pytest.mark.parametrize(
    "query", [{"queue": "nowhere"}, {"queue": "default", "page": "0"}, {"queue": "a", "page": "9"}]
)
def test_a_list_that_cannot_be_is_not_found(operator: Browser, query: dict[str, str]) -> None:
    enqueue()
    assert operator.get(LIST, query).status_code == 404


def test_a_task_is_shown_with_its_failed_tries(operator: Browser) -> None:
    task_id = enqueue(max_retry=3, headers={"trace": "7"})
    let_fail()
    page = operator.get(TASK, {"queue": "default", "id": task_id}).content.decode()
    assert "1 of 3" in page
    assert "trace: 7" in page
    assert "&quot;to&quot;: &quot;bob&quot;" in page
    assert "ConnectionError: &lt;no&gt; mail server" in page
    assert "Try 1 failed at" in page


def test_a_task_that_is_not_there_is_not_found(operator: Browser) -> None:
    enqueue()
    assert operator.get(TASK, {"queue": "default", "id": "gone"}).status_code == 404


@pytest.mark.parametrize(
    ("action", "label", "state"),
    [("run", "2 tasks: run now.", "pending"), ("archive", "2 tasks: archive.", "archived")],
)
def test_selected_tasks_are_moved(operator: Browser, action: str, label: str, state: str) -> None:
    ids = [enqueue(process_in=timedelta(hours=1)) for _ in range(3)]
    form = {"action": action, "queue": "default", "id": ids[:2]}
    page = operator.post(f"{LIST}?queue=default&state=scheduled", form, follow=True)
    assert label in page.content.decode()
    assert [info(task_id).state for task_id in ids] == [state, state, "scheduled"]


def test_a_deletion_is_confirmed_first(operator: Browser) -> None:
    task_id = enqueue()
    form = {"action": "delete", "queue": "default", "id": [task_id]}
    asked = operator.post(LIST, form).content.decode()
    assert "Delete 1 task of the queue default?" in asked
    assert info(task_id).state == "pending"
    done = operator.post(LIST, {**form, "confirmed": "yes"}, follow=True).content.decode()
    assert "1 task: delete." in done
    assert "There are no such tasks." in done


def test_an_action_that_is_not_possible_is_explained(operator: Browser) -> None:
    task_id = enqueue()
    form = {"action": "run", "queue": "default", "id": [task_id]}
    assert "is pending" in operator.post(LIST, form, follow=True).content.decode()


def test_an_action_needs_tasks_and_a_name(operator: Browser) -> None:
    enqueue()
    form = {"action": "run", "queue": "default"}
    assert "Select tasks first." in operator.post(LIST, form, follow=True).content.decode()
    assert operator.post(LIST, {**form, "action": "explode"}).status_code == 404


def test_only_possible_actions_are_offered(operator: Browser) -> None:
    enqueue()
    page = operator.get(LIST).content.decode()
    offered = [name for name in ("run", "archive", "cancel", "delete") if f'"{name}"' in page]
    assert offered == ["archive", "delete"]


@pytest.mark.parametrize(
    ("permissions", "action", "status"),
    [
        ((), "run", 403),
        (("view",), "run", 403),
        (("view",), "delete", 403),
        (("view", "change"), "delete", 403),
        (("view", "delete"), "archive", 403),
        (("change",), "archive", 302),
    ],
)
def test_permissions_decide(
    browser_of: Callable[..., Browser], permissions: tuple[str, ...], action: str, status: int
) -> None:
    task_id = enqueue(process_in=timedelta(hours=1))
    browser = browser_of(*permissions)
    assert browser.get(LIST).status_code == (200 if permissions else 403)
    form = {"action": action, "queue": "default", "id": [task_id], "confirmed": "yes"}
    assert browser.post(LIST, form).status_code == status


def test_nobody_else_sees_the_pages() -> None:
    assert Browser().get(LIST).status_code == 302
    assert Browser().get(TASK).status_code == 302


def test_a_broker_that_is_away_is_told(operator: Browser, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYASYNQ_URI", "redis://127.0.0.1:1")
    assert "broker does not answer" in operator.get(LIST).content.decode()
    assert (
        "broker does not answer"
        in operator.get(f"{TASK}?queue=default&id=a", follow=True).content.decode()
    )


def test_the_index_of_the_admin_leads_to_the_list(operator: Browser) -> None:
    index = operator.get("/admin/").content.decode()
    assert f'href="{LIST}"' in index
    assert "/add/" not in index
