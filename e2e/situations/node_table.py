"""Situations of single nodes: GPUs, kernel, capacity, network adapters, RDMA resources, DPUs, NUMA zones."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final

from .machines import ABSENT, SHARED_RESOURCE, VF_RESOURCE, Adapter, Machine
from .model import PLUGIN, Expected, Situation

_GPU: Final = "nvidia.com/gpu"
_MOFED: Final = "network.nvidia.com/operator.mofed.wait"
_REQUIRE: Final = {"policy": "RequireRDMA", "rdma": {"resourceName": VF_RESOURCE}}
_SHARED: Final = {"policy": "RequireRDMA", "rdma": {"resourceName": SHARED_RESOURCE}}
_BLUEFIELD: Final = Adapter(device_id="a2dc", model="BlueField-3", firmware="32.41.1000", dpu=True)


def _gpu(name: str, reason: str, labels: Mapping[str, str], **requirements: Any) -> Situation:
    return Situation(name, _none(reason), (Machine(labels=labels),), requirements={"gpu": requirements})


def _none(reason: str) -> Expected:
    return Expected("NodesEligible", "False", "NoEligibleNodes", {reason: 1})


def _rdma(name: str, reason: str, machine: Machine, transport: Mapping[str, Any] = _REQUIRE, **needs: Any) -> Situation:
    requirements = {key: value for key, value in needs.items() if value}
    return Situation(name, _none(reason), (machine,), transport, requirements, store=PLUGIN)


GPU_SITUATIONS: Final = (
    _gpu("GPU of another model", "GPUProductMismatch", {"nvidia.com/gpu.product": "NVIDIA-L40S"}, products=["H200"]),
    _gpu("GPU model not told", "GPUProductUnknown", {"nvidia.com/gpu.product": ABSENT}, products=["H200"]),
    Situation("GPU device plugin absent", _none("GPUNotAdvertised"), (Machine(allocatable={_GPU: ABSENT}),)),
    Situation("fewer GPUs than a replica needs", _none("GPUCountTooLow"), (Machine(allocatable={_GPU: "4"}),),
              engine={"tensorParallelSize": 8}),
    _gpu("GPU memory too small", "GPUMemoryTooSmall", {"nvidia.com/gpu.memory": "81559"}, minMemoryPerGPU="140Gi"),
    _gpu("GPU memory not told", "GPUMemoryUnknown", {"nvidia.com/gpu.memory": ABSENT}, minMemoryPerGPU="140Gi"),
    _gpu("GPU driver too old", "DriverTooOld", {"nvidia.com/cuda.driver-version.major": "535"}, driverMajorAtLeast=570),
    _gpu("GPU driver not told", "DriverUnknown", {"nvidia.com/cuda.driver-version.major": ABSENT}, driverMajorAtLeast=570),
    _gpu("compute capability too low", "ComputeCapabilityTooLow", {"nvidia.com/gpu.compute.major": "8"},
         computeCapabilityAtLeast="9.0"),
    _gpu("compute capability not told", "ComputeCapabilityUnknown", {"nvidia.com/gpu.compute.major": ABSENT},
         computeCapabilityAtLeast="9.0"),
    _gpu("GPUs cut by MIG", "GPUPartitioned",
         {"nvidia.com/mig.strategy": "single", "nvidia.com/gpu.product": "NVIDIA-H200-NVL-MIG-1g.18gb"}),
    _gpu("GPUs shared by time slicing", "GPUPartitioned",
         {"nvidia.com/gpu.sharing-strategy": "time-slicing", "nvidia.com/gpu.replicas": "4"}),
    Situation("node set up for virtual machines", _none("GPUOperandNotReady"),
              (Machine(labels={"nvidia.com/gpu.workload.config": "vm-passthrough"}),)),
    Situation("kernel too old", _none("KernelTooOld"), (Machine(kernel="4.18.0-553.el8_10.x86_64"),),
              requirements={"kernelAtLeast": "5.14"}),
    Situation("kernel not told", _none("KernelUnknown"), (Machine(kernel=""),), requirements={"kernelAtLeast": "5.14"}),
    Situation("node cordoned", _none("NodeUnschedulable"), (Machine(unschedulable=True),)),
    Situation("node not ready", _none("NodeNotReady"), (Machine(ready=False),)),
    Situation("node memory too small", _none("MemoryTooSmall"), (Machine(allocatable={"memory": "16Gi"}),)),
    Situation("CPUs too few", _none("CPUsTooFew"), (Machine(allocatable={"cpu": "2"}),)),
    Situation("huge pages too few", _none("HugePagesTooFew"), (Machine(),), requirements={"hugePages": "4Gi"}),
    Situation("no node carries the labels", Expected("NodesEligible", "False", "NoCandidateNodes"), ()),
)  # fmt: skip

RESOURCE_SITUATIONS: Final = (
    _rdma("RDMA resource not advertised", "RDMAResourceNotAdvertised", Machine(allocatable={VF_RESOURCE: ABSENT})),
    _rdma("RDMA resource advertised with another prefix", "RDMAResourceNotAdvertised",
          Machine(allocatable={VF_RESOURCE: ABSENT, "openshift.io/storage_vf": "16"})),
    _rdma("NIC driver not ready", "NICDriverNotReady",
          Machine(labels={_MOFED: "true"}, allocatable={VF_RESOURCE: ABSENT})),
    _rdma("NIC driver being upgraded", "NICDriverUpgrading",
          Machine(labels={"nvidia.com/ofed-driver-upgrade-state": "drain-required"}, allocatable={VF_RESOURCE: ABSENT})),
    _rdma("NIC driver kept out by another module", "NICDriverBlockedByModule",
          Machine(labels={_MOFED: "true"}, allocatable={VF_RESOURCE: ABSENT},
                  report={"modules": ["nvme_rdma", "irdma"]})),
    _rdma("RDMA modules missing by NFD", "RDMAModulesMissing",
          Machine(labels={"feature.node.kubernetes.io/rdma.available": ABSENT}, allocatable={VF_RESOURCE: ABSENT})),
    _rdma("RDMA modules missing by report", "RDMAModulesMissing",
          Machine(allocatable={VF_RESOURCE: ABSENT}, report={"modules": ["mlx5_core"]})),
    _rdma("RDMA resource with no device", "RDMAResourceZero", Machine(allocatable={VF_RESOURCE: "0"}, adapter=None)),
    _rdma("fewer devices than a pod needs", "RDMAResourceTooFew",
          Machine(allocatable={VF_RESOURCE: "1"}, adapter=None),
          {"policy": "RequireRDMA", "rdma": {"resourceName": VF_RESOURCE, "count": 2}}),
    _rdma("shared plugin on an exclusive node", "RDMANetnsModeMismatch",
          Machine(allocatable={SHARED_RESOURCE: ABSENT}, rdma_mode="exclusive"), _SHARED),
    _rdma("SR-IOV operator drains the node", "SRIOVNodeDraining",
          Machine(allocatable={VF_RESOURCE: ABSENT}, drain=("Drain_Required", "Draining"), sync=("InProgress", ""))),
    _rdma("SR-IOV operator is at work", "SRIOVNodeDraining",
          Machine(allocatable={VF_RESOURCE: ABSENT}, sync=("InProgress", ""))),
    _rdma("SR-IOV operator failed", "SRIOVConfigFailed",
          Machine(allocatable={VF_RESOURCE: ABSENT}, sync=("Failed", "cannot set numVfs 8 on 0000:17:00.0: totalvfs is 0"),
                  adapter=Adapter(total_vfs=0, functions=0))),
    _rdma("plugin counts other devices than the policy made", "DevicePluginCountMismatch",
          Machine(allocatable={VF_RESOURCE: "5"})),
)  # fmt: skip

ADAPTER_SITUATIONS: Final = (
    _rdma("adapter of another model by NicDevice", "NICModelMismatch",
          Machine(adapter=Adapter(device_id="101d", model="ConnectX-6 Dx")), rdma={"nicModels": ["ConnectX-7"]}),
    _rdma("adapter of another model by SR-IOV state", "NICModelMismatch",
          Machine(adapter=Adapter(device_id="101d"), sources=frozenset({"SriovNetworkNodeState"})),
          rdma={"nicModels": ["ConnectX-7", "BlueField-3"]}),
    _rdma("adapter model not told", "NICModelUnknown", Machine(adapter=None), rdma={"nicModels": ["ConnectX-7"]}),
    _rdma("adapter too slow", "NICSpeedTooLow", Machine(adapter=Adapter(speed="25000 Mb/s")), rdma={"minSpeedGbps": 100}),
    _rdma("adapter speed not told", "NICSpeedUnknown",
          Machine(sources=frozenset({"NicDevice"})), rdma={"minSpeedGbps": 100}),
    _rdma("adapter firmware too old", "NICFirmwareTooOld",
          Machine(adapter=Adapter(firmware="28.9.2000")), rdma={"firmwareAtLeast": "28.39.1002"}),
    _rdma("adapter firmware not told", "NICFirmwareUnknown",
          Machine(sources=frozenset({"SriovNetworkNodeState"})), rdma={"firmwareAtLeast": "28.39.1002"}),
    _rdma("Ethernet adapter where InfiniBand is wanted", "LinkTypeMismatch", Machine(), rdma={"linkType": "InfiniBand"}),
    _rdma("InfiniBand adapter where Ethernet is wanted", "LinkTypeMismatch",
          Machine(adapter=Adapter(link_type="IB")), rdma={"linkType": "Ethernet"}),
    _rdma("link type not told", "LinkTypeUnknown",
          Machine(sources=frozenset({"NicDevice"})), rdma={"linkType": "Ethernet"}),
    _rdma("port down by SR-IOV state", "LinkDown", Machine(adapter=Adapter(admin="down")), rdma={"linkType": "Ethernet"}),
    _rdma("port down by report", "LinkDown",
          Machine(report={"port": {"state": "DOWN", "physicalState": "Disabled"}}), rdma={"linkType": "Ethernet"}),
    _rdma("InfiniBand without subnet manager", "NoSubnetManager",
          Machine(adapter=Adapter(link_type="IB", guid="00:11:22:33:44:55:66:77"),
                  report={"port": {"linkLayer": "InfiniBand", "state": "INIT", "subnetManagerLid": 0}}),
          rdma={"linkType": "InfiniBand"}),
    _rdma("virtual functions without GUID", "VFGuidUnset",
          Machine(adapter=Adapter(link_type="IB", guid="00:00:00:00:00:00:00:00")), rdma={"linkType": "InfiniBand"}),
    _rdma("kernel without DMA-BUF", "GPUDirectUnavailable", Machine(kernel="5.4.0-200-generic"),
          rdma={"gpuDirect": "Require"}),
    _rdma("GPU driver without DMA-BUF", "GPUDirectUnavailable",
          Machine(labels={"nvidia.com/cuda.driver-version.major": "510"}), rdma={"gpuDirect": "Require"}),
    _rdma("no DPU", "NoDPU", Machine(), dpu={"models": ["BlueField-3"]}),
    _rdma("BlueField-3 as plain adapter", "DPUModeMismatch", Machine(adapter=replace(_BLUEFIELD, dpu=False)),
          dpu={"models": ["BlueField-3"]}),
    _rdma("BlueField-3 as DPU where an adapter is wanted", "DPUModeMismatch", Machine(adapter=_BLUEFIELD),
          dpu={"models": ["BlueField-3"], "mode": "NIC"}),
    _rdma("BlueField-3 whose mode nobody tells", "DPUModeUnknown",
          Machine(adapter=_BLUEFIELD, sources=frozenset({"SriovNetworkNodeState"})), dpu={"models": ["BlueField-3"]}),
    _rdma("no NUMA zone has GPUs and devices", "NUMAAlignmentImpossible",
          Machine(zones=({_GPU: 4, VF_RESOURCE: 0}, {_GPU: 0, VF_RESOURCE: 16})),
          {"policy": "RequireRDMA", "rdma": {"resourceName": VF_RESOURCE, "networks": [{"name": "storage"}]}},
          numa={"alignment": "SingleZone"}),
    _rdma("NUMA zones not told", "NUMAUnknown", Machine(), numa={"alignment": "SingleZone"}),
)  # fmt: skip

FINE_SITUATIONS: Final = (
    Situation("every GPU requirement met", Expected("NodesEligible", "True", "NodesAvailable"),
              requirements={"gpu": {"products": ["H200"], "minMemoryPerGPU": "140Gi", "driverMajorAtLeast": 570,
                                    "computeCapabilityAtLeast": "9.0"}, "kernelAtLeast": "5.14"}),
    Situation("time slicing that is accepted", Expected("NodesEligible", "True", "NodesAvailable"),
              (Machine(labels={"nvidia.com/gpu.sharing-strategy": "time-slicing"}),),
              requirements={"gpu": {"partitioning": "Accept"}}),
    Situation("every RDMA requirement met", Expected("NodesEligible", "True", "NodesAvailable"),
              (Machine(adapter=_BLUEFIELD, allocatable={VF_RESOURCE: "8"}),), _REQUIRE,
              {"rdma": {"linkType": "Ethernet", "minSpeedGbps": 200, "nicModels": ["BlueField-3"],
                        "firmwareAtLeast": "32.40.0", "gpuDirect": "Require"},
               "dpu": {"models": ["BlueField-3"], "mode": "DPU"}}, store=PLUGIN),
)  # fmt: skip
