"""Decide whether a figure has become worse. Pure."""

import statistics
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """The result for one figure.

    Attributes:
        name: Name of the figure.
        base: Median of BASE.
        now: Median of the version that is compared with BASE.
        ratio: Median of the ratios now to BASE, each from two neighbouring runs.
        lowest: The smallest of these ratios.
        highest: The largest of these ratios.
        spread: Difference of BASE from itself, as a fraction of 1.
        bar: Largest increase that is allowed, as a fraction of 1.
    """

    name: str
    base: float
    now: float
    ratio: float
    lowest: float
    highest: float
    spread: float
    bar: float

    @property
    def is_regression(self) -> bool:
        """Whether the increase exceeds both the bar and the spread."""
        return self.ratio - 1 > max(self.bar, self.spread)

    def __str__(self) -> str:
        """Return the result as one line."""
        word = "REGRESSION" if self.is_regression else "ok"
        return (
            f"{word}: {self.name}: {self.ratio - 1:+.1%} "
            f"(bar {self.bar:.0%}, BASE against itself {self.spread:.1%})"
        )


def judge(
    name: str, base: Sequence[float], now: Sequence[float], again: Sequence[float], *, bar: float
) -> Verdict:
    """Compare runs in turn; those with the same index were made right after each other.

    The spread comes from the ratios *again* to *base*, where both are BASE: the distance from 1 of
    the farther quartile.
    """
    ratios = [new / old for new, old in zip(now, base, strict=True)]
    first, _, third = statistics.quantiles(
        (other / old for other, old in zip(again, base, strict=True)), method="inclusive"
    )
    return Verdict(
        name=name,
        base=statistics.median(base),
        now=statistics.median(now),
        ratio=statistics.median(ratios),
        lowest=min(ratios),
        highest=max(ratios),
        spread=max(abs(first - 1), abs(third - 1)),
        bar=bar,
    )
