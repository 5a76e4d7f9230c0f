"""Where pods may run, as the scheduler reads it. It depends on the spec alone, so joining nodes never roll pods."""

from typing import Any

from inference_cache.api.nodes import Nodes
from inference_cache.domain import names
from inference_cache.domain.gpu_products import expand_products
from inference_cache.domain.gpu_requirements import least_gpu_memory_mib


def build_affinity(nodes: Nodes | None) -> dict[str, Any] | None:
    """Return the required node affinity, or None where the spec asks for nothing."""
    if nodes is None:
        return None
    expressions: list[dict[str, Any]] = [
        {"key": key, "operator": "In", "values": [value]} for key, value in sorted((nodes.selector or {}).items())
    ]
    gpu = nodes.requirements.gpu if nodes.requirements else None
    if gpu is not None and gpu.products:
        expressions.append({"key": names.GPU_PRODUCT_LABEL, "operator": "In", "values": expand_products(gpu.products)})
    # Gt is strict, and there is no operator for "at least".
    if least := least_gpu_memory_mib(gpu):
        expressions.append({"key": names.GPU_MEMORY_LABEL, "operator": "Gt", "values": [str(least - 1)]})
    if gpu is not None and gpu.driver_major_at_least is not None:
        expressions.append(
            {"key": names.DRIVER_MAJOR_LABEL, "operator": "Gt", "values": [str(gpu.driver_major_at_least - 1)]}
        )
    if not expressions:
        return None
    terms = [{"matchExpressions": expressions}]
    return {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": terms}}}


def build_tolerations(nodes: Nodes | None) -> list[dict[str, str]]:
    """Return the tolerations as the pod spec writes them; the API server leaves out an empty value."""
    tolerations = (nodes.tolerations if nodes else None) or []
    found = (item.model_dump(mode="json", by_alias=True, exclude_none=True) for item in tolerations)
    return [{key: value for key, value in item.items() if value} for item in found]
