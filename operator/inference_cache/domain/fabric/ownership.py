"""Which objects are a fabric's own. Labels alone prove nothing: whoever may write in a namespace may set them there."""

from inference_cache.domain import kinds, names
from inference_cache.domain.live import Live

from .facts import FabricFacts
from .form import NVIDIA_NAMESPACE, PLUGIN_NAMESPACE, SRIOV_NAMESPACE, belongs_to
from .networks import locate_network

# Where only administrators write.
_OPERATOR_NAMESPACES = frozenset({NVIDIA_NAMESPACE, SRIOV_NAMESPACE})


def is_own(live: Live, fabric: FabricFacts) -> bool:
    """Whether an object is the fabric's: it says so, and its name is one that the fabric's spec gives or its status tells."""
    return belongs_to(live, fabric.name) and (_is_named(live, fabric) or _is_told(live, fabric))


def _is_named(live: Live, fabric: FabricFacts) -> bool:
    if live.kind is kinds.SRIOV_POLICY:
        return live.name == f"{names.APPLICATION}-{fabric.name}"
    if live.kind in {kinds.DAEMON_SET, kinds.CONFIG_MAP}:
        return (live.namespace, live.name) == (PLUGIN_NAMESPACE, f"{fabric.name}-rdma-device-plugin")
    if live.kind is kinds.NETWORK_ATTACHMENT:
        if fabric.spec is None:
            # The spec cannot be read, and what was made of it must go with the fabric all the same.
            return live.name.endswith(f"-{live.namespace}")
        return (live.namespace, live.name) in _locate_networks(fabric)
    # Networks of operators are cluster-wide, or in the namespace of their operator.
    if not live.namespace or live.namespace in _OPERATOR_NAMESPACES:
        return True
    operator = fabric.spec.operator_namespace if fabric.spec else None
    return live.namespace == operator or live.name in {name for _, name in _locate_networks(fabric)}


def _locate_networks(fabric: FabricFacts) -> set[tuple[str, str]]:
    spec = fabric.spec
    if spec is None:
        return set()
    return {
        locate_network(spec, network, namespace)
        for namespace in spec.namespaces or []
        for network in spec.networks or []
    }


def _is_told(live: Live, fabric: FabricFacts) -> bool:
    wanted = (str(live.kind), live.namespace, live.name)
    told = fabric.status.get("objects") or []
    return any((item.get("kind"), item.get("namespace") or "", item.get("name")) == wanted for item in told)
