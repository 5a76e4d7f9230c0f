"""Situations of nodes, networks and fabrics, each with what the operator must say about it."""

from .model import Situation
from .network_table import FALLBACK_SITUATIONS, HEALTHY_SITUATIONS, NETWORK_SITUATIONS
from .node_table import ADAPTER_SITUATIONS, FINE_SITUATIONS, GPU_SITUATIONS, RESOURCE_SITUATIONS

SITUATIONS: tuple[Situation, ...] = (
    *GPU_SITUATIONS,
    *RESOURCE_SITUATIONS,
    *ADAPTER_SITUATIONS,
    *FINE_SITUATIONS,
    *NETWORK_SITUATIONS,
    *FALLBACK_SITUATIONS,
    *HEALTHY_SITUATIONS,
)

__all__ = ["SITUATIONS", "Situation"]
