"""An action on several things is one entry of the audit, however it ends."""

import pytest

from pyasynq.broker import Broker
from pyasynq.core.errors import BrokerUnavailableError, QueueNotFoundError
from pyasynq.operations.audit import Audit, Outcome
from pyasynq.operations.permissions import Principal, Role

WHO = Principal(name="kim", role=Role.ADMIN)


async def _act(broker: Broker, names: list[str]) -> Outcome[str]:
    """Do nothing to *names*; "none" refuses, and at "away" the broker does not answer."""

    async def act(name: str) -> None:
        if name == "none":
            raise QueueNotFoundError(name)
        if name == "away":
            raise BrokerUnavailableError("it is away")

    return await Audit(broker).act_on_each(WHO, "queue.pause", names, act, str, detail="by night")


async def _entry(broker: Broker) -> tuple[str, int, str, str]:
    [(_, entry)] = await broker.audit.read(None, 100)
    return entry.target, entry.count, entry.outcome, entry.detail


async def test_an_action_on_several_things_is_one_entry(broker: Broker) -> None:
    outcome = await _act(broker, ["a", "b"])
    assert (outcome.done, outcome.refused, outcome.why) == (2, [], "")
    assert await _entry(broker) == ("a, b", 2, "done", "by night")


async def test_an_entry_says_why_something_refused(broker: Broker) -> None:
    outcome = await _act(broker, ["a", "none"])
    [(refused, error)] = outcome.refused
    assert (outcome.done, refused, outcome.why) == (1, "none", str(error))
    assert await _entry(broker) == ("a, none", 1, "done", str(error))


async def test_an_action_that_nothing_allows_is_refused(broker: Broker) -> None:
    await _act(broker, ["none"])
    assert (await _entry(broker))[1:3] == (0, "refused")


async def test_an_action_that_the_broker_breaks_off_says_what_was_done(broker: Broker) -> None:
    with pytest.raises(BrokerUnavailableError) as raised:
        await _act(broker, ["a", "b", "away"])
    assert await _entry(broker) == ("a, b, away", 2, "failed", str(raised.value))


async def test_an_entry_names_the_first_things_and_counts_the_others(broker: Broker) -> None:
    await _act(broker, [str(number) for number in range(12)])
    assert (await _entry(broker))[0] == "0, 1, 2, 3, 4, 5, 6, 7, 8, 9 and 2 more"
