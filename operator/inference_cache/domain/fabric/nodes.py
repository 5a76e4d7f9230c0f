"""The nodes of a fabric: which it selects, which can carry it, and what of them speaks against writing its policies.

Node by node, so that thousands of them can be gone through in pieces.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final

from inference_cache.api.fabric import InferenceCacheFabricSpec
from inference_cache.api.fabric_status import FabricNodes
from inference_cache.api.status import NodeReasonCount
from inference_cache.domain.live import Live
from inference_cache.domain.node_checks import Check
from inference_cache.domain.node_checks.driver import check_driver_ready, check_driver_upgrade
from inference_cache.domain.node_checks.nic import check_adapter
from inference_cache.domain.node_checks.resource import check_resource
from inference_cache.domain.node_checks.sriov import check_sriov_drain, check_sriov_sync
from inference_cache.domain.node_evidence import NIC, NodeEvidence
from inference_cache.domain.node_need import Need, RDMANeed
from inference_cache.domain.reasons import Reason

from .builders import MELLANOX
from .facts import SHARED
from .network_checks import build_attachment

MELLANOX_FUNCTIONS: Final = 127
"""Virtual functions of one adapter of NVIDIA; the webhook of the SR-IOV network operator takes 128, the adapters make 127."""
_EXAMPLES: Final = 3
_MAX_REASONS: Final = 10
# Those of the checks of deployments that need nothing but a fabric, in their order.
_CHECKS: Final[tuple[Check, ...]] = (
    check_driver_upgrade,
    check_driver_ready,
    check_sriov_drain,
    check_sriov_sync,
    check_adapter,
    check_resource,
)
# These pass when drivers, plugins or drains are through.
CONVERGING: Final = frozenset(
    {Reason.NICDriverNotReady, Reason.NICDriverUpgrading, Reason.SRIOVNodeDraining, Reason.NodeNotReady}
)


@dataclass(frozen=True, slots=True)
class Survey:
    """What the nodes of a fabric tell.

    Attributes:
        counts: For status.
        advertising: Selected nodes that advertise the resource at all, with whatever number of devices.
        meets: One selected node for each policy, by uid, that selects one.
        exclusive: A selected node that a pool configuration puts into exclusive mode; empty where there is none.
        adapters_told: Selected nodes of which adapters are known.
        adapters_found: Those that have an adapter as the fabric wants it.
        too_few: A node with an adapter that cannot have as many virtual functions; empty where there is none.
        interfaces_told: Selected nodes of which interfaces of the wanted vendor are known by name.
        interfaces_found: Those that have one of the wanted names, or advertise the resource.
    """

    counts: FabricNodes
    advertising: int = 0
    meets: Mapping[str, str] = field(default_factory=dict)
    exclusive: str = ""
    adapters_told: int = 0
    adapters_found: int = 0
    too_few: str = ""
    interfaces_told: int = 0
    interfaces_found: int = 0

    @property
    def converging(self) -> bool:
        """Whether all that is wrong may pass by itself."""
        faulty = self.counts.faulty or []
        return bool(faulty) and all(Reason[item.reason] in CONVERGING for item in faulty)


class NodeTally:
    """Goes through the nodes.

    Args:
        spec: The fabric's spec.
        policies: SriovNetworkNodePolicies that may meet the fabric on a node.
        pools: SriovNetworkPoolConfigs.
        blocks: For each address pool of the fabric's networks, the nodes that have a block of it.
    """

    def __init__(
        self,
        spec: InferenceCacheFabricSpec,
        policies: Sequence[Live] = (),
        pools: Sequence[Live] = (),
        blocks: Mapping[str, frozenset[str]] | None = None,
    ) -> None:
        self._spec = spec
        devices = spec.devices
        self._vendor = (devices.vendor if devices else None) or MELLANOX
        self._device_ids = frozenset((devices.device_ids if devices else None) or ())
        self._interfaces = frozenset((devices.interfaces if devices else None) or ())
        self._functions = (devices.virtual_functions if devices else None) or 0
        self._selector = dict(spec.node_selector or {})
        self._policies = {item.uid: dict((item.body.get("spec") or {}).get("nodeSelector") or {}) for item in policies}
        self._pools = [
            selector
            for item in pools
            if (item.body.get("spec") or {}).get("rdmaMode") == "exclusive"
            and (selector := (item.body.get("spec") or {}).get("nodeSelector")) is not None
        ]
        self._blocks = list((blocks or {}).values())
        self._selected = self._ready = self._advertising = self._told = self._found = 0
        self._interfaces_told = self._interfaces_found = 0
        self._need = _build_need(spec)
        self._faults: Counter[Reason] = Counter()
        self._examples: dict[Reason, list[str]] = {}
        self._meets: dict[str, str] = {}
        self._exclusive = self._too_few = ""

    def add(self, node: NodeEvidence) -> None:
        """Take in one node."""
        labels, name = node.facts.labels, node.facts.name
        if any(labels.get(key) != value for key, value in self._selector.items()):
            return
        self._selected += 1
        for uid, selector in self._policies.items():
            if all(labels.get(key) == value for key, value in selector.items()):
                self._meets[uid] = min(self._meets.get(uid, name), name)
        exclusive = any(matches_selector(selector, labels) for selector in self._pools)
        if exclusive:
            self._exclusive = min(self._exclusive or name, name)
        adapters = self._find_adapters(node)
        self._look_for_interfaces(node)
        self._advertising += self._spec.resource_name in node.facts.resources
        reason = self._find_fault(node, adapters, exclusive=exclusive)
        if reason is None:
            self._ready += 1
            return
        self._faults[reason] += 1
        self._examples[reason] = sorted([*self._examples.get(reason, []), name])[:_EXAMPLES]

    def finish(self) -> Survey:
        """Return what was found."""
        ranked = sorted(self._faults.items(), key=lambda item: (-item[1], item[0].name))[:_MAX_REASONS]
        faulty = [
            NodeReasonCount(reason=reason.name, count=count, examples=self._examples[reason])
            for reason, count in ranked
        ]
        return Survey(
            counts=FabricNodes(selected=self._selected, ready=self._ready, faulty=faulty or None),
            advertising=self._advertising,
            meets=self._meets,
            exclusive=self._exclusive,
            adapters_told=self._told,
            adapters_found=self._found,
            too_few=self._too_few,
            interfaces_told=self._interfaces_told,
            interfaces_found=self._interfaces_found,
        )

    def _find_adapters(self, node: NodeEvidence) -> list[NIC]:
        physical = [nic for nic in node.nics if any(item.pci for item in nic.sightings) and not _read(nic, "virtual")]
        if not physical:
            return []
        self._told += 1
        found = [nic for nic in physical if self._is_wanted(nic)]
        self._found += bool(found)
        for nic in found:
            total = _read(nic, "total_vfs")
            # Adapters of NVIDIA get more by a change of their firmware, which the SR-IOV network operator makes.
            most = MELLANOX_FUNCTIONS if _read(nic, "vendor") == MELLANOX else total
            if most is not None and self._functions > most:
                self._too_few = min(self._too_few or node.facts.name, node.facts.name)
        return found

    def _look_for_interfaces(self, node: NodeEvidence) -> None:
        if not self._interfaces:
            return
        nics = [nic for nic in node.nics if _read(nic, "vendor") in {None, self._vendor}]
        interfaces = {_read(nic, "interface") for nic in nics}
        if not interfaces - {None}:
            return
        self._interfaces_told += 1
        # An interface that a pod has taken is not seen on its node any more, nor is one without a name known to be another.
        advertised = bool(node.facts.resources.get(self._spec.resource_name))
        self._interfaces_found += advertised or None in interfaces or bool(interfaces & self._interfaces)

    def _is_wanted(self, nic: NIC) -> bool:
        vendor, device, interface = _read(nic, "vendor"), _read(nic, "device_id"), _read(nic, "interface")
        return (
            vendor in {None, self._vendor}
            and (not self._device_ids or device is None or device in self._device_ids)
            and (not self._interfaces or interface is None or interface in self._interfaces)
        )

    def _find_fault(self, node: NodeEvidence, adapters: Sequence[NIC], *, exclusive: bool) -> Reason | None:
        facts = node.facts
        if not facts.ready:
            return Reason.NodeNotReady
        shared = self._spec.type in SHARED
        mode = (node.report.rdma_netns_mode if node.report else "") or (node.sriov.rdma_mode if node.sriov else "")
        if shared and (mode == "exclusive" or (exclusive and not mode)):
            return Reason.RDMANetnsModeMismatch
        # Only the adapters of the fabric matter; of other ones nothing is asked.
        evidence = replace(node, nics=tuple(adapters))
        finding = next((found for check in _CHECKS if (found := check(evidence, self._need)) is not None), None)
        if finding is not None:
            return finding.reason
        if any(facts.name not in nodes for nodes in self._blocks):
            return Reason.IPPoolExhausted
        return None


def _build_need(spec: InferenceCacheFabricSpec) -> Need:
    """Return what one pod of the fabric needs of a node."""
    attachment = build_attachment("", spec, "")
    rdma = RDMANeed(
        attachment.resource_name,
        None,
        attachment.count,
        per_network=attachment.per_network,
        shared=spec.type in SHARED,
        link_type=attachment.link_type,
    )
    return Need(gpus=0, rdma=rdma)


def matches_selector(selector: Mapping[str, Any], labels: Mapping[str, str]) -> bool:
    """Whether labels match a label selector; an empty one matches everything."""
    if any(labels.get(key) != value for key, value in (selector.get("matchLabels") or {}).items()):
        return False
    return all(_meets(item, labels) for item in selector.get("matchExpressions") or [])


def _meets(expression: Mapping[str, Any], labels: Mapping[str, str]) -> bool:
    key, values = expression.get("key", ""), expression.get("values") or []
    match expression.get("operator"):
        case "In":
            return labels.get(key) in values
        case "NotIn":
            return labels.get(key) not in values
        case "Exists":
            return key in labels
        case "DoesNotExist":
            return key not in labels
        case _:
            return False


def _read(nic: NIC, field: str) -> Any:
    found = nic.find(lambda sighting: getattr(sighting, field))
    return found[0] if found else None


def describe_nodes(counts: FabricNodes) -> str:
    """Return the counts as a sentence."""
    causes = "; ".join(f"{item.count} {item.reason} ({', '.join(item.examples)})" for item in counts.faulty or [])
    text = f"{counts.ready} of {counts.selected} selected nodes can carry the fabric"
    return f"{text}: {causes}." if causes else f"{text}."
