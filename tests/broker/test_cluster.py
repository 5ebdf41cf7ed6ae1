"""A broker with servers behind it returns information about them."""

import pytest

from pyasynq.broker import Broker

pytestmark = pytest.mark.needs("cluster")


async def test_a_queue_has_a_slot(broker: Broker) -> None:
    assert await broker.cluster.slot("q") == 11958


async def test_a_broker_returns_information_about_its_server(broker: Broker) -> None:
    assert await broker.cluster.server_info()
