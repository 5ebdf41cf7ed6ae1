"""Queues are listed by name or by pattern; a name has priority over patterns."""

import pytest

from pyasynq import OptionError
from pyasynq.core.queue_weights import check_weights, is_pattern, match_queues, names_in


def test_a_name_is_served_whether_it_is_known_or_not() -> None:
    assert match_queues({"a": 2, "b": 1}, ["b", "c"]) == {"a": 2, "b": 1}


def test_a_pattern_serves_the_known_queues_that_match_it_in_order() -> None:
    known = ["tenant-b", "tenant-a", "tenant-", "tenant", "a-tenant-b"]
    assert list(match_queues({"tenant-*": 3}, known).items()) == [
        ("tenant-", 3),
        ("tenant-a", 3),
        ("tenant-b", 3),
    ]


@pytest.mark.parametrize(
    ("pattern", "matching"),
    [
        ("*", {"", "a.b", "axb", "[a]", "a\nb"}),
        ("a*b", {"a.b", "axb", "a\nb"}),
        ("a.*", {"a.b"}),
        ("[a*", {"[a]"}),
        ("*b*", {"a.b", "axb", "a\nb"}),
    ],
)
def test_only_the_star_stands_for_other_text(pattern: str, matching: set[str]) -> None:
    assert match_queues({pattern: 1}, ["", "a.b", "axb", "[a]", "a\nb"]).keys() == matching


def test_a_name_has_priority_over_a_pattern_and_a_pattern_over_later_ones() -> None:
    weights = {"a*": 5, "*": 1, "ab": 9}
    assert match_queues(weights, ["ab", "ac", "b"]) == {"ab": 9, "ac": 5, "b": 1}


def test_a_queue_whose_name_has_braces_is_not_served() -> None:
    assert match_queues({"*": 1}, ["a{b", "a}b", "ab"]) == {"ab": 1}


def test_a_queue_with_a_star_in_its_name_is_served_by_its_own_name() -> None:
    assert is_pattern("a*")
    assert match_queues({"a*": 1}, ["a*"]) == {"a*": 1}
    assert names_in({"a*": 1, "b": 2}) == {"b": 2}


@pytest.mark.parametrize(
    "wrong", [{}, [], None, {"a": True}, {"a": 1.0}, {"a": 1001}, {"": 1}, {"{*}": 1}]
)
def test_what_is_no_mapping_of_queues_to_weights_is_refused(wrong: object) -> None:
    with pytest.raises(OptionError):
        check_weights(wrong)


def test_a_pattern_with_many_stars_takes_no_longer() -> None:
    weights = {"*a" * 40 + "z": 1, "*" * 40 + "z": 1}
    assert match_queues(weights, ["a" * 200, "aaz"]) == {"aaz": 1}
