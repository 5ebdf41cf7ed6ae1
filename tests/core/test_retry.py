"""The delay grows with the spent retries, as the reference's does."""

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyasynq.core.retry import LONGEST, asynq_delay

ALMOST_ONE = 1 - 2**-53


@pytest.mark.parametrize(
    ("retried", "random", "seconds"),
    [
        (0, 0, 15),
        (0, ALMOST_ONE, 15 + 29),
        (1, 0, 16),
        (1, ALMOST_ONE, 16 + 29 * 2),
        (1, 0.5, 16 + 15 * 2),
        (24, 0, 331_791),
    ],
)
def test_the_delay_is_that_of_the_reference(retried: int, random: float, seconds: int) -> None:
    assert asynq_delay(retried, random) == timedelta(seconds=seconds)


def test_the_delay_never_leaves_the_calendar() -> None:
    assert asynq_delay(2**31 - 1, 0) == timedelta(seconds=LONGEST)


@given(st.integers(0, 2**31 - 2), st.floats(0, ALMOST_ONE))
def test_the_delay_never_shrinks(retried: int, random: float) -> None:
    assert asynq_delay(retried, random) <= asynq_delay(retried + 1, random)


@given(st.integers(0, 2**31 - 1), st.floats(0, ALMOST_ONE))
def test_the_delay_is_never_less_than_15_seconds(retried: int, random: float) -> None:
    assert asynq_delay(retried, random) >= timedelta(seconds=15)
