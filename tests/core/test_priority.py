"""Slots take from queues in proportion to their weights, or by rank."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyasynq.core.priority import draw_queues, sort_by_weight

queues = st.dictionaries(st.text(min_size=1), st.integers(1, 20), min_size=1, max_size=8)
picks = st.lists(st.floats(0, 1, exclude_max=True), max_size=50)


def test_even_picks_fall_in_proportion_to_the_weights() -> None:
    weights = {"critical": 6, "default": 3, "low": 1}
    even = [n / 100 for n in range(100)]
    assert draw_queues(weights, even) == {"critical": 60, "default": 30, "low": 10}


def test_one_queue_gets_all_slots() -> None:
    assert draw_queues({"default": 3}, [0.1, 0.9]) == {"default": 2}


def test_a_queue_that_was_not_drawn_is_not_named() -> None:
    assert draw_queues({"a": 1, "b": 1}, [0.0]) == {"a": 1}


@pytest.mark.parametrize(("pick", "queue"), [(0.0, "a"), (0.4999, "a"), (0.5, "b"), (0.9999, "b")])
def test_a_pick_falls_on_the_queue_whose_share_it_lies_in(pick: float, queue: str) -> None:
    assert draw_queues({"a": 2, "b": 2}, [pick]) == {queue: 1}


@given(queues, picks)
def test_every_slot_turns_to_one_queue(weights: dict[str, int], picks: list[float]) -> None:
    drawn = draw_queues(weights, picks)
    assert sum(drawn.values()) == len(picks)
    assert drawn.keys() <= weights.keys()


def test_rank_goes_from_the_heaviest_down_and_keeps_ties_in_order() -> None:
    assert sort_by_weight({"a": 1, "c": 3, "b": 3, "d": 2}) == ["c", "b", "d", "a"]


@given(queues)
def test_every_queue_has_a_rank(weights: dict[str, int]) -> None:
    assert sorted(sort_by_weight(weights)) == sorted(weights)
