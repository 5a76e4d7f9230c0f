"""Where pods may run, as the scheduler reads it. It depends on spec and fabric alone, so joining nodes never roll pods."""

from collections.abc import Iterable
from typing import Any

from inference_cache.api.node_requirements import GPURequirements
from inference_cache.api.nodes import Nodes
from inference_cache.domain import names
from inference_cache.domain.eligibility import MISSED
from inference_cache.domain.gpu_requirements import accept_products, least_gpu_memory_mib
from inference_cache.domain.node_need import read_version


def build_affinity(
    nodes: Nodes | None, labels: Iterable[str] = (), fabric: Iterable[tuple[str, str]] = ()
) -> dict[str, Any] | None:
    """Return the required node affinity, or None where the spec asks for nothing.

    Args:
        nodes: Placement as the spec states it.
        labels: Eligibility labels of what the pods need and no other label tells. Only nodes that are known to miss it
            are excluded: pods must find a place where nobody publishes these labels.
        fabric: Labels of the nodes of the fabric that the pods are attached to; empty for pods that use none.
    """
    nodes = nodes or Nodes()
    selector = sorted((nodes.selector or {}).items())
    selector += [pair for pair in fabric if pair not in selector]
    expressions = [_expect(key, "In", value) for key, value in selector]
    gpu = nodes.requirements.gpu if nodes.requirements else None
    if products := accept_products(gpu):
        expressions.append(_expect(names.GPU_PRODUCT_LABEL, "In", *products))
    # Gt is strict, and there is no operator for "at least".
    if least := least_gpu_memory_mib(gpu):
        expressions.append(_expect(names.GPU_MEMORY_LABEL, "Gt", str(least - 1)))
    if gpu is not None and gpu.driver_major_at_least is not None:
        expressions.append(_expect(names.DRIVER_MAJOR_LABEL, "Gt", str(gpu.driver_major_at_least - 1)))
    expressions += [_expect(label, "NotIn", MISSED) for label in sorted(labels)]
    terms = [{"matchExpressions": found} for more in _list_alternatives(gpu) if (found := [*expressions, *more])]
    if not terms:
        return None
    return {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": terms}}}


def _list_alternatives(gpu: GPURequirements | None) -> list[list[dict[str, Any]]]:
    """Return what terms differ in: a compute capability is a higher major number, or the same one and a minor number."""
    if gpu is None or gpu.compute_capability_at_least is None:
        return [[]]
    major, minor = read_version(gpu.compute_capability_at_least)
    if minor == 0:
        return [[_expect(names.COMPUTE_MAJOR_LABEL, "Gt", str(major - 1))]]
    return [
        [_expect(names.COMPUTE_MAJOR_LABEL, "Gt", str(major))],
        [
            _expect(names.COMPUTE_MAJOR_LABEL, "In", str(major)),
            _expect(names.COMPUTE_MINOR_LABEL, "Gt", str(minor - 1)),
        ],
    ]


def _expect(key: str, operator: str, *values: str) -> dict[str, Any]:
    return {"key": key, "operator": operator, "values": list(values)}


def build_tolerations(nodes: Nodes | None) -> list[dict[str, str]]:
    """Return the tolerations as the pod spec writes them; the API server leaves out an empty value."""
    tolerations = (nodes.tolerations if nodes else None) or []
    found = (item.model_dump(mode="json", by_alias=True, exclude_none=True) for item in tolerations)
    return [{key: value for key, value in item.items() if value} for item in found]
