"""The nodes of a fabric: which it selects, which can carry it, and what of them speaks against writing its policies.

Node by node, so that thousands of them can be gone through in pieces.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from inference_cache.api.fabric import InferenceCacheFabricSpec
from inference_cache.api.fabric_status import FabricNodes
from inference_cache.api.status import NodeReasonCount
from inference_cache.domain.live import Live
from inference_cache.domain.node_evidence import NIC, NodeEvidence
from inference_cache.domain.reasons import Reason

from .builders import MELLANOX
from .facts import LINK_TYPES, SHARED

MELLANOX_FUNCTIONS: Final = 127
"""Virtual functions of one adapter of NVIDIA; the webhook of the SR-IOV network operator takes 128, the adapters make 127."""
_EXAMPLES: Final = 3
_MAX_REASONS: Final = 10
_DRIVER_WAIT: Final = "network.nvidia.com/operator.mofed.wait"
_DRIVER_UPGRADE: Final = "nvidia.com/ofed-driver-upgrade-state"
_UPGRADED: Final = frozenset({"", "upgrade-done"})
_IDLE: Final = frozenset({"", "Idle"})
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
    """

    counts: FabricNodes
    advertising: int = 0
    meets: Mapping[str, str] = field(default_factory=dict)
    exclusive: str = ""
    adapters_told: int = 0
    adapters_found: int = 0
    too_few: str = ""

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
        amount = facts.resources.get(self._spec.resource_name)
        shared = self._spec.type in SHARED
        mode = (node.report.rdma_netns_mode if node.report else "") or (node.sriov.rdma_mode if node.sriov else "")
        if shared and (mode == "exclusive" or (exclusive and not mode)):
            return Reason.RDMANetnsModeMismatch
        if not amount:
            return self._explain_absence(node, amount)
        wanted = LINK_TYPES.get(self._spec.type)
        links = {_read(nic, "link_type") for nic in adapters} - {None}
        if wanted is not None and links and wanted not in links:
            return Reason.LinkTypeMismatch
        if adapters and self._spec.devices is not None and all(_read(nic, "link_up") is False for nic in adapters):
            return Reason.LinkDown
        if any(facts.name not in nodes for nodes in self._blocks):
            return Reason.IPPoolExhausted
        return None

    def _explain_absence(self, node: NodeEvidence, amount: int | None) -> Reason:
        labels = node.facts.labels
        if labels.get(_DRIVER_WAIT) == "true":
            return Reason.NICDriverNotReady
        if labels.get(_DRIVER_UPGRADE, "") not in _UPGRADED:
            return Reason.NICDriverUpgrading
        if node.sriov is not None and self._spec.type not in SHARED:
            if node.sriov.sync_status == "Failed":
                return Reason.SRIOVConfigFailed
            if node.sriov.sync_status == "InProgress" or not {node.sriov.desired, node.sriov.current} <= _IDLE:
                return Reason.SRIOVNodeDraining
        return Reason.RDMAResourceNotAdvertised if amount is None else Reason.RDMAResourceZero


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
