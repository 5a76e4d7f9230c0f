"""Which figures a capacity plan lacks, and which missing input each of them waits for."""

from .capacity_figures import CapacityPlan, Unknown
from .capacity_text import end_sentence
from .model_shape import ShapeUnknown


def list_unknowns(plan: CapacityPlan) -> tuple[Unknown, ...]:
    """Return what is unknown and why, causes first; what follows from a listed figure is not listed again."""
    found: list[Unknown] = []
    if plan.kv is None:
        found.append(Unknown("bytes per token", _explain_shape(plan)))
    if plan.cost.prefill is None and not isinstance(plan.inputs.shape, ShapeUnknown):
        found.append(Unknown("prefill time", _explain_prefill(plan)))
    if plan.cost.prefill is not None and plan.cost.suffix is None:
        found.append(Unknown("prefill time of new tokens", "The number of parameters is not known."))
    if plan.hbm is None and plan.kv is not None:
        missing = "GPU product" if plan.inputs.machine.gpu is None else "size of the weights"
        found.append(
            Unknown("KV pool in HBM", f"The {missing} is not known, and the engine has not reported its pool.")
        )
    if plan.hbm is not None and plan.hbm.sessions and plan.cost.decode is None:
        missing = "size of the weights" if plan.weight_bytes is None else "GPU product"
        found.append(Unknown("decode time", f"The {missing} is not known."))
    if plan.inputs.tiers.object_store:
        if plan.read_link is None:
            found.append(Unknown("read link", "Neither network speed nor a measured GET rate is known."))
        if plan.write_link is None:
            found.append(Unknown("write link", "Neither network speed nor a measured PUT rate is known."))
        if plan.inputs.tiers.retention_days is None:
            found.append(Unknown("bytes kept in the bucket", "Nothing says when objects expire."))
    return tuple(found)


def _explain_shape(plan: CapacityPlan) -> str:
    shape, layout = plan.inputs.shape, plan.inputs.layout
    if isinstance(shape, ShapeUnknown):
        return end_sentence(shape.reason)
    if shape.hybrid_cause is not None:
        return (
            f"Not every layer keeps the KV of every token ({shape.hybrid_cause}); read the engine's cache_config_info."
        )
    if layout.kv_bytes_per_element is None:
        return "The checkpoint brings a quantized KV cache, so its element size is not known; state kvCacheDtype."
    return (
        f"Tensor parallel size {layout.tensor_parallel_size} does not split {shape.attention_heads} attention heads and "
        f"{shape.kv_heads} KV heads evenly; vLLM refuses it."
    )


def _explain_prefill(plan: CapacityPlan) -> str:
    if plan.inputs.machine.gpu is None:
        return "The GPU product is not known, and no prefill rate was measured."
    return "The number of parameters is not known, and no prefill rate was measured."
