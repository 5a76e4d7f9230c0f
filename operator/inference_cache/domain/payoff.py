"""Whether the cache will make serving faster at all, judged by break-even and by what each tier adds.

Measured on an H100, the gain of a link-bound cache was its link rate over the break-even rate to within three per cent,
below 1 as well as above. LMCache has no bypass, so a slow tier has to be known before it is used.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from .cache_link import EffectiveLink
from .capacity_figures import BreakEven, CapacityPlan, FindingReason, Hits
from .capacity_room import find_hbm_shortage, find_load_shortage
from .capacity_text import format_bytes, format_factor, format_hits, format_rate
from .verdict import Truth

# The pool over the working set from which HBM alone surely does; both are estimates.
HBM_MARGIN: Final = 1.2


class PayoffReason(StrEnum):
    """Why the cache pays off or not; stable names."""

    LINK_ABOVE_BREAK_EVEN = "LinkAboveBreakEven"
    LINK_NEAR_BREAK_EVEN = "LinkNearBreakEven"
    LINK_BELOW_BREAK_EVEN = "LinkBelowBreakEven"
    LINK_UNKNOWN = "LinkUnknown"
    BREAK_EVEN_UNKNOWN = "BreakEvenUnknown"
    HITS_UNKNOWN = "HitsUnknown"
    NOTHING_FITS = "NothingFits"
    HBM_HOLDS_WORKING_SET = "HBMHoldsWorkingSet"
    HBM_BARELY_HOLDS_WORKING_SET = "HBMBarelyHoldsWorkingSet"
    LOADS_EXCEED_DRAM = "LoadsExceedDRAM"
    DRAM_HOLDS_WORKING_SET = "DRAMHoldsWorkingSet"
    DRAM_NOT_LARGER_THAN_HBM = "DRAMNotLargerThanHBM"
    DEPENDS_ON_ORDER = "DependsOnOrder"


@dataclass(frozen=True)
class Payoff:
    """The prediction for the condition CachePaysOff.

    Attributes:
        read_ratio: Read link over break-even; None without an object store or where one of them is not known.
        write_ratio: Write link over the rate at which a cold replica produces KV.
        facts: The figures of the verdict.
        advice: What to do about it; empty where there is nothing, or only missing facts to declare.
    """

    verdict: Truth
    reason: PayoffReason
    read_ratio: float | None
    write_ratio: float | None
    facts: str
    advice: str

    @property
    def message(self) -> str:
        """Figures and advice."""
        return f"{self.facts} {self.advice}".strip()


def predict_payoff(plan: CapacityPlan) -> Payoff:
    """Return whether the tiers below HBM will make serving faster.

    Where prefill was not measured, a verdict on the link is said only if it holds at the slowest and at the fastest
    plausible prefill.
    """
    shortage = find_hbm_shortage(plan)
    if shortage is not None:
        return _judge(
            plan,
            Truth.UNKNOWN,
            PayoffReason.NOTHING_FITS,
            f"Nothing can be served, so nothing can be gained. {shortage.facts}.",
            shortage.advice,
        )
    return _judge_hbm(plan) or _judge_lower_tiers(plan)


def _judge_hbm(plan: CapacityPlan) -> Payoff | None:
    """Return the verdict where HBM may hold the working set by itself, else None."""
    kv, hbm = plan.kv, plan.hbm
    if kv is None or hbm is None:
        return None
    needed = plan.inputs.workload.conversations_per_replica * kv.hbm_session_bytes
    if hbm.kv_bytes < needed:
        return None
    figures = f"The HBM pool of {format_bytes(hbm.kv_bytes)} is {format_factor(hbm.kv_bytes / needed)} the working set of {format_bytes(needed)} in HBM"
    if hbm.kv_bytes < HBM_MARGIN * needed:
        return _judge(
            plan,
            Truth.UNKNOWN,
            PayoffReason.HBM_BARELY_HOLDS_WORKING_SET,
            f"{figures}, a margin that the estimate does not have.",
            "Compare with the pool that the engine reports when it starts, or measure with real traffic.",
        )
    return _judge(
        plan,
        Truth.FALSE,
        PayoffReason.HBM_HOLDS_WORKING_SET,
        f"{figures}: HBM alone holds it, so the tiers below are written and hardly ever read. Gains over no prefix cache at all come from HBM.",
        "Drop the tiers unless the workload grows.",
    )


def _judge_lower_tiers(plan: CapacityPlan) -> Payoff:
    if plan.hits is not None and plan.hits.dram.cyclic >= 1:
        return _judge(
            plan,
            Truth.TRUE,
            PayoffReason.DRAM_HOLDS_WORKING_SET,
            "DRAM holds the working set in any order of turns, so hits come from DRAM and the link hardly matters.",
        )
    shortage = find_load_shortage(plan)
    if shortage is not None and plan.kv is not None:
        never = plan.kv.session_bytes > plan.inputs.tiers.dram_bytes
        return _judge(
            plan,
            Truth.FALSE if never else Truth.UNKNOWN,
            PayoffReason.LOADS_EXCEED_DRAM,
            f"{shortage.facts}.",
            shortage.advice,
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
            f"Break-even is {format_rate(even.bytes_per_second)} per replica, but the rate of the object store is not known.",
            "State the network speed, or measure with `lmcache bench l2`.",
        )
    figures = _describe_link(plan, even, link, even.read_ratio)
    if link.bytes_per_second < even.range.low:
        return _judge(
            plan,
            Truth.FALSE,
            PayoffReason.LINK_BELOW_BREAK_EVEN,
            f"{figures}: hits from S3 are slower than prefill.",
            "Widen the link, or leave the object store out.",
        )
    if link.bytes_per_second < even.range.high:
        return _judge(
            plan,
            Truth.UNKNOWN,
            PayoffReason.LINK_NEAR_BREAK_EVEN,
            f"{figures}.",
            "A measured prefill rate decides: measure it, and plan with --prefill-tokens-per-second.",
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
            "The DRAM tier holds no more conversations than HBM, whose content it copies.",
            "Enlarge it several times, or leave it out.",
        )
    return _judge(
        plan,
        Truth.UNKNOWN,
        PayoffReason.DEPENDS_ON_ORDER,
        f"DRAM holds a part of the working set; hits are {format_hits(hits.dram)} against {format_hits(hits.hbm)} in HBM alone, depending on the order of turns.",
        "Measure with real traffic.",
    )


def _describe_link(plan: CapacityPlan, even: BreakEven, link: EffectiveLink, ratio: float) -> str:
    text = f"S3 can deliver {format_rate(link.bytes_per_second)} per replica, {format_factor(ratio)} the {plan.inputs.machine.prefill_source} break-even of {format_rate(even.bytes_per_second)}"
    if even.range.low == even.range.high:
        return text
    return (
        f"{text} (between {format_rate(even.range.low)} and {format_rate(even.range.high)}, as prefill is slow or fast)"
    )


def _judge(plan: CapacityPlan, verdict: Truth, reason: PayoffReason, facts: str, advice: str = "") -> Payoff:
    even = plan.break_even
    write = even.write_ratio if even else None
    if write is not None and write < 1 and reason is not PayoffReason.NOTHING_FITS:
        facts += f" While nothing is cached, S3 takes only {write:.2f} of the KV that prefill produces."
    return Payoff(verdict, reason, even.read_ratio if even else None, write, facts, advice)
