"""A scene leaves the same the first time and later, and nothing else."""

from dataclasses import replace

import pytest
from structlog.testing import capture_logs

from member import store
from member.service import MemberService
from services.member.tests.doubles import MailFolder, TaskList
from services.member.tests.scenes import Scenes, Stage, mailed_alice, verified_alice


@pytest.fixture
def scenes(scenes: Scenes) -> Scenes:
    """Scenes that nobody has played before."""
    return replace(scenes, recordings={})


async def test_a_scene_leaves_the_same_the_first_time_and_later(
    scenes: Scenes, service: MemberService, outbox: MailFolder, tasks: TaskList
) -> None:
    first = await scenes.play(verified_alice)
    alice = await service.members.get(first, "alice")
    left = [list(outbox.mails), list(tasks.tasks), list(tasks.notices)]
    await service.members.delete(first, "alice")
    for double in (outbox.mails, tasks.tasks, tasks.notices):
        double.clear()
    assert await scenes.play(verified_alice) == first
    assert await service.members.get(first, "alice") == alice
    assert [outbox.mails, tasks.tasks, tasks.notices] == left


async def test_a_scene_leaves_no_line_in_the_log(scenes: Scenes) -> None:
    with capture_logs() as lines:
        await scenes.play(mailed_alice)
    assert lines == []


async def change_alice(stage: Stage) -> None:
    async with stage.db.writing() as session:
        await store.members.set_role(session, "alice", "admin")


async def test_a_scene_that_changes_what_was_there_is_refused(scenes: Scenes) -> None:
    await scenes.play(mailed_alice)
    with pytest.raises(AssertionError, match="a scene must only add rows"):
        await scenes.play(change_alice)
