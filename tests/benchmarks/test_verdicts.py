"""When a benchmark says that something has become slower."""

from benchmarks.verdicts import judge

BASE = [10.0] * 9


def test_a_median_above_the_limit_is_a_regression() -> None:
    slower = [10.6] * 5 + [9.0] * 4
    assert judge("f", BASE, slower, BASE, bar=0.05).is_regression


def test_a_ratio_below_the_limit_is_no_regression() -> None:
    assert not judge("f", BASE, [10.4] * 9, BASE, bar=0.05).is_regression


def test_a_ratio_within_the_spread_of_base_against_itself_is_no_regression() -> None:
    again = [9.0, 10.0, 11.0] * 3
    assert not judge("f", BASE, [10.9] * 9, again, bar=0.05).is_regression
    assert judge("f", BASE, [11.1] * 9, again, bar=0.05).is_regression


def test_each_run_is_compared_with_the_one_beside_it() -> None:
    drifting = [10.0, 20.0, 40.0]
    found = judge("f", drifting, [11.0, 22.0, 44.0], drifting, bar=0.05)
    assert (round(found.ratio, 6), found.spread) == (1.1, 0)


def test_a_verdict_reads_as_a_line() -> None:
    line = "REGRESSION: f: +10.0% (bar 5%, BASE against itself 0.0%)"
    assert str(judge("f", BASE, [11.0] * 9, BASE, bar=0.05)) == line
