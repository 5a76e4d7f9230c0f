"""Situations of networks, namespaces, fabrics and clients, and clusters of each kind that are in order."""

import json
from collections.abc import Mapping
from typing import Any, Final

from .machines import ABSENT, SHARED_RESOURCE, VF_RESOURCE, Adapter, Machine
from .model import PLUGIN, Expected, Situation

_MACHINE: Final = Machine()
_MOFED: Final = "network.nvidia.com/operator.mofed.wait"
_IPAM: Final = {"type": "whereabouts", "range": "192.168.10.0/24"}
_OTHER_IPAM: Final = {"type": "whereabouts", "range": "192.168.11.0/24"}
_INFINIBAND: Final = Machine(adapter=Adapter(link_type="IB", guid="00:11:22:33:44:55:66:77"))
_REFERENCE: Final = {"mode": "Reference", "type": "SRIOVEthernet", "resourceName": VF_RESOURCE}


def _cni(kind: str, ipam: Any = _IPAM, **more: Any) -> dict[str, Any]:
    return {"cniVersion": "1.0.0", "name": "storage", "type": kind, **({"ipam": ipam} if ipam else {}), **more}


def _network(
    name: str,
    reason: str,
    networks: Mapping[str, tuple[Any, str]],
    fabric: Mapping[str, Any] = _REFERENCE,
    machine: Machine = _MACHINE,
) -> Situation:
    spec = {**fabric, "networks": [{"name": item} for item in networks] or [{"name": "storage"}]}
    return Situation(
        name,
        Expected("NetworkReady", "False", reason),
        (machine,),
        {"policy": "RequireRDMA", "fabricRef": {"name": "FABRIC"}},
        store=PLUGIN,
        fabric=spec,
        networks=networks,
    )


NETWORK_SITUATIONS: Final = (
    Situation("fabric that does not exist", Expected("NetworkReady", "False", "FabricNotFound"), (Machine(),),
              {"policy": "RequireRDMA", "fabricRef": {"name": "nowhere"}}, store=PLUGIN),
    Situation("fabric of other namespaces", Expected("NetworkReady", "False", "FabricForbidden"), (Machine(),),
              {"policy": "RequireRDMA", "fabricRef": {"name": "FABRIC"}}, store=PLUGIN,
              fabric={**_REFERENCE, "namespaces": ["somebody-else"]}),
    _network("network that does not exist", "NetworkNotFound", {}),
    _network("network without JSON", "NetworkConfigMalformed", {"storage": ("not json {", VF_RESOURCE)}),
    _network("network without CNI type", "NetworkConfigMalformed", {"storage": ({"cniVersion": "1.0.0"}, VF_RESOURCE)}),
    _network("network of another resource", "NADResourceMismatch",
             {"storage": (_cni("sriov"), "openshift.io/storage_vf")}),
    _network("network without resource", "NADResourceMismatch", {"storage": (_cni("sriov"), "")}),
    _network("network plugin sriov on InfiniBand", "UseSriovIBNetwork", {"storage": (_cni("sriov"), VF_RESOURCE)},
             {**_REFERENCE, "type": "SRIOVInfiniBand"}, _INFINIBAND),
    _network("macvlan on InfiniBand", "MacvlanOnInfiniBand",
             {"storage": (_cni("macvlan", master="ibs3f0"), "")},
             {"mode": "Reference", "type": "SharedIPoIB", "resourceName": SHARED_RESOURCE}, _INFINIBAND),
    _network("addresses by host-local", "IPAMNotClusterWide",
             {"storage": (_cni("sriov", {"type": "host-local", "subnet": "10.9.0.0/24"}), VF_RESOURCE)}),
    _network("network without addresses", "IPAMMissing", {"storage": (_cni("sriov", None), VF_RESOURCE)}),
    _network("two rails in one subnet", "RailsShareSubnet",
             {"rail-a": (_cni("sriov"), VF_RESOURCE), "rail-b": (_cni("sriov"), VF_RESOURCE)}),
    _network("MTU too small for RoCE", "MTUTooSmall", {"storage": (_cni("sriov", mtu=1500), VF_RESOURCE)}),
    Situation("Pod Security refuses IPC_LOCK", Expected("NetworkReady", "False", "PodSecurityBlocked"), (Machine(),),
              {"policy": "RequireRDMA", "rdma": {"resourceName": VF_RESOURCE}}, store=PLUGIN,
              namespace_labels={"pod-security.kubernetes.io/enforce": "baseline"}),
    Situation("Pod Security with unlimited nodes", Expected("NetworkReady", "True", "NetworkAttached"), (Machine(),),
              {"policy": "RequireRDMA", "rdma": {"resourceName": VF_RESOURCE}, "lockedMemory": "NodeUnlimited"},
              store=PLUGIN, namespace_labels={"pod-security.kubernetes.io/enforce": "baseline"}),
    Situation("fewer devices than networks", Expected("NetworkReady", "False", "TooFewVFsRequested"), (Machine(),),
              {"policy": "RequireRDMA", "rdma": {"resourceName": VF_RESOURCE, "count": 1,
                                                 "networks": [{"name": "rail-a"}, {"name": "rail-b"}]}},
              store=PLUGIN, networks={"rail-a": (_cni("sriov"), VF_RESOURCE),
                                      "rail-b": (_cni("sriov", _OTHER_IPAM), VF_RESOURCE)}),
    Situation("DeviceClass that does not exist", Expected("NetworkReady", "False", "DeviceClassNotFound",
                                                       {"DRANoMatchingDevices": 1}), (Machine(),),
              {"policy": "RequireRDMA", "rdma": {"deviceClassName": "nowhere.example"}}, store=PLUGIN),
    Situation("DeviceClass without devices", Expected("NodesEligible", "False", "NoEligibleNodes",
                                                      {"DRANoMatchingDevices": 1}), (Machine(),),
              {"policy": "RequireRDMA", "rdma": {"deviceClassName": "rdma.situations.example"}}, store=PLUGIN,
              others=({"apiVersion": "resource.k8s.io/v1", "kind": "DeviceClass",
                       "metadata": {"name": "rdma.situations.example"},
                       "spec": {"selectors": [{"cel": {"expression": "device.driver == 'dra.net'"}}]}},)),
)  # fmt: skip

