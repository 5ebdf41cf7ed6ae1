"""The lines of keys."""

from pyasynq.terminal.keys import fold

KEYS = [("x", "select"), ("r", "run"), ("d", "delete")]


def test_keys_fill_a_line_before_the_next_one() -> None:
    assert fold(KEYS, 14) == [KEYS[:2], KEYS[2:]]


def test_keys_that_fit_exactly_stay_on_their_line() -> None:
    assert fold(KEYS, 23) == [KEYS]


def test_a_key_that_is_wider_than_the_terminal_has_a_line_of_its_own() -> None:
    assert fold(KEYS, 3) == [[it] for it in KEYS]


def test_without_keys_there_is_one_empty_line() -> None:
    assert fold([], 80) == [[]]
