"""Whether something has become slower: pure, it is told the numbers."""

import statistics
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What the measurements of one figure say.

    Attributes:
        name: What was measured.
        base: Median of BASE.
        now: Median of what is compared with it.
        ratio: Median of the ratios now to BASE, each of two runs beside each other.
        lowest: The smallest of these.
        highest: The largest of these.
        spread: How far BASE is from itself, as a part of 1.
        bar: What more than BASE is too much, as a part of 1.
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
        """Whether it is more than the bar and more than chance."""
        return self.ratio - 1 > max(self.bar, self.spread)

    def __str__(self) -> str:
        """Say it in a line."""
        word = "REGRESSION" if self.is_regression else "ok"
        return (
            f"{word}: {self.name}: {self.ratio - 1:+.1%} "
            f"(bar {self.bar:.0%}, BASE against itself {self.spread:.1%})"
        )


def verdict(
    name: str, base: Sequence[float], now: Sequence[float], again: Sequence[float], *, bar: float
) -> Verdict:
    """Return what measurements in turn say: those of one place were made beside each other.

    The spread is that of the middle half of the ratios *again* to *base*, where both are BASE: the
    quartile that is farther from 1.
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
