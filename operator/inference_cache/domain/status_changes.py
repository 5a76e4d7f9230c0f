"""Which changes of a status may wait: counts of nodes and pods that come and go, as long as no condition says anything else.

Thousands of deployments look at the same nodes, so a cluster whose nodes flap would otherwise rewrite every status again and
again for numbers that nobody acts on. The same holds for a pod that the kubelet refuses and Kubernetes makes anew, several
times a second.
"""

from collections.abc import Mapping
from typing import Any, Final

from .reasons import Reason
from .verdict import ConditionType

_COUNTING: Final = frozenset({ConditionType.NODES_ELIGIBLE.value, ConditionType.TRANSPORT_DEGRADED.value})
# The scheduler's and the kubelet's words about nodes stand in several conditions at a time.
_COUNTING_REASONS: Final = frozenset({Reason.PodsUnschedulable.name, Reason.PodAdmissionFailed.name})
_OF_PODS: Final = frozenset({"replicas", "updatedReplicas", "transport"})


def is_count_alone(previous: Mapping[str, Any] | None, status: Mapping[str, Any]) -> bool:
    """Whether a new status differs from the stored one in counts and examples alone."""
    return previous is not None and previous != status and _without_counts(previous) == _without_counts(status)


def _without_counts(status: Mapping[str, Any]) -> dict[str, Any]:
    dropped = {"nodes", "conditions"}
    if any(item["reason"] == Reason.PodAdmissionFailed.name for item in status.get("conditions", [])):
        dropped |= _OF_PODS
    kept = {key: value for key, value in status.items() if key not in dropped}
    # Whether there are counts at all is more than a count.
    return {
        **kept,
        "hasNodes": "nodes" in status,
        "conditions": [_without_message(item) for item in status.get("conditions", [])],
    }


def _without_message(condition: Mapping[str, Any]) -> dict[str, Any]:
    counting = condition["type"] in _COUNTING or condition["reason"] in _COUNTING_REASONS
    return {key: value for key, value in condition.items() if not (counting and key == "message")}
