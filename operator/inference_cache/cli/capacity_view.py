"""The figures of a capacity plan as rows for people: a label, the figure, and what it means or rests on."""

from inference_cache.domain.capacity_figures import CapacityPlan, GainBounds
from inference_cache.domain.capacity_text import format_bytes, format_factor, format_hits, format_rate

Row = tuple[str, str, str]


def list_capacity_rows(plan: CapacityPlan) -> list[Row]:
    """Return the rows of every figure that is known."""
    return [*_list_size_rows(plan), *_list_speed_rows(plan), *_list_gain_rows(plan), *_list_store_rows(plan)]


def _list_size_rows(plan: CapacityPlan) -> list[Row]:
    workload = plan.inputs.workload
    rows: list[Row] = [
        (
            "workload",
            f"{workload.conversations} conversations x {workload.context_tokens} tokens",
            f"+{workload.new_tokens} new and {workload.answer_tokens} answered per turn, {_describe_replicas(workload.replicas)}",
        )
    ]
    if plan.kv is not None:
        rows += [
            ("KV per token", f"{plan.kv.bytes_per_token} B", "as stored"),
            ("KV per conversation", format_bytes(plan.kv.session_bytes), ""),
        ]
    if plan.working_set is not None:
        share = plan.working_set.replica_bytes
        remark = (
            "all conversations"
            if workload.replicas <= 1
            else f"all conversations; {format_bytes(share)} on the fullest replica"
        )
        rows.append(("working set", format_bytes(plan.working_set.mean_bytes), remark))
    if plan.hbm is not None:
        copies = "; every GPU holds a copy of the same KV" if plan.kv and plan.kv.copied_per_gpu else ""
        rows.append(
            (
                "HBM for KV",
                format_bytes(plan.hbm.kv_bytes),
                f"{min(plan.hbm.sessions, workload.conversations_per_replica)} of {workload.conversations_per_replica} conversations fit{copies}",
            )
        )
    if plan.dram is not None:
        dram = plan.dram
        rows.append(
            (
                "memory tier",
                format_bytes(dram.configured_bytes),
                f"{dram.raw_fit:.2f} of the working set; {format_bytes(dram.usable_low)} to {format_bytes(dram.usable_high)} in use before eviction",
            )
        )
    return rows


def _list_speed_rows(plan: CapacityPlan) -> list[Row]:
    rows: list[Row] = []
    if plan.cost.prefill:
        rows.append(("prefill of a context", f"{plan.cost.prefill:.2f} s", "computed, not measured"))
    if plan.break_even is not None:
        span = plan.break_even.range
        remark = (
            f"{format_rate(span.low)} to {format_rate(span.high)} with slower or faster prefill"
            if span.low != span.high
            else "from the measured prefill rate"
        )
        rows.append(("break-even of the link", format_rate(plan.break_even.bytes_per_second), remark))
    if plan.read_link is not None:
        ratio = plan.break_even.read_ratio if plan.break_even else None
        remark = f"limited by {plan.read_link.limited_by}" + (
            f"; {format_factor(ratio)} the break-even" if ratio else ""
        )
        rows.append(("link from the store", format_rate(plan.read_link.bytes_per_second), remark))
    if plan.break_even is not None and plan.break_even.write_ratio is not None:
        rows.append(
            (
                "cold ingest",
                format_rate(plan.break_even.bytes_per_second),
                f"the link takes {format_factor(plan.break_even.write_ratio)} of it",
            )
        )
    if plan.load_seconds is not None:
        rows.append(("load of a context", f"{plan.load_seconds:.2f} s", "from the store, idle link"))
    return rows


def _list_gain_rows(plan: CapacityPlan) -> list[Row]:
    rows: list[Row] = []
    if plan.hits is not None:
        rows.append(("hit rate, HBM and memory", format_hits(plan.hits.dram), "turns in lock step to random order"))
        if plan.inputs.tiers.object_store:
            rows.append(("hit rate with the store", format_hits(plan.hits.all_tiers), ""))
    gains = plan.gains
    if gains is not None:
        if gains.ceiling is not None:
            rows.append(
                (
                    "gain ceiling",
                    format_factor(gains.ceiling),
                    "of a perfect cache; every gain is over no prefix cache at all, not even in HBM",
                )
            )
        if gains.dram is not None:
            rows.append(("gain with memory", _range(gains.dram), ""))
        if gains.all_tiers is not None:
            rows.append(("gain with the store", _range(gains.all_tiers), ""))
        if gains.added_by_s3 is not None:
            rows.append(
                (
                    "added by the store",
                    f"{format_factor(gains.added_by_s3.low)} to {format_factor(gains.added_by_s3.high)}",
                    "over memory alone",
                )
            )
    if plan.throughput is not None:
        rows.append(("limit", plan.throughput.limit.value, "what to enlarge first"))
    return rows


def _list_store_rows(plan: CapacityPlan) -> list[Row]:
    if plan.kv is None or not plan.inputs.tiers.object_store:
        return []
    kv, traffic = plan.kv, plan.traffic
    rows: list[Row] = [
        (
            "objects",
            f"{kv.objects_per_session} of {format_bytes(kv.object_bytes)} per conversation",
            f"{kv.objects_total} in all",
        )
    ]
    if traffic is None:
        return rows
    if traffic.gets_per_second is not None:
        rows.append(
            (
                "GET rate",
                f"{traffic.gets_per_second:.0f}/s",
                f"at a full link; {traffic.heads_per_cold_lookup} HEAD per cold look-up",
            )
        )
    if traffic.steady_write_bytes_per_second is not None:
        rows.append(("steady writes", format_rate(traffic.steady_write_bytes_per_second), "of the whole deployment"))
    if traffic.retained_bytes is not None:
        rows.append(("kept in the bucket", format_bytes(traffic.retained_bytes), "until objects expire"))
    return rows


def _describe_replicas(count: int) -> str:
    if count < 1:
        return "0 replicas, planned as for 1"
    return "1 replica" if count == 1 else f"{count} replicas"


def _range(bounds: GainBounds) -> str:
    return f"{format_factor(bounds.low)} to {format_factor(bounds.high)}"
