"""What HBM and DRAM of a replica can hold of the conversations that it serves."""

from .capacity_figures import Bounds, DRAMFit, HBMPool, Hits, KVSizes, WorkingSet
from .capacity_inputs import CapacityInputs, Machine, Tiers, Workload
from .hit_rate import EVERYTHING, bound_hits, ceiling_over_turns, join_hits
from .model_shape import ShapeUnknown


def measure_kv(inputs: CapacityInputs) -> KVSizes | None:
    """Return the sizes of cached KV, or None where shape, element size or tensor parallel split does not give them."""
    shape, layout, workload = inputs.shape, inputs.layout, inputs.workload
    element, ranks = layout.kv_bytes_per_element, layout.tensor_parallel_size
    if isinstance(shape, ShapeUnknown) or element is None:
        return None
    stored = shape.stored_bytes_per_token(element, ranks)
    in_hbm = shape.hbm_bytes_per_token(element, ranks)
    object_bytes = shape.object_bytes(element, ranks, layout.chunk_tokens)
    if not stored or not in_hbm or object_bytes is None:
        return None
    objects = int(workload.mean_context // layout.chunk_tokens) * shape.objects_per_chunk(ranks)
    return KVSizes(
        bytes_per_token=stored,
        hbm_bytes_per_token=in_hbm,
        session_bytes=stored * workload.mean_context,
        hbm_session_bytes=in_hbm * workload.mean_context,
        object_bytes=object_bytes,
        objects_per_session=objects,
        objects_total=objects * workload.conversations,
    )


def find_weight_bytes(inputs: CapacityInputs) -> float | None:
    """Return the bytes of all weights, stated before computed, or None where neither is known."""
    if inputs.layout.weight_bytes is not None:
        return inputs.layout.weight_bytes
    return None if isinstance(inputs.shape, ShapeUnknown) else inputs.shape.weight_bytes


def measure_working_set(kv: KVSizes | None, workload: Workload) -> WorkingSet | None:
    """Return the KV of all conversations, or None where the KV of a token is not known."""
    if kv is None:
        return None
    per_context_token = workload.conversations * kv.bytes_per_token
    return WorkingSet(
        start_bytes=per_context_token * workload.context_tokens,
        mean_bytes=per_context_token * workload.mean_context,
        max_bytes=per_context_token * workload.longest_context,
        replica_bytes=workload.conversations_per_replica * kv.session_bytes,
    )


def fit_hbm(kv: KVSizes | None, workload: Workload, machine: Machine, weight_bytes: float | None) -> HBMPool | None:
    """Return the KV pool, measured before computed, or None where neither is known."""
    if machine.hbm_kv_bytes is not None:
        pool = machine.hbm_kv_bytes
    elif machine.hbm_budget_bytes is not None and weight_bytes is not None:
        pool = max(0.0, machine.hbm_budget_bytes - weight_bytes)
    else:
        return None
    if kv is None:
        return None
    return HBMPool(pool, int(pool // (kv.hbm_bytes_per_token * (workload.mean_context + workload.growth_tokens))))


def fit_dram(tiers: Tiers, working_set: WorkingSet | None) -> DRAMFit | None:
    """Return the DRAM tier against its working set, or None where that is not known."""
    if working_set is None:
        return None
    needed = working_set.replica_bytes
    return DRAMFit(
        configured_bytes=tiers.dram_bytes,
        usable_low=tiers.usable_low,
        usable_high=tiers.usable_high,
        raw_fit=tiers.dram_bytes / needed,
        usable_fit=Bounds(tiers.usable_low / needed, tiers.usable_high / needed),
    )


def bound_all_hits(
    inputs: CapacityInputs, kv: KVSizes | None, hbm: HBMPool | None, working_set: WorkingSet | None
) -> Hits | None:
    """Return the hit-rate bounds of the tiers, or None where the working set is not known."""
    if kv is None or working_set is None:
        return None
    workload, tiers = inputs.workload, inputs.tiers
    dram = bound_hits(tiers.usable_low, tiers.usable_high, working_set.replica_bytes)
    in_hbm = None
    if hbm is not None:
        needed = workload.conversations_per_replica * kv.hbm_session_bytes
        in_hbm = bound_hits(hbm.kv_bytes, hbm.kv_bytes, needed)
        dram = join_hits(in_hbm, dram)
    turns = workload.turns
    # Every load from S3 passes through DRAM, so S3 gives no hits where one conversation does not surely fit there.
    from_s3 = tiers.object_store and kv.session_bytes <= tiers.usable_low
    return Hits(
        hbm=in_hbm,
        dram=dram,
        all_tiers=EVERYTHING if from_s3 else dram,
        from_s3=from_s3,
        over_turns=ceiling_over_turns(workload.context_tokens, workload.growth_tokens, turns) if turns else None,
    )
