"""One broker answers in place of all others, and only while the block runs."""

import gc
import weakref
from collections.abc import AsyncIterator, Iterator

import pytest

from pyasynq import BrokerUnavailableError, Client, NotSupportedError, PyasynqError, Task
from pyasynq.broker import Broker, is_replaced, open_broker, replacing_all
from pyasynq.broker.replacement import PORTS
from pyasynq.broker.sqlite import in_memory

NOWHERE = "redis://127.0.0.1:1"


@pytest.fixture
async def memory() -> AsyncIterator[Broker]:
    """Yield a broker in memory."""
    broker = in_memory()
    yield broker
    await broker.aclose()


@pytest.fixture
def replaced(memory: Broker) -> Iterator[Broker]:
    """Yield the broker that answers in place of all others."""
    with replacing_all(memory):
        yield memory


def test_all_ports_of_a_broker_are_known() -> None:
    named = Broker.__annotations__.keys() - {"name", "bound_to_loop"}
    assert PORTS.keys() == named
    assert PORTS["creation"] == ["apart", "create"]


@pytest.mark.parametrize("address", [NOWHERE, "redis-cluster://127.0.0.1:1", "sqlite://"])
async def test_a_broker_that_is_opened_in_the_block_is_replaced(
    replaced: Broker, address: str
) -> None:
    broker = open_broker(address)
    await Client(broker).enqueue(Task("t"))
    await broker.ping()
    await broker.aclose()
    assert (broker.name, broker.creation.apart) == ("SQLite", False)
    assert await replaced.inspection.queues() == ["default"]


async def test_afterwards_a_broker_is_itself_again(memory: Broker) -> None:
    before = open_broker("redis-cluster://127.0.0.1:1")
    with replacing_all(memory):
        within = open_broker(NOWHERE)
        await before.ping()
        assert is_replaced()
    assert not is_replaced()
    assert (before.name, before.bound_to_loop, before.creation.apart) == ("Redis", True, True)
    assert before.supports("mail")
    for broker in (before, within):
        with pytest.raises(BrokerUnavailableError):
            await broker.inspection.queues()


async def test_a_port_that_the_replacement_lacks_reaches_nothing_else(replaced: Broker) -> None:
    broker = open_broker(NOWHERE)
    with pytest.raises(NotSupportedError, match="SQLite does not support"):
        await broker.cluster.server_info()
    assert not broker.supports("mail")
    assert broker.supports("groups")


async def test_the_replacement_itself_may_be_used(replaced: Broker) -> None:
    async with Client(replaced) as client:
        await client.enqueue(Task("t"))
    assert await replaced.inspection.queues() == ["default"]


async def test_there_is_one_replacement(replaced: Broker) -> None:
    with pytest.raises(PyasynqError, match="replaced already"), replacing_all(replaced):
        pass


async def test_a_broker_that_nobody_uses_is_not_kept(memory: Broker) -> None:
    broker = open_broker(NOWHERE)
    with replacing_all(memory):
        pass
    known = weakref.ref(broker)
    del broker
    gc.collect()
    assert known() is None
