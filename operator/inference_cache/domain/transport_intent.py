"""What a spec asks of the transport, and what one RDMA pod would get: from the fabric that it names, or as it says itself."""

from dataclasses import dataclass, replace

from inference_cache.api.transport import InlineRDMA, LockedMemory, Recovery, TransportPolicy

from .attachment import Attachment, Network
from .defaults import Settled
from .fabric.facts import FabricFacts
from .fabric.network_checks import build_attachment
from .reasons import Reason

Finding = tuple[Reason, str]


@dataclass(frozen=True, slots=True)
class Intent:
    """What the spec asks of the transport, with defaults.

    Attributes:
        asked: Whether it asks for RDMA at all.
        recovery: When pods on TCP take up RDMA that has come back.
    """

    policy: TransportPolicy
    asked: bool
    recovery: Recovery

    @property
    def required(self) -> bool:
        """Whether nothing but RDMA will do."""
        return self.policy is TransportPolicy.REQUIRE_RDMA


def read_intent(settled: Settled) -> Intent:
    """Return what a spec asks for."""
    return Intent(settled.transport_policy, settled.wants_rdma, settled.recovery)


def resolve_attachment(settled: Settled, fabric: FabricFacts | None, namespace: str) -> Attachment | Finding | None:
    """Return what one RDMA pod gets, or why nobody can tell; None where the spec asks for no RDMA.

    Args:
        settled: The spec.
        fabric: The fabric that it names; None where there is none of that name.
        namespace: The deployment's.
    """
    spec = settled.spec.transport
    if spec is None or not settled.wants_rdma:
        return None
    memory = settled.locked_memory
    if spec.rdma is not None:
        return _attach_inline(spec.rdma, memory, namespace)
    name = spec.fabric_ref.name if spec.fabric_ref else ""
    if fabric is None:
        return Reason.FabricNotFound, f"InferenceCacheFabric {name} does not exist."
    if fabric.spec is None:
        broken = "; ".join(fabric.violations)
        return Reason.FabricNotReady, f"InferenceCacheFabric {name} breaks a rule: {broken}."
    if fabric.spec.namespaces is not None and namespace not in fabric.spec.namespaces:
        return Reason.FabricForbidden, f"InferenceCacheFabric {name} does not serve namespace {namespace}."
    selector = tuple(sorted((fabric.spec.node_selector or {}).items()))
    return replace(build_attachment(name, fabric.spec, namespace), locked_memory=memory, node_selector=selector)


def _attach_inline(rdma: InlineRDMA, memory: LockedMemory, namespace: str) -> Attachment:
    networks = tuple(
        Network(item.name, item.namespace or namespace, f"net{number}")
        for number, item in enumerate(rdma.networks or [], start=1)
    )
    return Attachment(
        fabric=None,
        resource_name=rdma.resource_name,
        device_class=rdma.device_class_name,
        count=rdma.count or max(1, len(networks)),
        networks=networks,
        per_network=rdma.count is None and bool(networks),
        link_type=rdma.link_type,
        locked_memory=memory,
    )
