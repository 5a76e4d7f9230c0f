"""Who claims an adapter: no two managed fabrics may, and no fabric may claim what a policy of somebody else has.

Two device plugins hand out one device without noticing. The older fabric keeps a device; of two of the same age the one
whose name comes first. What cannot be told apart by spec alone counts as the same device. Node selectors tell apart only
fabrics of virtual functions: an entry of NicClusterPolicy counts on every node on which the plugin runs.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from inference_cache.api.fabric import InferenceCacheFabricSpec
from inference_cache.domain.live import Live
from inference_cache.domain.reasons import Reason

from .builders import MELLANOX
from .facts import SRIOV, FabricFacts, read_devices
from .findings import Finding
from .form import split_resource

_ALL: Final = 1 << 16
_MAKE_ANEW: Final = "Delete this fabric and make it again with another resourceName: in mode Manage type and resourceName cannot be changed."
_DIFFER: Final = (
    "Make the two differ in devices.interfaces or devices.deviceIds. Node selectors do not tell them apart, as entries of "
    "NicClusterPolicy, which the types SharedMacvlan, SharedIPoIB and HostDevice get, count on every node."
)
_DIFFER_BY_NODES: Final = (
    "Make the two differ in devices.interfaces or devices.deviceIds, or in the value of one label of nodeSelector."
)


@dataclass(frozen=True, slots=True)
class Claim:
    """Which adapters are wanted; an empty set stands for any.

    Attributes:
        interfaces: Interfaces with the range of virtual functions that is wanted of each.
    """

    nodes: Mapping[str, str]
    vendor: str
    device_ids: frozenset[str]
    interfaces: Mapping[str, tuple[int, int]]

    def covers(self, other: "Claim") -> bool:
        """Whether both may want the same device."""
        if self.vendor and other.vendor and self.vendor != other.vendor:
            return False
        if self.device_ids and other.device_ids and not self.device_ids & other.device_ids:
            return False
        if not self.interfaces or not other.interfaces:
            return True
        return any(
            self.interfaces[name][0] <= other.interfaces[name][1]
            and other.interfaces[name][0] <= self.interfaces[name][1]
            for name in self.interfaces.keys() & other.interfaces.keys()
        )


def read_claim(spec: InferenceCacheFabricSpec) -> Claim:
    """Return what a managed fabric claims."""
    devices = read_devices(spec)
    return Claim(
        nodes=dict(spec.node_selector or {}),
        vendor=devices.vendor or MELLANOX,
        device_ids=frozenset(devices.device_ids or ()),
        interfaces=dict.fromkeys(devices.interfaces or (), (0, _ALL)),
    )


def read_policy_claim(policy: Live) -> Claim:
    """Return what a SriovNetworkNodePolicy claims."""
    spec = policy.body.get("spec") or {}
    nic: Mapping[str, Any] = spec.get("nicSelector") or {}
    return Claim(
        nodes=dict(spec.get("nodeSelector") or {}),
        vendor=nic.get("vendor") or "",
        device_ids=frozenset([nic["deviceID"]] if nic.get("deviceID") else []),
        interfaces=dict(_parse_function(text) for text in nic.get("pfNames") or []),
    )


def exclude_each_other(one: Mapping[str, str], other: Mapping[str, str]) -> bool:
    """Whether no node can match both selectors, whatever labels it has."""
    return any(other.get(key, value) != value for key, value in one.items())


def check_claims(fabric: FabricFacts, spec: InferenceCacheFabricSpec, fabrics: Iterable[FabricFacts]) -> list[Finding]:
    """Return the older fabrics that claim a device or make a resource of this one."""
    mine = read_claim(spec)
    found = []
    for other in sorted(fabrics, key=lambda item: (item.created, item.name)):
        if other.uid == fabric.uid or other.spec is None or not other.managed:
            continue
        if (other.created, other.name) > (fabric.created, fabric.name):
            continue
        if other.spec.resource_name == spec.resource_name:
            text = f"The older InferenceCacheFabric {other.name} makes the resource {spec.resource_name} too."
            found.append(Finding(Reason.DeviceClaimedTwice, text, remedy=_MAKE_ANEW))
            continue
        theirs = read_claim(other.spec)
        by_nodes = _keeps_to_nodes(spec) and _keeps_to_nodes(other.spec)
        if mine.covers(theirs) and not (by_nodes and exclude_each_other(mine.nodes, theirs.nodes)):
            text = f"The older InferenceCacheFabric {other.name} claims the same devices."
            found.append(Finding(Reason.DeviceClaimedTwice, text, remedy=_DIFFER_BY_NODES if by_nodes else _DIFFER))
    return found


def _keeps_to_nodes(spec: InferenceCacheFabricSpec) -> bool:
    """Whether the devices of a fabric are handed out on the nodes of its selector alone, whatever it is made of."""
    return spec.type in SRIOV


def check_foreign_policies(
    spec: InferenceCacheFabricSpec, policies: Sequence[Live], meets: Mapping[str, str]
) -> list[Finding]:
    """Return the SriovNetworkNodePolicies of others that claim a device of the fabric.

    Args:
        spec: The fabric's spec.
        policies: Those that no fabric has made.
        meets: For each policy by uid that selects a node of the fabric, one such node.
    """
    mine, resource = read_claim(spec), split_resource(spec.resource_name)[1]
    found = []
    for policy in sorted(policies, key=lambda item: (item.namespace, item.name)):
        what = f"{policy.kind} {policy.namespace}/{policy.name}"
        node = meets.get(policy.uid)
        if node is None:
            continue
        if spec.type in SRIOV and (policy.body.get("spec") or {}).get("resourceName") == resource:
            text = f"{what} makes the resource {resource} from other devices; it selects node {node}, for instance."
            found.append(Finding(Reason.DeviceClaimedTwice, text))
        elif mine.covers(read_policy_claim(policy)):
            text = f"{what} claims the same devices on node {node}, for instance."
            found.append(Finding(Reason.DeviceClaimedTwice, text))
    return found


def _parse_function(text: str) -> tuple[str, tuple[int, int]]:
    """Return interface and range of an entry of pfNames, such as ens3f0np0#2-7."""
    name, _, given = text.partition("#")
    first, _, last = given.partition("-")
    if first.isdecimal() and last.isdecimal():
        return name, (int(first), int(last))
    return name, (0, _ALL)
