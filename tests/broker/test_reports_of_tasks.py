"""Every broker takes what a task reports to its record, in the step that ends it, or drops it."""

import logging

import msgspec
import pytest

from pyasynq.broker import Broker
from pyasynq.core.report import Place, Report
from pyasynq.core.verdict import DONE
from tests.broker.test_following_tasks import deliver
from tests.support.factories import a_lease, a_pending, ids, settle, take

homes = pytest.mark.parametrize("home", ["q", "r"])


def a_report(home: str, record: str = "gone") -> Report:
    place = Place(kind="flow", queue=home, id=record)
    return Report(place=place, result="succeeded", output=b"\n\xff\x00", error="")


@homes
async def test_a_report_to_a_record_that_is_gone_is_dropped_and_logged(
    broker: Broker, home: str, caplog: pytest.LogCaptureFixture
) -> None:
    lease = await a_lease(broker)
    verdict = msgspec.structs.replace(DONE, then=(a_report(home),))
    with caplog.at_level(logging.WARNING):
        assert await settle(broker, lease, verdict) is True
        await deliver(broker)
    assert f"a task of the flow gone has ended, but {home!r} no longer has it" in caplog.text
    assert await deliver(broker) == 0


@homes
async def test_tasks_follow_beside_a_report(broker: Broker, home: str) -> None:
    lease = await a_lease(broker)
    then = (a_report(home), a_pending("2"), a_report(home), a_pending("3"))
    assert await settle(broker, lease, msgspec.structs.replace(DONE, then=then)) is True
    await deliver(broker)
    assert ids(await take(broker, 9)) == ["2", "3"]


@pytest.mark.needs("mail")
async def test_operators_see_the_mail_of_a_report(broker: Broker) -> None:
    lease = await a_lease(broker)
    await settle(broker, lease, msgspec.structs.replace(DONE, then=(a_report("r"),)))
    (letter,) = await broker.mail.letters("q", 0, 10)
    assert (letter.to_queue, letter.task_id) == ("r", "gone")
    assert letter.type == "(report to a flow)"
