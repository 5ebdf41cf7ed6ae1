"""What is shown of the report of a server: known facts first, and only what it reports."""

from pyasynq.broker import NodeReport
from pyasynq.operations.broker_report import Fact, facts_of


def a_node(**info: str) -> NodeReport:
    return NodeReport(address="", info=info, settings={}, offset_s=0.0, round_trip_s=0.0)


def test_facts_come_in_the_order_of_importance() -> None:
    node = a_node(used_memory="1048576", lru_clock="7", redis_version="7.0.15")
    assert facts_of(node) == [
        Fact(name="redis_version", value="7.0.15", kind="text"),
        Fact(name="used_memory", value="1048576", kind="bytes"),
    ]


def test_a_value_that_is_no_number_is_shown_as_it_is() -> None:
    [fact] = facts_of(a_node(size="unknown"))
    assert fact.kind == "text"


def test_a_server_that_does_not_permit_it_has_no_facts() -> None:
    node = NodeReport(address="", info=None, settings={}, offset_s=None, round_trip_s=0.0)
    assert facts_of(node) == []
