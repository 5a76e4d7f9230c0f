"""What a user should know about a capacity plan before applying it, with the figures and what to do."""

from collections.abc import Callable, Iterator
from typing import Final

from .cache_rate import Limit
from .capacity_figures import CapacityPlan, Finding, FindingLevel, FindingReason, Hits
from .capacity_room import find_hbm_shortage, find_length_shortage, find_load_shortage, find_request_excess
from .capacity_text import format_bytes, format_factor, format_hits, format_rate

# The working set against DRAM where a few per cent decide between all hits and none.
CLIFF_LOW: Final = 0.9
CLIFF_HIGH: Final = 1.2
NEAR_BREAK_EVEN: Final = 1.5
WORTHWHILE: Final = 1.2
DECODE_BOUND_BELOW: Final = 3.0
FITTING_HITS: Final = 0.5


def list_findings(plan: CapacityPlan) -> tuple[Finding, ...]:
    """Return the findings, the ones that make others moot first."""
    return tuple(finding for check in _CHECKS for finding in check(plan))


def _warn(reason: FindingReason, message: str) -> Finding:
    return Finding(FindingLevel.WARNING, reason, message)


def _inform(reason: FindingReason, message: str) -> Finding:
    return Finding(FindingLevel.INFO, reason, message)


def _check_metadata(plan: CapacityPlan) -> Iterator[Finding]:
    if plan.kv is None:
        why = "; ".join(item.why for item in plan.unknowns if item.what == "bytes per token")
        yield _warn(
            FindingReason.METADATA_UNKNOWN,
            f"The KV size of the model is not known, so nothing is planned: {why} State spec.model.architecture, or make config.json readable.",
        )


def _check_room(plan: CapacityPlan) -> Iterator[Finding]:
    for reason, shortage in (
        (FindingReason.HBM_TOO_SMALL, find_hbm_shortage(plan)),
        (FindingReason.MAX_MODEL_LEN_EXCEEDS_HBM, find_length_shortage(plan)),
        (FindingReason.CONTEXT_EXCEEDS_MAX_MODEL_LEN, find_request_excess(plan)),
    ):
        if shortage is not None:
            yield _warn(reason, f"{shortage.facts}. {shortage.advice}")


def _check_dram(plan: CapacityPlan) -> Iterator[Finding]:
    """Judge by what LMCache keeps in use; the configured size only shows how near the edge is."""
    dram, working_set, hits = plan.dram, plan.working_set, plan.hits
    if dram is None or working_set is None or hits is None or dram.configured_bytes <= 0:
        return
    needed = working_set.replica_bytes
    if needed < CLIFF_LOW * dram.usable_low or _fails_as_last_tier(plan, hits):
        return
    figures = (
        f"{format_bytes(dram.configured_bytes)} of DRAM is {dram.raw_fit:.2f} of the working set of "
        f"{format_bytes(needed)} per replica, but LMCache keeps {format_bytes(dram.usable_low)} to "
        f"{format_bytes(dram.usable_high)} of it in use ({dram.usable_fit.low:.2f} to {dram.usable_fit.high:.2f}), and "
        f"that decides: {format_hits(hits.dram)} of the tokens hit, depending on the order of turns."
    )
    remedy = "Lower the eviction ratio, which empties the tier."
    if dram.usable_low > 0:
        enough = needed * dram.configured_bytes / dram.usable_low
        remedy = f"{format_bytes(enough)} of DRAM holds everything at all times."
    limited = plan.throughput is not None and plan.throughput.limit is Limit.DRAM_CAPACITY
    if needed <= CLIFF_HIGH * dram.configured_bytes:
        head = "The DRAM cliff limits this deployment." if limited else "The DRAM cliff is near."
        yield _warn(
            FindingReason.CYCLIC_CLIFF_RISK,
            f"{head} {figures} A tier a few per cent too small can lose every hit. {remedy}",
        )
    else:
        head = (
            "DRAM limits this deployment; the working set is past the DRAM cliff."
            if limited
            else "The working set is past the DRAM cliff."
        )
        yield _warn(FindingReason.WORKING_SET_EXCEEDS_DRAM, f"{head} {figures} {remedy}")


def _check_last_tier(plan: CapacityPlan) -> Iterator[Finding]:
    hits, working_set = plan.hits, plan.working_set
    if hits is None or working_set is None or not _fails_as_last_tier(plan, hits):
        return
    yield _warn(
        FindingReason.TIER_TOO_SMALL,
        f"No tier lies below DRAM, and even in the best order only {hits.dram.random:.2f} of the tokens hit (working set {format_bytes(working_set.replica_bytes)} per replica, usable DRAM {format_bytes(plan.inputs.tiers.usable_high)}). Add an object store tier, more DRAM, or replicas.",
    )


def _check_dram_against_hbm(plan: CapacityPlan) -> Iterator[Finding]:
    """DRAM holds copies of HBM, so only what it has beyond HBM can hit; equal sizes were measured to gain nothing."""
    kv, hbm, dram = plan.kv, plan.hbm, plan.dram
    if kv is None or hbm is None or dram is None or plan.hits is None:
        return
    if plan.hits.hbm is not None and plan.hits.hbm.cyclic >= 1:
        return
    # Latent attention takes a copy per rank in HBM, so both are compared as conversations.
    usable = (dram.usable_low + dram.usable_high) / 2
    if usable / kv.session_bytes <= hbm.kv_bytes / kv.hbm_session_bytes:
        yield _warn(
            FindingReason.DRAM_NOT_LARGER_THAN_HBM,
            f"DRAM in use ({format_bytes(dram.usable_low)} to {format_bytes(dram.usable_high)} of {format_bytes(dram.configured_bytes)}) holds no more conversations than the HBM pool of {format_bytes(hbm.kv_bytes)}; DRAM keeps copies of what is in HBM, so this tier gives nothing. Make it several times the HBM pool.",
        )