_AUTO: Final = {"policy": "Auto", "rdma": {"resourceName": VF_RESOURCE}}
_DEAD: Final = Machine(allocatable={VF_RESOURCE: ABSENT})


def _falls_back(name: str, reason: str, machines: tuple[Machine, ...], **more: Any) -> Situation:
    store = more.pop("store", PLUGIN)
    return Situation(name, Expected("TransportDegraded", "True", reason, decision="TCP", **more.pop("expected", {})),
                     machines, more.pop("transport", _AUTO), store=store, **more)  # fmt: skip


FALLBACK_SITUATIONS: Final = (
    _falls_back("no node with RDMA", "RDMAUnavailable", (_DEAD,),
                expected={"without_rdma": {"RDMAResourceNotAdvertised": 1}}),
    _falls_back("adapters too slow for RDMA", "RDMAUnavailable", (Machine(adapter=Adapter(speed="25000 Mb/s")),),
                requirements={"rdma": {"minSpeedGbps": 100}}, expected={"without_rdma": {"NICSpeedTooLow": 1}}),
    _falls_back("driver being rolled out", "RDMARolloutConverging",
                (Machine(allocatable={VF_RESOURCE: "0"}, adapter=None),
                 Machine(labels={_MOFED: "true"}, allocatable={VF_RESOURCE: ABSENT}))),
    _falls_back("client that speaks TCP only", "ClientWithoutRDMA", (Machine(),), store={}),
    _falls_back("memory tier too large for the dialect", "RDMARegistrationTooLarge", (Machine(),),
                store={"client": "NIXL", "rdmaDialect": "Dell"}, memory="16Gi"),
    _falls_back("fabric missing where RDMA is optional", "FabricNotFound", (Machine(),),
                transport={"policy": "Auto", "fabricRef": {"name": "nowhere"}}),
    _falls_back("Pod Security where RDMA is optional", "PodSecurityBlocked", (Machine(),),
                namespace_labels={"pod-security.kubernetes.io/enforce": "restricted"}),
)  # fmt: skip


def _healthy(
    name: str, fabric: Mapping[str, Any], networks: Mapping[str, tuple[Any, str]], machine: Machine
) -> Situation:
    spec = {"mode": "Reference", **fabric, "networks": [{"name": item} for item in networks]}
    return Situation(name, Expected("NetworkReady", "True", "NetworkAttached", decision="RDMA"), (machine,),
                     {"policy": "RequireRDMA", "fabricRef": {"name": "FABRIC"}}, store=PLUGIN, fabric=spec,
                     networks=networks)  # fmt: skip


HEALTHY_SITUATIONS: Final = (
    _healthy("healthy SR-IOV Ethernet", {"type": "SRIOVEthernet", "resourceName": VF_RESOURCE},
             {"rail-a": (_cni("sriov"), VF_RESOURCE), "rail-b": (_cni("sriov", _OTHER_IPAM), VF_RESOURCE)}, Machine()),
    _healthy("healthy SR-IOV InfiniBand", {"type": "SRIOVInfiniBand", "resourceName": VF_RESOURCE},
             {"storage": (_cni("ib-sriov"), VF_RESOURCE)}, _INFINIBAND),
    _healthy("healthy shared macvlan", {"type": "SharedMacvlan", "resourceName": SHARED_RESOURCE},
             {"storage": (_cni("macvlan", master="ens3f0np0", mtu=9000), "")}, Machine()),
    _healthy("healthy shared IPoIB", {"type": "SharedIPoIB", "resourceName": SHARED_RESOURCE},
             {"storage": (_cni("ipoib", master="ibs3f0"), "")}, _INFINIBAND),
    _healthy("healthy host device", {"type": "HostDevice", "resourceName": "nvidia.com/hostdev"},
             {"storage": (_cni("host-device"), "nvidia.com/hostdev")},
             Machine(allocatable={"nvidia.com/hostdev": "2"})),
    Situation("healthy TCP only", Expected("NodesEligible", "True", "NodesAvailable", decision="TCP"), (Machine(),),
              {"policy": "TCP"}),
)  # fmt: skip


def dump_config(config: Any) -> str:
    """Return the CNI configuration as spec.config holds it."""
    return config if isinstance(config, str) else json.dumps(config)
