"""Where pods may run, as the scheduler reads it. It depends on the spec alone, so joining nodes never roll pods."""

from typing import Any

from inference_cache.api.v1alpha1 import Nodes
from inference_cache.domain import names
from inference_cache.domain.gpu_products import expand_products


def build_affinity(nodes: Nodes | None) -> dict[str, Any] | None:
    """Return the required node affinity, or None where the spec asks for nothing."""
    if nodes is None:
        return None
    expressions: list[dict[str, Any]] = [
        {"key": key, "operator": "In", "values": [value]} for key, value in sorted((nodes.selector or {}).items())
    ]
    if nodes.requirements is not None and nodes.requirements.gpu is not None:
        products = expand_products(nodes.requirements.gpu.products)
        expressions.append({"key": names.GPU_PRODUCT_LABEL, "operator": "In", "values": products})
    if not expressions:
        return None
    terms = [{"matchExpressions": expressions}]
    return {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": terms}}}


def build_tolerations(nodes: Nodes | None) -> list[dict[str, str]]:
    """Return the tolerations as the pod spec writes them."""
    tolerations = (nodes.tolerations if nodes else None) or []
    return [item.model_dump(mode="json", by_alias=True, exclude_none=True) for item in tolerations]
