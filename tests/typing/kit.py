"""A user's tests: the kit knows the types of typed tasks."""

from typing import assert_type

from pyasynq import App, Task
from pyasynq.testing import Drained, SyncTasks, Tasks

app = App()


@app.task("double")
async def double(number: int) -> int:
    return 2 * number


@app.task("name")
def name(number: int) -> str:
    return str(number)


async def use(tasks: Tasks) -> None:
    assert_type(await tasks.perform(double, 21), int)
    assert_type(await tasks.perform(name, number=21), str)
    assert_type(await tasks.perform(double, 21, retried=3), int)
    assert_type(await tasks.perform(Task("t"), retried=3), object)
    assert_type(await tasks.drain(), Drained)
    tasks.assert_enqueued(double, number=21, count=1)
    await tasks.perform(double, "21")  # type: ignore[call-overload]
    await tasks.perform(double, nummer=21)  # type: ignore[call-overload]
    tasks.assert_enqueued(21)  # type: ignore[arg-type]


def use_without_a_loop(tasks: SyncTasks) -> None:
    assert_type(tasks.perform(double, 21), int)
    assert_type(tasks.drain(), Drained)
    tasks.perform(double, "21")  # type: ignore[call-overload]
