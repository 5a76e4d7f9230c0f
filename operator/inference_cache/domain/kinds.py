"""The kinds of objects that the operator reads and writes, and where the API serves them."""

from dataclasses import dataclass
from typing import Final

from inference_cache.api import fabric, node_report, v1alpha1


@dataclass(frozen=True)
class Kind:
    """A kind and its address in the API."""

    api_version: str
    name: str
    plural: str
    namespaced: bool = True

    @property
    def group(self) -> str:
        """API group; empty for the core group."""
        return self.api_version.rpartition("/")[0]

    @property
    def version(self) -> str:
        """Version within the group."""
        return self.api_version.rpartition("/")[2]

    def __str__(self) -> str:
        return self.name


DEPLOYMENT: Final = Kind(v1alpha1.API_VERSION, v1alpha1.KIND, v1alpha1.PLURAL)
CONFIG_MAP: Final = Kind("v1", "ConfigMap", "configmaps")
POD: Final = Kind("v1", "Pod", "pods")
SECRET: Final = Kind("v1", "Secret", "secrets")
SERVICE: Final = Kind("v1", "Service", "services")
SERVICE_ACCOUNT: Final = Kind("v1", "ServiceAccount", "serviceaccounts")
NODE: Final = Kind("v1", "Node", "nodes", namespaced=False)
STATEFUL_SET: Final = Kind("apps/v1", "StatefulSet", "statefulsets")
POD_DISRUPTION_BUDGET: Final = Kind("policy/v1", "PodDisruptionBudget", "poddisruptionbudgets")
NETWORK_POLICY: Final = Kind("networking.k8s.io/v1", "NetworkPolicy", "networkpolicies")
LEASE: Final = Kind("coordination.k8s.io/v1", "Lease", "leases")
EVENT: Final = Kind("events.k8s.io/v1", "Event", "events")

NAMESPACE: Final = Kind("v1", "Namespace", "namespaces", namespaced=False)
DAEMON_SET: Final = Kind("apps/v1", "DaemonSet", "daemonsets")
DEVICE_CLASS: Final = Kind("resource.k8s.io/v1", "DeviceClass", "deviceclasses", namespaced=False)
RESOURCE_CLAIM_TEMPLATE: Final = Kind("resource.k8s.io/v1", "ResourceClaimTemplate", "resourceclaimtemplates")

# Ours, cluster-scoped.
FABRIC: Final = Kind(fabric.FABRIC_API_VERSION, fabric.FABRIC_KIND, fabric.FABRIC_PLURAL, namespaced=False)
NODE_REPORT: Final = Kind(
    node_report.REPORT_API_VERSION, node_report.REPORT_KIND, node_report.REPORT_PLURAL, namespaced=False
)

# Of other projects: what nodes have.
NIC_DEVICE: Final = Kind("configuration.net.nvidia.com/v1alpha1", "NicDevice", "nicdevices")
SRIOV_NODE_STATE: Final = Kind("sriovnetwork.openshift.io/v1", "SriovNetworkNodeState", "sriovnetworknodestates")
NODE_TOPOLOGY: Final = Kind(
    "topology.node.k8s.io/v1alpha2", "NodeResourceTopology", "noderesourcetopologies", namespaced=False
)
RESOURCE_SLICE: Final = Kind("resource.k8s.io/v1", "ResourceSlice", "resourceslices", namespaced=False)
DPU: Final = Kind("provisioning.dpu.nvidia.com/v1alpha1", "DPU", "dpus")
NODE_FEATURE: Final = Kind("nfd.k8s-sigs.io/v1alpha1", "NodeFeature", "nodefeatures")

# Of other projects: what makes a fabric.
SRIOV_POLICY: Final = Kind("sriovnetwork.openshift.io/v1", "SriovNetworkNodePolicy", "sriovnetworknodepolicies")
SRIOV_POOL_CONFIG: Final = Kind("sriovnetwork.openshift.io/v1", "SriovNetworkPoolConfig", "sriovnetworkpoolconfigs")
SRIOV_NETWORK: Final = Kind("sriovnetwork.openshift.io/v1", "SriovNetwork", "sriovnetworks")
SRIOV_IB_NETWORK: Final = Kind("sriovnetwork.openshift.io/v1", "SriovIBNetwork", "sriovibnetworks")
NIC_CLUSTER_POLICY: Final = Kind("mellanox.com/v1alpha1", "NicClusterPolicy", "nicclusterpolicies", namespaced=False)
HOST_DEVICE_NETWORK: Final = Kind("mellanox.com/v1alpha1", "HostDeviceNetwork", "hostdevicenetworks", namespaced=False)
MACVLAN_NETWORK: Final = Kind("mellanox.com/v1alpha1", "MacvlanNetwork", "macvlannetworks", namespaced=False)
IPOIB_NETWORK: Final = Kind("mellanox.com/v1alpha1", "IPoIBNetwork", "ipoibnetworks", namespaced=False)
NETWORK_ATTACHMENT: Final = Kind("k8s.cni.cncf.io/v1", "NetworkAttachmentDefinition", "network-attachment-definitions")
NV_IP_POOL: Final = Kind("nv-ipam.nvidia.com/v1alpha1", "IPPool", "ippools")

CHILD_KINDS: Final = (SERVICE_ACCOUNT, CONFIG_MAP, SERVICE, POD_DISRUPTION_BUDGET, NETWORK_POLICY, STATEFUL_SET)
WATCHED_KINDS: Final = (DEPLOYMENT, *CHILD_KINDS, POD)
