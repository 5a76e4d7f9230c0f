"""Whether the cache will make serving faster at all, judged by break-even and by what each tier adds.

Measured on an H100, the gain of a link-bound cache was its link rate over the break-even rate to within three per cent,
below 1 as well as above. LMCache has no bypass, so a slow tier has to be known before it is used.
"""

from dataclasses import dataclass
from enum import StrEnum

from .cache_link import EffectiveLink
from .capacity_figures import BreakEven, CapacityPlan, FindingReason, Hits
from .capacity_text import format_factor, format_hits, format_rate
from .verdict import Truth


class PayoffReason(StrEnum):
    """Why the cache pays off or not; stable names."""

    LINK_ABOVE_BREAK_EVEN = "LinkAboveBreakEven"
    LINK_NEAR_BREAK_EVEN = "LinkNearBreakEven"
    LINK_BELOW_BREAK_EVEN = "LinkBelowBreakEven"
    LINK_UNKNOWN = "LinkUnknown"
    BREAK_EVEN_UNKNOWN = "BreakEvenUnknown"
    HITS_UNKNOWN = "HitsUnknown"
    HBM_HOLDS_WORKING_SET = "HBMHoldsWorkingSet"
    DRAM_HOLDS_WORKING_SET = "DRAMHoldsWorkingSet"
    DRAM_NOT_LARGER_THAN_HBM = "DRAMNotLargerThanHBM"
    DEPENDS_ON_ORDER = "DependsOnOrder"


@dataclass(frozen=True)
class Payoff:
    """The prediction for the condition CachePaysOff.

    Attributes:
        read_ratio: Read link over break-even; None without an object store or where one of them is not known.
        write_ratio: Write link over the rate at which a cold replica produces KV.
    """

    verdict: Truth
    reason: PayoffReason
    read_ratio: float | None
    write_ratio: float | None
    message: str


def predict_payoff(plan: CapacityPlan) -> Payoff:
    """Return whether the tiers below HBM will make serving faster.

    True is said only if it holds at the fastest plausible prefill; where prefill was not measured, a link between the
    planned and the highest break-even leaves it Unknown.
    """
    if plan.hits is not None and plan.hits.hbm is not None and plan.hits.hbm.cyclic >= 1:
        return _judge(
            plan,
            Truth.FALSE,
            PayoffReason.HBM_HOLDS_WORKING_SET,
            "HBM alone holds the working set, so the tiers below it are written and hardly ever read. Drop them unless the workload grows.",
        )
    if plan.hits is not None and plan.hits.dram.cyclic >= 1:
        return _judge(
            plan,
            Truth.TRUE,
            PayoffReason.DRAM_HOLDS_WORKING_SET,
            "DRAM holds the working set in any order of turns, so hits come from DRAM and the link hardly matters.",
        )
    if plan.inputs.tiers.object_store:
        return _judge_link(plan)
    return _judge_dram(plan, plan.hits)


def _judge_link(plan: CapacityPlan) -> Payoff:
    even, link = plan.break_even, plan.read_link
    if even is None:
        why = " ".join(item.why for item in plan.unknowns if item.what in {"bytes per token", "prefill time"})
        return _judge(plan, Truth.UNKNOWN, PayoffReason.BREAK_EVEN_UNKNOWN, f"Break-even is not known: {why}")
    if link is None or even.read_ratio is None:
        return _judge(
            plan,
            Truth.UNKNOWN,
            PayoffReason.LINK_UNKNOWN,
            f"Break-even is {format_rate(even.bytes_per_second)} per replica, but the rate of the object store is not known. State the network speed, or measure with `lmcache bench l2`.",
        )
    figures = _describe_link(even, link, even.read_ratio)
    if even.read_ratio < 1:
        return _judge(
            plan,
            Truth.FALSE,
            PayoffReason.LINK_BELOW_BREAK_EVEN,
            f"{figures}: hits from S3 are slower than prefill. Widen the link, or leave the object store out.",
        )
    if link.bytes_per_second < even.range.high:
        return _judge(
            plan,
            Truth.UNKNOWN,
            PayoffReason.LINK_NEAR_BREAK_EVEN,
            f"{figures}, but less than {format_rate(even.range.high)}, which a faster prefill would need. Measure the prefill rate.",
        )
    return _judge(plan, Truth.TRUE, PayoffReason.LINK_ABOVE_BREAK_EVEN, f"{figures}.")


def _judge_dram(plan: CapacityPlan, hits: Hits | None) -> Payoff:
    if hits is None or hits.hbm is None:
        return _judge(
            plan,
            Truth.UNKNOWN,
            PayoffReason.HITS_UNKNOWN,
            f"What HBM and DRAM hold is not known: {' '.join(item.why for item in plan.unknowns)}",
        )
    if any(finding.reason is FindingReason.DRAM_NOT_LARGER_THAN_HBM for finding in plan.findings):
        return _judge(
            plan,
            Truth.FALSE,
            PayoffReason.DRAM_NOT_LARGER_THAN_HBM,
            "The DRAM tier holds no more conversations than HBM, whose content it copies. Enlarge it several times.",
        )
    return _judge(
        plan,
        Truth.UNKNOWN,
        PayoffReason.DEPENDS_ON_ORDER,
        f"DRAM holds a part of the working set; hits are {format_hits(hits.dram)} against {format_hits(hits.hbm)} in HBM alone, depending on the order of turns. Measure with real traffic.",
    )


def _describe_link(even: BreakEven, link: EffectiveLink, ratio: float) -> str:
    return f"S3 can deliver {format_rate(link.bytes_per_second)} per replica, {format_factor(ratio)} the break-even of {format_rate(even.bytes_per_second)}"


def _judge(plan: CapacityPlan, verdict: Truth, reason: PayoffReason, message: str) -> Payoff:
    even = plan.break_even
    write = even.write_ratio if even else None
    if write is not None and write < 1:
        message += f" While nothing is cached, S3 takes only {write:.2f} of the KV that prefill produces."
    return Payoff(verdict, reason, even.read_ratio if even else None, write, message)
