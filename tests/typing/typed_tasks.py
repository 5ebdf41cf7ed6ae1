"""Uses of typed tasks that a type checker must accept or refuse.

This file is not run: pyright and mypy check it with the sources, and mypy with the wheel. Correct
uses must pass. Each mistake has a comment with its error, and an unneeded comment is an error, too.
"""

from datetime import timedelta
from typing import assert_type

from pyasynq import (
    ActiveTask,
    App,
    Call,
    FlowInfo,
    Members,
    Outcome,
    PlainTask,
    Step,
    Task,
    TaskInfo,
    TypedTask,
)

app = App("redis://127.0.0.1:6379")


@app.task("mail", queue="low", timeout=timedelta(seconds=30))
async def mail(address: str, copies: int = 1) -> str:
    return address * copies


@app.task("count")
def count(task: ActiveTask, words: list[str]) -> int:
    return len(words) + task.retried


@app.periodic("@daily")
async def clean() -> None: ...


@app.periodic("@daily")
async def report(task: ActiveTask, days: int = 7) -> str:
    return f"{task.id}: {days}"


@app.periodic("@daily")
def rotate(task: ActiveTask) -> None: ...


@app.periodic("@daily", queue="low")
@app.periodic("@weekly")
@app.task("count:all")
def count_all() -> int:
    return 0


@app.task("resize", executor="process")
def resize(width: int) -> bytes:
    return bytes(width)


async def kinds() -> None:
    assert_type(clean, TypedTask[[], None])
    assert_type(clean.options(queue="low"), TypedTask[[], None])
    assert_type(rotate, PlainTask[[], None])
    assert_type(count_all, PlainTask[[], int])
    with_days: TypedTask[[int], str] = report
    with_words: TypedTask[[list[str]], int] = count
    assert_type(await with_days.enqueue(1), TaskInfo)
    assert_type(with_words.task([]), Call[int])


async def calls() -> None:
    assert_type(await mail.enqueue("bob", copies=2), TaskInfo)
    assert_type(mail.options(process_in=timedelta(seconds=1)).task(address="bob"), Call[str])
    assert_type(await mail("bob"), str)
    assert_type(count.task(["a"]), Call[int])
    plain: Task = count.task(["a"])
    assert_type(await app.client.enqueue(plain), TaskInfo)
    assert_type(count(["a"]), int)
    assert_type(await clean(), None)
    assert_type(await report(7), str)
    assert_type(count_all(), int)
    assert_type(mail.enqueue_sync("bob", copies=2), TaskInfo)
    assert_type(resize.enqueue_sync(width=7), TaskInfo)
    assert_type(resize(7), bytes)
    assert_type(app.sync_client.enqueue(resize.task(7)), TaskInfo)
    with app.sync_inspector() as inspector:
        assert_type(inspector.task_info("default", "1"), TaskInfo)
        assert_type(inspector.run_all("default", "retry", type="mail"), int)


@app.task("refund", queue="low")
async def refund(outcome: Outcome, /) -> None: ...


@app.task("note")
def note(task: ActiveTask, outcome: Outcome) -> None: ...


@app.task("pay", on_success=note, on_failure=refund)
async def pay(task: ActiveTask, amount: int) -> None:
    task.then(mail.task("bob"), Task("ship"))


@app.on("retried", prefix="pay")
async def note_retry(outcome: Outcome) -> None:
    assert_type(outcome.payload, bytes | None)


@app.on("succeeded")
def note_success(outcome: Outcome) -> None: ...


def followers() -> None:
    app.when("archived", "mail:", refund)
    app.when("expired", "", note)
    with_amount: TypedTask[[int], None] = pay
    assert_type(with_amount.task(7), Call[None])


async def flows() -> None:
    flow = app.flow("import", queue="low", timeout=timedelta(days=1))
    letters = flow.add(mail.task("bob"))
    assert_type(letters, Step[str])
    assert_type(letters.result, str)
    again = flow.add(mail.task(letters.result, copies=2), after=[letters], name="again")
    assert_type(flow.add(Task("plain"), after=again, when="ended"), Step[bytes])
    gate = flow.gate("approval", returns=int, after=flow.all, timeout=timedelta(days=1))
    assert_type(gate, Step[int])
    assert_type(flow.gate("plain"), Step[None])
    flow.add(mail.task("bob", copies=gate.result))
    inner = app.flow("inner")
    inner.add(mail.task("bob"))
    assert_type(flow.add(inner, after=again, name="inner"), Step[None])
    assert_type(await flow.enqueue(), FlowInfo)
    assert_type(await app.chain(mail.task("a"), clean.task()).enqueue(), FlowInfo)
    assert_type(await app.result(letters), str)
    assert_type(await app.result(count.task(["a"])), int)
    assert_type(await app.result("id", queue="low"), object)
    await app.client.signal(await flow.enqueue(), "approval", 7)
    flow.add(count.task(letters.result))  # type: ignore[arg-type]
    flow.add(mail.task(gate.result))  # type: ignore[arg-type]
    flow.add(mail.task("bob"), when="done")  # type: ignore[call-overload]
    flow.add(mail.task("bob"), after="again")  # type: ignore[arg-type]
    app.flow("import", home="low")  # type: ignore[call-arg]


async def maps() -> None:
    flow = app.flow("mails", unique_for=timedelta(hours=1))
    letters = flow.add(mail.task("bob"))
    mails = flow.map((mail.task(name) for name in ("a", "b")), after=letters, name="mails")
    assert_type(mails, Members[str])
    assert_type(mails.results, list[str])
    assert_type(flow.map([Task("plain")], when="ended"), Members[bytes])
    assert_type(await app.result(mails), list[str])
    flow.add(mail.task(mails.results))  # type: ignore[arg-type]
    assert_type(flow.task(), Task)


async def mistakes() -> None:
    app.when("archived", "", mail)  # type: ignore[arg-type]
    app.when("retried", "", refund)  # type: ignore[arg-type]
    app.on("done")  # type: ignore[arg-type]
    app.task("other", on_success=count)  # type: ignore[arg-type]
    await mail.enqueue(7)  # type: ignore[arg-type]
    await mail.enqueue()  # type: ignore[call-arg]
    await mail.enqueue("bob", copys=2)  # type: ignore[call-arg]
    mail.task("bob", copies="2")  # type: ignore[arg-type]
    mail.options(process_in=1)  # type: ignore[arg-type]
    mail.options(proces_in=timedelta(seconds=1))  # type: ignore[call-arg]
    count.task([1])  # type: ignore[list-item]
    clean.task(1)  # type: ignore[call-arg]
    report.task(days="7")  # type: ignore[arg-type]
    app.periodic("@daily", que="low")  # type: ignore[call-arg]
    app.task("late", retries=3)  # type: ignore[call-arg]
    mail.enqueue_sync("bob", copies="2")  # type: ignore[arg-type]
    resize.enqueue_sync()  # type: ignore[call-arg]
    app.task("late", executor="thread")  # type: ignore[arg-type]
    app.sync_inspector().pause(7)  # type: ignore[arg-type]
    app.server(concurrency="10")  # type: ignore[arg-type]