def _check_in_flight(plan: CapacityPlan) -> Iterator[Finding]:
    kv, dram, tiers = plan.kv, plan.dram, plan.inputs.tiers
    if kv is None or dram is None or not tiers.object_store:
        return
    shortage = find_load_shortage(plan)
    needed = tiers.max_in_flight_loads * kv.session_bytes
    if shortage is not None:
        yield _warn(FindingReason.IN_FLIGHT_LOADS_EXCEED_DRAM, f"{shortage.facts}. {shortage.advice}")
    elif needed > dram.usable_low:
        yield _warn(
            FindingReason.IN_FLIGHT_LOADS_EXCEED_DRAM,
            f"{tiers.max_in_flight_loads} loads from S3 at once need {format_bytes(needed)} of DRAM, and only {format_bytes(dram.usable_low)} are sure to be usable; loads fail with l1_oom and are computed again. Enlarge the memory tier.",
        )


def _check_link(plan: CapacityPlan) -> Iterator[Finding]:
    even, link = plan.break_even, plan.read_link
    if even is None or link is None or even.read_ratio is None or even.read_ratio >= NEAR_BREAK_EVEN:
        return
    source = plan.inputs.machine.prefill_source
    figures = f"S3 can deliver {format_rate(link.bytes_per_second)} per replica (limited by {link.limited_by}), {format_factor(even.read_ratio)} the {source} break-even of {format_rate(even.bytes_per_second)}"
    if even.read_ratio < 1:
        yield _warn(
            FindingReason.LINK_BELOW_BREAK_EVEN,
            f"{figures}: at the {source} prefill speed, hits from S3 are slower than prefill, and LMCache takes them all the same. Widen the link, or leave the object store out.",
        )
    else:
        yield _warn(
            FindingReason.LINK_NEAR_BREAK_EVEN,
            f"{figures}: hits from S3 save little, and nothing if prefill is faster than planned. Widen the link, or measure before relying on it.",
        )


def _check_write(plan: CapacityPlan) -> Iterator[Finding]:
    even, link = plan.break_even, plan.write_link
    if even is None or link is None or even.write_ratio is None or even.write_ratio >= 1:
        return
    yield _warn(
        FindingReason.WRITE_BELOW_COLD_INGEST,
        f"Cold prefill produces {format_rate(even.bytes_per_second)} of KV per replica, and S3 takes {format_rate(link.bytes_per_second)} ({even.write_ratio:.2f} of it): while nothing is cached, stores are dropped or requests wait for them. Widen the link, or expect a slow cold phase.",
    )


def _check_worth(plan: CapacityPlan) -> Iterator[Finding]:
    gains = plan.gains
    if gains is None or gains.added_by_s3 is None or gains.all_tiers is None or gains.dram is None:
        return
    if find_load_shortage(plan) is not None:
        return
    added, everything, dram = gains.added_by_s3, gains.all_tiers, gains.dram
    alike = sorted((everything.cyclic / dram.cyclic, everything.random / dram.random))
    span = _format_span(added.low, added.high)
    if added.low >= WORTHWHILE:
        yield _inform(
            FindingReason.S3_WORTHWHILE, f"S3 gives {span} the request rate of DRAM alone, whatever the order of turns."
        )
    elif alike[1] < WORTHWHILE:
        yield _warn(
            FindingReason.S3_NOT_WORTHWHILE,
            f"At the {plan.inputs.machine.prefill_source} prefill speed, S3 gives only {_format_span(*alike)} the request rate of DRAM alone if both meet the same order of turns. Leave it out unless replicas must share KV or keep it over restarts.",
        )
    else:
        yield _inform(
            FindingReason.S3_WORTH_DEPENDS_ON_ORDER,
            f"S3 gives {span} the request rate of DRAM alone, depending on the order of turns. Measure with real traffic.",
        )


def _check_decode(plan: CapacityPlan) -> Iterator[Finding]:
    ceiling = plan.gains.ceiling if plan.gains else None
    if ceiling is not None and ceiling < DECODE_BOUND_BELOW:
        yield _warn(
            FindingReason.DECODE_BOUND,
            f"Even a perfect cache gains {format_factor(ceiling)} at most, because decode of {plan.inputs.workload.answer_tokens} tokens and prefill of {plan.inputs.workload.new_tokens} new ones dominate. A cache helps long contexts with short answers.",
        )


def _format_span(low: float, high: float) -> str:
    return format_factor(low) if high - low < 0.05 else f"{format_factor(low)} to {format_factor(high)}"


def _fails_as_last_tier(plan: CapacityPlan, hits: Hits) -> bool:
    return not plan.inputs.tiers.object_store and hits.dram.random < FITTING_HITS


_CHECKS: Final[tuple[Callable[[CapacityPlan], Iterator[Finding]], ...]] = (
    _check_metadata,
    _check_room,
    _check_dram,
    _check_last_tier,
    _check_dram_against_hbm,
    _check_in_flight,
    _check_link,
    _check_write,
    _check_worth,
    _check_decode,
)
