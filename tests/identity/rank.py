"""Whether times of several kinds come from one distribution: ranks and means."""

from __future__ import annotations

import math
from statistics import fmean, median, quantiles, variance
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

# Sides of leakage tests call a difference of means sure beyond this (dudect's 4.5).
SURE = 4.5
# Below this chance the ranks of the kinds differ by more than luck.
UNLIKELY = 0.001


class Spread(NamedTuple):
    """Where the times of one kind lie, in the unit they were given in."""

    size: int
    p10: float
    p50: float
    p90: float


def spread(times: Sequence[float]) -> Spread:
    """Return count and quantiles."""
    deciles = quantiles(times, n=10)
    return Spread(len(times), deciles[0], median(times), deciles[-1])


def kruskal_wallis(kinds: Mapping[str, Sequence[float]]) -> float:
    """Return the chance that four kinds of one distribution rank so differently.

    By the chi-square distribution of three degrees; ties of a fine clock are left out.
    """
    ranked = sorted((time, kind) for kind, times in kinds.items() for time in times)
    total = len(ranked)
    sums = dict.fromkeys(kinds, 0)
    for rank, (_, kind) in enumerate(ranked, 1):
        sums[kind] += rank
    h = sum(sums[kind] ** 2 / len(times) for kind, times in kinds.items())
    h = 12 / (total * (total + 1)) * h - 3 * (total + 1)
    return chi_square_3(max(0.0, h))


def chi_square_3(x: float) -> float:
    """Return the chance of more than ``x`` at three degrees of freedom."""
    return math.erfc(math.sqrt(x / 2)) + math.sqrt(2 * x / math.pi) * math.exp(-x / 2)


def largest_t(kinds: Mapping[str, Sequence[float]]) -> float:
    """Return the largest of Welch's t between any two kinds.

    The slowest twentieth of all is left out: it is other processes' work.
    """
    every = sorted(time for times in kinds.values() for time in times)
    most = every[int(len(every) * 0.95)]
    kept = [[time for time in times if time <= most] for times in kinds.values()]
    return max(
        abs(fmean(one) - fmean(other))
        / math.sqrt(variance(one) / len(one) + variance(other) / len(other))
        for number, one in enumerate(kept)
        for other in kept[:number]
    )
