"""Which part of a prompt a tier can hold, as bounds: the order of the turns decides, and nobody knows it beforehand.

When every conversation takes its turn in the same order, an LRU tier that is a little too small always evicts what is
needed next and hits nothing. When the order is random, it hits what it holds. Real traffic lies between the two.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class HitBounds:
    """Token hit rate of the second and later turns, 0 to 1; the first turn of a conversation always misses."""

    cyclic: float
    random: float


EVERYTHING = HitBounds(1.0, 1.0)


def bound_hits(usable_low: float, usable_high: float, working_set: float) -> HitBounds:
    """Return the bounds for a tier that holds usable_low to usable_high bytes of a working set in bytes.

    The worst order meets the tier at its emptiest and the best one at its fullest.
    """
    if working_set <= 0:
        return EVERYTHING
    return HitBounds(
        cyclic=1.0 if usable_low >= working_set else 0.0,
        random=max(0.0, min(1.0, usable_high / working_set)),
    )


def join_hits(upper: HitBounds, lower: HitBounds) -> HitBounds:
    """Return the bounds of two tiers of which the lower one holds copies of the upper one: the larger, not the sum."""
    return HitBounds(max(upper.cyclic, lower.cyclic), max(upper.random, lower.random))


def ceiling_over_turns(context_tokens: int, growth_tokens: int, turns: int) -> float:
    """Return the hit rate over all turns that a cache of unlimited size reaches when the first turn is new."""
    total = turns * context_tokens + growth_tokens * turns * (turns - 1) / 2
    last = context_tokens + (turns - 1) * growth_tokens
    return 0.0 if total <= 0 else max(0.0, 1 - last / total)
