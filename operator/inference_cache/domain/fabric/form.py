"""Which objects a managed fabric is made of here: those of the operators that are installed, or plain ones where they are not.

A fabric that stands keeps its form: an operator that is installed later does not make it delete what pods use.
"""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Final

from inference_cache.api.fabric import FabricType, InferenceCacheFabricSpec
from inference_cache.domain import kinds, names
from inference_cache.domain.kinds import Kind
from inference_cache.domain.live import Live
from inference_cache.domain.reasons import Reason

from .facts import SHARED, SRIOV
from .findings import Finding

NVIDIA_NAMESPACE: Final = "nvidia-network-operator"
SRIOV_NAMESPACE: Final = "sriov-network-operator"
PLUGIN_NAMESPACE: Final = "inference-cache-fabric"
"""Namespace of the RDMA shared device plugin that the operator runs itself. It is another one than the operator's own, as
the plugin must be privileged and the operator must not."""

NETWORK_KINDS: Final[Mapping[FabricType, Kind]] = {
    FabricType.SRIOV_ETHERNET: kinds.SRIOV_NETWORK,
    FabricType.SRIOV_INFINIBAND: kinds.SRIOV_IB_NETWORK,
    FabricType.SHARED_MACVLAN: kinds.MACVLAN_NETWORK,
    FabricType.SHARED_IPOIB: kinds.IPOIB_NETWORK,
    FabricType.HOST_DEVICE: kinds.HOST_DEVICE_NETWORK,
}
"""What makes the NetworkAttachmentDefinitions of a type, where its operator is installed."""

SECTIONS: Final[Mapping[FabricType, str]] = {
    FabricType.SHARED_MACVLAN: "rdmaSharedDevicePlugin",
    FabricType.SHARED_IPOIB: "rdmaSharedDevicePlugin",
    FabricType.HOST_DEVICE: "sriovDevicePlugin",
}
"""Section of NicClusterPolicy that configures the device plugin of a type."""

Served = Callable[[Kind], bool | None]


@dataclass(frozen=True, slots=True)
class Form:
    """The kinds that a fabric is made of.

    Attributes:
        network: Kind of its networks.
        plugin: What makes nodes advertise the resource: SriovNetworkNodePolicy, NicClusterPolicy or DaemonSet; None
            where somebody else's device plugin must.
        operator_namespace: Namespace of the SR-IOV network operator.
    """

    network: Kind
    plugin: Kind | None
    operator_namespace: str

    @property
    def plain(self) -> bool:
        """Whether the operator writes NetworkAttachmentDefinitions itself."""
        return self.network is kinds.NETWORK_ATTACHMENT


def choose_form(
    spec: InferenceCacheFabricSpec,
    served: Served,
    live: Collection[Live],
    namespaces: Collection[str] | None,
) -> Form | Finding:
    """Return the form of a managed fabric, or what must be installed first.

    Args:
        spec: The fabric's spec.
        served: Whether the API server serves a kind; None where that is not known yet.
        live: The fabric's objects.
        namespaces: The namespaces of the cluster; None where they cannot be read.
    """
    namespace = find_operator_namespace(spec, live, namespaces)
    wanted = NETWORK_KINDS[spec.type]
    needed = [kinds.NETWORK_ATTACHMENT, *((kinds.SRIOV_POLICY, wanted) if spec.type in SRIOV else ())]
    answers = {kind: served(kind) for kind in (*needed, wanted, kinds.NIC_CLUSTER_POLICY)}
    if None in answers.values():
        return Finding(Reason.Waiting, "The API server has not told yet what it serves.", passing=True, unknown=True)
    if missing := next((kind for kind in needed if not answers[kind]), None):
        return describe_missing(missing)
    if spec.type in SRIOV:
        return Form(wanted, kinds.SRIOV_POLICY, namespace)
    # Whoever may write in a served namespace may write a NetworkAttachmentDefinition that looks like the fabric's; it never
    # outweighs the networks of an operator, which only administrators may write.
    stands_plain = not any(item.kind is wanted for item in live) and any(
        item.kind is kinds.NETWORK_ATTACHMENT and item.namespace in (spec.namespaces or ()) for item in live
    )
    network = wanted if answers[wanted] and not stands_plain else kinds.NETWORK_ATTACHMENT
    return Form(
        network, _choose_plugin(spec.type, live, with_policy=bool(answers[kinds.NIC_CLUSTER_POLICY])), namespace
    )


def _choose_plugin(kind: FabricType, live: Collection[Live], *, with_policy: bool) -> Kind | None:
    stands_alone = any(item.kind is kinds.DAEMON_SET for item in live)
    if with_policy and not stands_alone:
        return kinds.NIC_CLUSTER_POLICY
    return kinds.DAEMON_SET if kind in SHARED else None


def find_operator_namespace(
    spec: InferenceCacheFabricSpec, live: Collection[Live], namespaces: Collection[str] | None
) -> str:
    """Return the namespace of the SR-IOV network operator; a policy that stands keeps its own, as to move it drains nodes."""
    if spec.operator_namespace is not None:
        return spec.operator_namespace
    stands = next((item.namespace for item in live if item.kind is kinds.SRIOV_POLICY), None)
    if stands is not None:
        return stands
    return SRIOV_NAMESPACE if namespaces is not None and SRIOV_NAMESPACE in namespaces else NVIDIA_NAMESPACE


_INSTALLERS: Final[Mapping[Kind, str]] = {
    kinds.SRIOV_POLICY: "the SR-IOV network operator",
    kinds.SRIOV_NETWORK: "the SR-IOV network operator",
    kinds.SRIOV_IB_NETWORK: "the SR-IOV network operator",
}


def describe_missing(kind: Kind) -> Finding:
    """Return the finding about a kind that is not served."""
    if kind is kinds.NETWORK_ATTACHMENT:
        return Finding(Reason.MultusNotInstalled, f"The API server does not serve {kind}.")
    installer = _INSTALLERS.get(kind, "the NVIDIA network operator")
    return Finding(Reason.FabricCRDMissing, f"The API server does not serve {kind}, which {installer} brings.")


def list_kinds(spec: InferenceCacheFabricSpec) -> frozenset[Kind]:
    """Return the kinds that must be watched for a fabric, where they are served."""
    found = {kinds.NAMESPACE}
    if spec.networks:
        found |= {kinds.NETWORK_ATTACHMENT, kinds.NV_IP_POOL}
    # Policies of both operators may claim the same adapter.
    found |= {kinds.SRIOV_POLICY, kinds.SRIOV_POOL_CONFIG}
    if spec.type not in SRIOV:
        found.add(kinds.NIC_CLUSTER_POLICY)
    if spec.devices is not None:
        found.add(NETWORK_KINDS[spec.type])
        if spec.type in SHARED:
            found |= {kinds.DAEMON_SET, kinds.CONFIG_MAP}
    return frozenset(found)


def split_resource(resource: str) -> tuple[str, str]:
    """Return prefix and name of an extended resource."""
    prefix, _, name = resource.partition("/")
    return prefix, name


def belongs_to(live: Live, fabric: str) -> bool:
    """Whether an object was made for a fabric by this operator, and no other one has taken it over since."""
    labels = live.metadata.get("labels") or {}
    ours = labels.get(names.LABEL_MANAGED_BY) == names.FIELD_MANAGER and labels.get(names.LABEL_FABRIC) == fabric
    return ours and live.controller_uid is None and live.annotation(names.ANNOTATION_APPLIED_HASH) is not None
