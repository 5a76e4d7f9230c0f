"""Whether what must fit does: weights and one conversation into HBM, one conversation into DRAM, a request into the model."""

from dataclasses import dataclass
from typing import Final

from .capacity_figures import CapacityPlan
from .capacity_text import format_bytes

# vLLM gives out KV in blocks of at least this many tokens.
BLOCK_TOKENS: Final = 16


@dataclass(frozen=True)
class Shortage:
    """Something that does not fit: the figures, and what to do."""

    facts: str
    advice: str


def find_hbm_shortage(plan: CapacityPlan) -> Shortage | None:
    """Return why HBM takes no conversation at all; None where it takes one or that is not known."""
    kv, hbm, machine, workload = plan.kv, plan.hbm, plan.inputs.machine, plan.inputs.workload
    if kv is None or hbm is None or hbm.sessions > 0:
        return None
    budget = machine.hbm_budget_bytes
    if machine.hbm_kv_bytes is None and budget is not None and plan.weight_bytes is not None and hbm.kv_bytes <= 0:
        return Shortage(
            f"The weights take {format_bytes(plan.weight_bytes)}, and the HBM that the engine may use is {format_bytes(budget)} ({machine.gpus} GPUs, overhead deducted): the weights do not fit",
            "Use more GPUs per replica, GPUs with more memory, or quantized weights.",
        )
    tokens = workload.mean_context + workload.growth_tokens
    copies = ", with a copy on every GPU" if kv.copied_per_gpu else ""
    return Shortage(
        f"HBM has {format_bytes(hbm.kv_bytes)} for KV, and one conversation of {tokens:.0f} tokens with its new tokens and its answer takes {format_bytes(kv.hbm_bytes_per_token * tokens)}{copies}: not one conversation fits",
        "Use more GPUs per replica, fp8 KV, or shorter contexts.",
    )


def find_length_shortage(plan: CapacityPlan) -> Shortage | None:
    """Return why vLLM will not start: one request of the greatest length must fit into its KV pool."""
    kv, hbm, limit = plan.kv, plan.hbm, plan.inputs.workload.max_model_len
    if kv is None or hbm is None or limit is None or hbm.kv_bytes <= 0:
        return None
    needed = limit * kv.hbm_bytes_per_token
    if needed <= hbm.kv_bytes:
        return None
    longest = int(hbm.kv_bytes // (kv.hbm_bytes_per_token * BLOCK_TOKENS)) * BLOCK_TOKENS
    source = "is estimated at" if plan.inputs.machine.hbm_kv_bytes is None else "is"
    return Shortage(
        f"One request of maxModelLen {limit} tokens takes {format_bytes(needed)} of KV, and the HBM pool {source} {format_bytes(hbm.kv_bytes)}: vLLM refuses to start",
        f"The largest maxModelLen that fits is {longest}; lower it, use more GPUs per replica, or fp8 KV.",
    )


def find_request_excess(plan: CapacityPlan) -> Shortage | None:
    """Return why the engine refuses the workload: its longest request is longer than the engine takes."""
    workload = plan.inputs.workload
    longest = workload.longest_context + workload.growth_tokens
    if workload.max_model_len is None or longest <= workload.max_model_len:
        return None
    return Shortage(
        f"A context of {workload.longest_context} tokens with {workload.new_tokens} new and {workload.answer_tokens} answered makes {longest}, more than maxModelLen {workload.max_model_len}: the engine refuses or cuts such requests",
        f"Raise maxModelLen to at least {longest}, or plan with shorter contexts.",
    )


def find_load_shortage(plan: CapacityPlan) -> Shortage | None:
    """Return why S3 gives no hits: every load passes through DRAM, and one conversation does not surely fit there."""
    kv, tiers = plan.kv, plan.inputs.tiers
    if kv is None or not tiers.object_store or kv.session_bytes <= tiers.usable_low:
        return None
    advice = "Lower the eviction ratio, which empties the tier."
    if tiers.usable_low > 0:
        enough = kv.session_bytes * tiers.dram_bytes / tiers.usable_low
        advice = f"Enlarge the memory tier to {format_bytes(enough)} at the very least."
    elif tiers.dram_bytes <= 0:
        advice = "Add a memory tier."
    return Shortage(
        f"One conversation takes {format_bytes(kv.session_bytes)}, and only {format_bytes(tiers.usable_low)} of DRAM are sure to be usable, through which every load from S3 passes: loads fail with l1_oom and are computed again, so S3 gives no hits",
        advice,
    )
