"""How many requests a replica serves at given hit rates, what the cache gains, and which resource allows no more."""

import math
from dataclasses import dataclass
from enum import StrEnum


class Limit(StrEnum):
    """The resource that allows no more requests."""

    GPU_PREFILL = "gpu-prefill"
    DECODE = "decode"
    HBM_SLOTS = "hbm-slots"
    DRAM_CAPACITY = "dram-capacity"
    S3_LINK = "s3-link"
    PCIE = "pcie"


@dataclass(frozen=True)
class Supply:
    """What one replica has and what a request takes of it; seconds, bytes, and bytes per second.

    Attributes:
        prefill: GPU time to prefill the whole prompt; suffix, decode and lone_answer as in RequestCost.
        session_bytes: KV that a full hit loads.
        local_rate: From DRAM into HBM.
        s3_rate: From the object store into HBM; None without an object store.
        conversations: Conversations of the replica.
        slots: Conversations that fit into HBM at once.
    """

    prefill: float
    suffix: float
    decode: float
    lone_answer: float
    session_bytes: float
    local_rate: float
    s3_rate: float | None
    conversations: int
    slots: int

    @property
    def none_seconds(self) -> float:
        """GPU time of one request without any cache."""
        return self.prefill + self.suffix + self.decode

    @property
    def hit_seconds(self) -> float:
        """GPU time of one request whose context comes from a cache."""
        return self.suffix + self.decode


@dataclass(frozen=True)
class Shares:
    """Where the context of a request comes from, as parts of its tokens; with S3 the rest comes from there.

    Attributes:
        hbm: From HBM.
        local: From HBM or DRAM.
        s3: Whether an object store serves what they do not hold.
    """

    hbm: float
    local: float
    s3: bool

    @property
    def loaded_from_s3(self) -> float:
        """Part of the tokens that crosses the link."""
        return 1 - self.local if self.s3 else 0.0

    @property
    def missed(self) -> float:
        """Part of the tokens that is prefilled again."""
        return 0.0 if self.s3 else 1 - self.local


@dataclass(frozen=True)
class Rate:
    """Requests per second of one replica and what allows no more."""

    requests_per_second: float
    limit: Limit


def compute_gain_ceiling(supply: Supply) -> float | None:
    """Return how much faster than without a cache a perfect cache is; None where a perfect hit costs no GPU time."""
    return supply.none_seconds / supply.hit_seconds if supply.hit_seconds > 0 else None


def compute_gain(supply: Supply, shares: Shares) -> float | None:
    """Return the request rate over the rate without any cache.

    This is (C+s+d) / ((1-h)C+s+d) unless loads are slower than that; below break-even it is less than 1, because
    LMCache loads what it finds even where prefill would be faster.
    """
    rate = min(value for value, _ in _list_rates(supply, shares))
    return rate * supply.none_seconds if math.isfinite(rate) else None


def compute_rate(supply: Supply, shares: Shares) -> Rate:
    """Return the request rate of a replica whose conversations each wait for their answer before the next turn."""
    return min(
        (Rate(value, limit) for value, limit in [*_list_rates(supply, shares), _concurrency_rate(supply, shares)]),
        key=lambda rate: rate.requests_per_second,
    )


def find_limit(supply: Supply, shares: Shares, *, break_even: float, dram_growth: float) -> Limit:
    """Return what to enlarge first.

    Misses of a DRAM tier show up as prefill or as load on the link, so the slowest term alone does not name DRAM. DRAM
    is the limit where missing hits are most of the GPU's work, and where a smaller enlargement of DRAM than of the link
    ends the wait for the link. A link below break-even comes first: each load through it costs more than it saves.

    Args:
        supply: The replica.
        shares: Where hits come from in the worse order of turns.
        break_even: Link rate in bytes per second below which a load is slower than prefill.
        dram_growth: Factor by which DRAM would have to grow to hold the working set.
    """
    rate = compute_rate(supply, shares)
    if rate.limit is Limit.GPU_PREFILL and shares.missed * supply.prefill > supply.hit_seconds:
        return Limit.DRAM_CAPACITY
    if rate.limit is not Limit.S3_LINK or supply.s3_rate is None or supply.s3_rate < break_even:
        return rate.limit
    others = min(value for value, limit in _list_rates(supply, shares) if limit is not Limit.S3_LINK)
    link_growth = others / rate.requests_per_second if rate.requests_per_second > 0 else math.inf
    return Limit.DRAM_CAPACITY if dram_growth <= link_growth else Limit.S3_LINK


def _list_rates(supply: Supply, shares: Shares) -> list[tuple[float, Limit]]:
    """Return the request rate that each resource allows when enough requests wait for it."""
    prefill = shares.missed * supply.prefill + supply.suffix
    compute = Limit.GPU_PREFILL if prefill >= supply.decode else Limit.DECODE
    rates = [(_rate(1, prefill + supply.decode), compute)]
    if supply.s3_rate is not None:
        rates.append((_rate(supply.s3_rate, shares.loaded_from_s3 * supply.session_bytes), Limit.S3_LINK))
    loaded = 1 - shares.missed - shares.hbm
    rates.append((_rate(supply.local_rate, loaded * supply.session_bytes), Limit.PCIE))
    return rates


def _concurrency_rate(supply: Supply, shares: Shares) -> tuple[float, Limit]:
    """Return the rate of the requests that can be under way at once, each as fast as if it were alone."""
    prefill = shares.missed * supply.prefill + supply.suffix
    from_s3 = 0.0 if supply.s3_rate is None else _seconds(shares.loaded_from_s3 * supply.session_bytes, supply.s3_rate)
    from_dram = _seconds((1 - shares.missed - shares.hbm) * supply.session_bytes, supply.local_rate)
    under_way = min(supply.conversations, supply.slots)
    rate = _rate(under_way, prefill + from_s3 + from_dram + supply.lone_answer) if under_way else 0.0
    if supply.slots < supply.conversations:
        return rate, Limit.HBM_SLOTS
    # Every conversation is under way, so the longest part of a request is what a faster machine would shorten.
    parts = {
        Limit.GPU_PREFILL: prefill,
        Limit.S3_LINK: from_s3,
        Limit.PCIE: from_dram,
        Limit.DECODE: supply.lone_answer,
    }
    return rate, max(parts, key=lambda name: parts[name])


def _rate(available: float, per_request: float) -> float:
    """Return how many requests per second a resource allows; one that a request does not use allows any number."""
    return available / per_request if per_request > 0 else math.inf


def _seconds(amount: float, rate: float) -> float:
    if amount <= 0:
        return 0.0
    return amount / rate if rate > 0 else math.inf
