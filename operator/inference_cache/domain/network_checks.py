"""The condition NetworkReady: whether fabric, networks, namespace and devices are as RDMA pods of a deployment need them.

With RequireRDMA it is a check like any other and holds pods back. With Auto it holds nothing back: what speaks against RDMA
is then the cause of TCP. A deployment that asks for no RDMA has no such condition.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from .attachment import Attachment
from .fabric.facts import FabricFacts
from .fabric.networks import ADVISORY, NetworkFacts, check_networks
from .reasons import Reason
from .transport_intent import Finding
from .verdict import ConditionType, FabricCondition, Truth, Verdict, bad, ok

# A fabric that is being made comes right by itself.
_PASSING: Final = frozenset({Reason.FabricNotReady})
# What is wrong with a fabric for all its deployments, rather than for those of one namespace.
_OF_EVERYBODY: Final = frozenset({Reason.FabricRuleBroken, Reason.DeviceClaimedTwice})


@dataclass(frozen=True, slots=True)
class NetworkSurroundings:
    """What is known of everything around the pods.

    Attributes:
        fabric: The fabric that the spec names; None where it names none or there is none of that name.
        networks: NetworkAttachmentDefinitions by namespace and name, those that do not exist left out; None where they
            could not be read.
        networks_served: Whether NetworkAttachmentDefinition is served; None where that is not known.
        pod_security: What speaks against the pods in the namespace's Pod Security.
        claims_served: Whether resource.k8s.io/v1 is served; None where that is not known.
        device_class: Whether the DeviceClass exists; None where that is not known.
    """

    fabric: FabricFacts | None = None
    networks: Mapping[tuple[str, str], NetworkFacts] | None = field(default_factory=dict)
    networks_served: bool | None = None
    pod_security: Finding | None = None
    claims_served: bool | None = None
    device_class: bool | None = None


def list_network_findings(
    attachment: Attachment, seen: NetworkSurroundings, namespace: str, obstacle: Finding | None = None
) -> list[Finding]:
    """Return what speaks against RDMA pods besides the nodes, the gravest first.

    Args:
        attachment: What a pod gets.
        seen: What is known of its surroundings.
        namespace: The deployment's.
        obstacle: Why the client of the store cannot speak RDMA.
    """
    return [
        *([obstacle] if obstacle else []),
        *_check_deletion(seen.fabric),
        *_check_networks(attachment, seen, namespace),
        *_check_claims(attachment, seen),
        *([seen.pod_security] if seen.pod_security else []),
    ]


def check_network_ready(
    attachment: Attachment | Finding, findings: Sequence[Finding], fabric: FabricFacts | None
) -> Verdict:
    """Return the condition NetworkReady of a deployment that asks for RDMA.

    A fabric that is not ready counts only for what concerns everybody, and last: it may be so for the sake of other
    namespaces, and the deployment's own networks and the nodes are judged anyway.
    """
    condition = ConditionType.NETWORK_READY
    if not isinstance(attachment, Attachment):
        return _refuse(attachment)
    if findings:
        return _refuse(findings[0], len(findings) - 1)
    told = describe_attachment(attachment)
    if fabric is None or fabric.ready is not Truth.FALSE:
        return ok(condition, Reason.NetworkAttached, told)
    if _concerns_everybody(fabric):
        return _refuse(
            (Reason.FabricNotReady, f"InferenceCacheFabric {fabric.name}: {fabric.reason.name}: {fabric.message}")
        )
    note = f"Note: InferenceCacheFabric {fabric.name} as a whole is not ready ({fabric.reason.name})."
    return ok(condition, Reason.NetworkAttached, f"{told} {note}")


def describe_attachment(attachment: Attachment) -> str:
    """Return what one pod gets, in words."""
    devices = f"{attachment.count} {attachment.resource_name or f'device of DeviceClass {attachment.device_class}'}"
    if not attachment.networks:
        return f"Each pod gets {devices}, and no network of its own."
    networks = ", ".join(f"{item.interface} {item.namespace}/{item.name}" for item in attachment.networks)
    return f"Each pod gets {devices} and {networks}."


def _refuse(finding: Finding, more: int = 0) -> Verdict:
    reason, text = finding
    others = f" {more} more findings." if more else ""
    return bad(ConditionType.NETWORK_READY, reason, f"{text}{others}", passing=reason in _PASSING)


def _concerns_everybody(fabric: FabricFacts) -> bool:
    if fabric.deleting or fabric.reason in _OF_EVERYBODY:
        return True
    conditions = fabric.status.get("conditions") or []
    spec = next((item for item in conditions if item["type"] == FabricCondition.SPEC_VALID.value), None)
    return spec is not None and spec["status"] == Truth.FALSE.value


def _check_deletion(fabric: FabricFacts | None) -> list[Finding]:
    """A pod more would keep the fabric from going."""
    if fabric is None or not fabric.deleting:
        return []
    return [(Reason.FabricDeleting, f"InferenceCacheFabric {fabric.name} is being deleted, so no pod may join it.")]


def _check_networks(attachment: Attachment, seen: NetworkSurroundings, namespace: str) -> list[Finding]:
    if not attachment.networks:
        return []
    if seen.networks_served is False:
        return [(Reason.MultusNotInstalled, "The pods need networks, and NetworkAttachmentDefinition is not served.")]
    if seen.networks is None:
        return []
    pairs = [(item, seen.networks.get((item.namespace, item.name))) for item in attachment.networks]
    found = check_networks(pairs, attachment, namespace)
    known = [facts for _, facts in pairs if facts is not None]
    return [*_check_count(attachment, known), *(item for item in found if item[0] not in ADVISORY)]


def _check_count(attachment: Attachment, networks: Sequence[NetworkFacts]) -> list[Finding]:
    """Multus gives each network that is bound to the resource one of the pod's devices; the last ones would get none."""
    takers = sum(item.resource_name == attachment.resource_name for item in networks)
    if attachment.resource_name is None or takers <= attachment.count:
        return []
    text = f"{takers} networks take a device of {attachment.resource_name} each, and a pod requests {attachment.count}."
    return [(Reason.TooFewVFsRequested, text)]


def _check_claims(attachment: Attachment, seen: NetworkSurroundings) -> list[Finding]:
    name = attachment.device_class
    if name is None:
        return []
    if seen.claims_served is False:
        return [(Reason.DRANotServed, f"DeviceClass {name} needs resource.k8s.io/v1, which is not served.")]
    if seen.device_class is False:
        return [(Reason.DeviceClassNotFound, f"DeviceClass {name} does not exist.")]
    return []
