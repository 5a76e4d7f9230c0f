"""Checks of what RDMA pods need of a node: one row per defect and per fact that nobody tells, word for word."""

from typing import Any

import pytest

from inference_cache.api.networks import LinkType
from inference_cache.api.node_requirements import DPUMode
from inference_cache.domain import names
from inference_cache.domain.node_checks.finding import MAX_DETAIL
from inference_cache.domain.node_checks.nic import is_at_least
from inference_cache.domain.node_evidence import NIC, DPUState, NICSighting, SliceDevices, Source
from inference_cache.domain.node_judgement import find_rdma_violation, judge
from inference_cache.domain.node_need import DPUNeed
from inference_cache.domain.reasons import Reason
from tests.support.evidence import (
    GPU_LABELS,
    SHARED,
    VF,
    build_evidence,
    build_report,
    build_sriov,
    need_rdma,
    port,
    see,
    zones,
)

Row = tuple[dict[str, Any], dict[str, Any], Reason | None, str]

_PORT = "ConnectX-7 at 0000:17:00.0"
_STATE = "SriovNetworkNodeState"
_MOFED = "network.nvidia.com/operator.mofed.wait"
_UPGRADE = "nvidia.com/ofed-driver-upgrade-state"
_DEAD: dict[str, Any] = {"resources": {}}
_CX7 = {"models": frozenset({"ConnectX-7"})}
_FAST = {"min_speed_gbps": 100}
_FIRMWARE = {"firmware": (28, 39, 1002), "firmware_text": "28.39.1002"}
_IB = {"link_type": LinkType.INFINIBAND, "link_required": True}
_ETHERNET = {"link_type": LinkType.ETHERNET, "link_required": True}
_CX6: dict[str, Any] = {"device_id": "101d", "model": "ConnectX-6 Dx"}
_BF3: dict[str, Any] = {"device_id": "a2dc", "model": "BlueField-3"}
_DPU = {"dpu": DPUNeed(frozenset({"BlueField-3"}), DPUMode.DPU)}
_PLAIN = {"dpu": DPUNeed(frozenset({"BlueField-3"}), DPUMode.NIC)}
_ANY_DPU = {"dpu": DPUNeed(frozenset(), DPUMode.DPU)}
_SHARED = {"resource_name": SHARED, "shared": True}
_DRA = {"resource_name": None, "device_class": "rdma.example"}
_GPU_DIRECT = {"gpu_direct": True}
_GPU = names.GPU_RESOURCE


def _nics(*each: NIC) -> dict[str, Any]:
    return {"nics": each}


def _one(source: Source = Source.NODE_STATE, **facts: Any) -> dict[str, Any]:
    return _nics(port(source, **facts))


def _label(key: str, value: str, **facts: Any) -> dict[str, Any]:
    return {"labels": GPU_LABELS | {key: value}, **facts}


_LOOSE = NIC((NICSighting(Source.LABEL, vendor="15b3"),))

_POOL = {"selector": (("pool", "rdma"),)}
_ADAPTERS: dict[str, Row] = {
    "a node of the fabric": (_POOL, _label("pool", "rdma"), None, ""),
    "a node outside the fabric": (_POOL, _one(link_up=False), Reason.NodeNotInFabric, "has no label pool by node labels, rdma wanted"),
    "a node of another pool": (_POOL, _label("pool", "web") | _DEAD, Reason.NodeNotInFabric, "label pool is web by node labels, rdma wanted"),
    "an adapter in order": (_CX7 | _FAST | _FIRMWARE | _ETHERNET, {}, None, ""),
    "another model": (_CX7, _one(**_CX6), Reason.NICModelMismatch, f"ConnectX-6 Dx at 0000:17:00.0 by {_STATE}"),
    "a model by its PCI device id": ({"models": frozenset({"1021"})}, {}, None, ""),
    "another model by its PCI device id": ({"models": frozenset({"a2dc"})}, {}, Reason.NICModelMismatch, f"{_PORT} by {_STATE}"),
    "a device that no list knows": (_CX7, _one(device_id="1234", model=None), Reason.NICModelMismatch, f"device 15b3:1234 at 0000:17:00.0 by {_STATE}"),
    "a model whose id nobody tells": ({"models": frozenset({"1021"})}, _one(device_id=None), Reason.NICModelUnknown, _PORT),
    "no source of adapters": (_CX7, _nics(), Reason.NICModelUnknown, "no source lists adapters of the node"),
    "a label that tells the vendor alone": (_CX7, _nics(_LOOSE), Reason.NICModelUnknown, "adapter of vendor 15b3"),
    "no adapter by report": (_CX7, _nics() | {"report": build_report()}, Reason.NICModelMismatch, "no adapter at all by NodeCapabilityReport"),
    "no adapter by SR-IOV state": (_CX7, _nics() | {"sriov": build_sriov()}, Reason.NICModelMismatch, f"no adapter at all by {_STATE}"),
    "no adapter by a state that is being written": (_CX7, _nics() | {"sriov": build_sriov(sync_status="InProgress")}, Reason.NICModelUnknown, "no source lists adapters of the node"),
    "no adapter where nobody asks for one": ({}, _nics(), None, ""),
    "the report is too old": (_CX7, _nics() | {"report_stale": True}, Reason.ReportStale, "NICModelUnknown: no source lists adapters of the node"),
    "NicDevice before the SR-IOV state": (_CX7, _nics(NIC((see(Source.NIC_DEVICE, **_CX6), see()))), Reason.NICModelMismatch, "ConnectX-6 Dx at 0000:17:00.0 by NicDevice"),
    "a virtual function does not tell the model": (_CX7, _nics(port(device_id="101e", model=None, virtual=True), port(**_CX6, pci="0000:18:00.0")), Reason.NICModelMismatch, f"ConnectX-6 Dx at 0000:18:00.0 by {_STATE}"),
    "a machine that has virtual functions alone": (_CX7, _one(device_id="101e", model=None, virtual=True), Reason.NICModelUnknown, "device 15b3:101e at 0000:17:00.0"),
    "Ethernet where InfiniBand is wanted": (_IB, {}, Reason.LinkTypeMismatch, f"Ethernet on {_PORT} by {_STATE}, InfiniBand wanted"),
    "InfiniBand where the fabric is Ethernet": ({"link_type": LinkType.ETHERNET}, _one(link_type=LinkType.INFINIBAND), Reason.LinkTypeMismatch, f"InfiniBand on {_PORT} by {_STATE}, Ethernet wanted"),
    "link type required and not told": (_ETHERNET, _one(Source.NIC_DEVICE, link_type=None), Reason.LinkTypeUnknown, _PORT),
    "link type of the fabric and not told": ({"link_type": LinkType.ETHERNET}, _one(link_type=None), None, ""),
    "link type required and no source": (_ETHERNET, _nics(), Reason.LinkTypeUnknown, "no source lists adapters of the node"),
    "link down": ({}, _one(link_up=False), Reason.LinkDown, f"{_PORT} by {_STATE}"),
    "link down by report, up by state": ({}, _nics(NIC((see(Source.REPORT, link_up=False), see()))), Reason.LinkDown, f"{_PORT} by NodeCapabilityReport"),
    "link not told": ({}, _one(link_up=None), None, ""),
    "one of two ports up": ({}, _nics(port(link_up=False), port(pci="0000:17:00.1")), None, ""),
    "a management port of another vendor is up": ({}, _nics(port(vendor="8086", device_id="1572", model=None, pci="0000:01:00.0"), port(link_up=False)), Reason.LinkDown, f"{_PORT} by {_STATE}"),
    "InfiniBand without subnet manager": (_IB, _one(Source.REPORT, link_type=LinkType.INFINIBAND, link_up=False, subnet_manager=False), Reason.NoSubnetManager, f"{_PORT} by NodeCapabilityReport"),
    "no subnet manager on Ethernet": ({}, _one(subnet_manager=False), None, ""),
    "too slow": (_FAST, _one(speed_gbps=25), Reason.NICSpeedTooLow, f"25 Gb/s on {_PORT} by {_STATE}, 100 wanted"),
    "speed not told": (_FAST, _one(speed_gbps=None), Reason.NICSpeedUnknown, _PORT),
    "speed asked for and no source": (_FAST, _nics(), Reason.NICSpeedUnknown, "no source lists adapters of the node"),
    "firmware too old, in fewer digits": (_FIRMWARE, _one(Source.NIC_DEVICE, firmware="28.9.2000"), Reason.NICFirmwareTooOld, f"28.9.2000 on {_PORT} by NicDevice, 28.39.1002 wanted"),
    "firmware newer, in more digits": (_FIRMWARE, _one(firmware="28.100.1"), None, ""),
    "firmware with the board behind it": (_FIRMWARE, _one(firmware="28.39.1002 (MT_0000000838)"), None, ""),
    "firmware not told": (_FIRMWARE, _one(firmware=None), Reason.NICFirmwareUnknown, _PORT),
    "firmware that is no version": (_FIRMWARE, _one(firmware="N/A"), Reason.NICFirmwareUnknown, f"N/A on {_PORT} by {_STATE}"),
    "firmware asked for and no source": (_FIRMWARE, _nics(), Reason.NICFirmwareUnknown, "no source lists adapters of the node"),
    "a fault before what nobody tells": (_FAST | _FIRMWARE, _one(speed_gbps=None, firmware="1.2"), Reason.NICFirmwareTooOld, f"1.2 on {_PORT} by {_STATE}, 28.39.1002 wanted"),
    "virtual functions without GUID": (_IB, _one(link_type=LinkType.INFINIBAND, guids_unset=8), Reason.VFGuidUnset, f"8 virtual functions of {_PORT} by {_STATE}"),
    "virtual functions with GUIDs": (_IB, _one(link_type=LinkType.INFINIBAND, guids_unset=0), None, ""),
    "virtual functions without GUID that the shared plugin does not use": (_IB | _SHARED, _one(link_type=LinkType.INFINIBAND, guids_unset=8), None, ""),
    "two adapters that meet it only together": (_CX7 | _FAST, _nics(port(speed_gbps=25), port(**_CX6, pci="0000:18:00.0")), Reason.NICSpeedTooLow, f"25 Gb/s on {_PORT} by {_STATE}, 100 wanted"),
    "an adapter that may be the right one": (_CX7 | _FAST, _nics(port(**_CX6), port(speed_gbps=None, pci="0000:18:00.0")), Reason.NICSpeedUnknown, "ConnectX-7 at 0000:18:00.0"),
    "labels count only without real adapters": (_CX7 | _FAST, _nics(port(speed_gbps=25), _LOOSE), Reason.NICSpeedTooLow, f"25 Gb/s on {_PORT} by {_STATE}, 100 wanted"),
}  # fmt: skip

_RESOURCES: dict[str, Row] = {
    "devices in order": ({}, {}, None, ""),
    "resource absent": ({}, _DEAD, Reason.RDMAResourceNotAdvertised, f"no resource {VF} by Node"),
    "resource under another prefix": ({}, {"resources": {"openshift.io/storage_vf": 16}}, Reason.RDMAResourceNotAdvertised, f"no resource {VF}, but openshift.io/storage_vf by Node"),
    "resource zero": ({}, {"resources": {VF: 0}}, Reason.RDMAResourceZero, f"0 {VF} by Node"),
    "resource zero and no virtual functions": ({}, {"resources": {VF: 0}, "sriov": build_sriov()}, Reason.RDMAResourceZero, f"0 {VF} by Node; likely no virtual functions of storage_vf by {_STATE}"),
    "resource zero and one port down": ({}, {"resources": {VF: 0}, **_nics(port(link_up=False), port(pci="0000:17:00.1"))}, Reason.RDMAResourceZero, f"0 {VF} by Node; likely LinkDown ({_PORT} by {_STATE})"),
    "fewer devices than a pod needs": ({"count": 2}, {"resources": {VF: 1}}, Reason.RDMAResourceTooFew, f"1 {VF} by Node, 2 wanted"),
    "driver not ready": ({}, _label(_MOFED, "true", **_DEAD), Reason.NICDriverNotReady, f"{_MOFED} is true by node labels"),
    "driver not ready on a node that has devices": ({}, _label(_MOFED, "true"), None, ""),
    "driver kept out by a module": ({}, _label(_MOFED, "true", report=build_report(modules=frozenset({"nvme_rdma", "irdma", "ib_uverbs"})), **_DEAD), Reason.NICDriverBlockedByModule, f"irdma, nvme_rdma by NodeCapabilityReport, while {_MOFED} is true"),
    "a storage module beside a driver that is ready": ({}, {"report": build_report(modules=frozenset({"nvme_rdma", "ib_uverbs", "rdma_ucm"}))}, None, ""),
    "driver being upgraded": ({}, _label(_UPGRADE, "drain-required"), Reason.NICDriverUpgrading, f"{_UPGRADE} is drain-required by node labels"),
    "driver whose upgrade failed": ({}, _label(_UPGRADE, "upgrade-failed"), Reason.NICDriverUpgrading, f"{_UPGRADE} is upgrade-failed by node labels"),
    "driver that waits for its upgrade and works": ({}, _label(_UPGRADE, "upgrade-required"), None, ""),
    "driver that waits for its upgrade without devices": ({}, _label(_UPGRADE, "upgrade-required", **_DEAD), Reason.NICDriverUpgrading, f"{_UPGRADE} is upgrade-required by node labels"),
    "driver that was upgraded": ({}, _label(_UPGRADE, "upgrade-done"), None, ""),
    "modules missing by report": ({}, {"report": build_report(modules=frozenset({"mlx5_core"})), **_DEAD}, Reason.RDMAModulesMissing, "ib_uverbs, rdma_ucm by NodeCapabilityReport"),
    "modules that the report does not list": ({}, {"report": build_report(modules=frozenset()), **_DEAD}, Reason.RDMAResourceNotAdvertised, f"no resource {VF} by Node"),
    "modules missing by NFD": ({}, {"features_published": True, **_DEAD}, Reason.RDMAModulesMissing, "feature.node.kubernetes.io/rdma.available is not set by Node Feature Discovery, which has run there"),
    "modules there by NFD": ({}, _label("feature.node.kubernetes.io/custom-rdma.available", "true", features_published=True, **_DEAD), Reason.RDMAResourceNotAdvertised, f"no resource {VF} by Node"),
    "shared plugin on an exclusive node": (_SHARED, {"resources": {}, "sriov": build_sriov(rdma_mode="exclusive")}, Reason.RDMANetnsModeMismatch, f"mode exclusive by {_STATE}"),
    "shared plugin on an exclusive node by report": (_SHARED, {"resources": {}, "report": build_report(rdma_netns_mode="exclusive"), "sriov": build_sriov()}, Reason.RDMANetnsModeMismatch, "mode exclusive by NodeCapabilityReport"),
    "virtual functions on an exclusive node": ({}, {"sriov": build_sriov(rdma_mode="exclusive")}, None, ""),
    "SR-IOV failed": ({}, {"sriov": build_sriov(sync_status="Failed", last_error="cannot set numVfs:\n totalvfs is 0"), **_DEAD}, Reason.SRIOVConfigFailed, f"cannot set numVfs: totalvfs is 0 by {_STATE}"),
    "SR-IOV failed without a word": ({}, {"sriov": build_sriov(sync_status="Failed"), **_DEAD}, Reason.SRIOVConfigFailed, f"no lastSyncError by {_STATE}"),
    "SR-IOV failed with other devices": ({}, {"sriov": build_sriov(sync_status="Failed", last_error="x")}, None, ""),
    "SR-IOV failed on a node of the shared plugin": (_SHARED, {"sriov": build_sriov(sync_status="Failed"), **_DEAD}, Reason.RDMAResourceNotAdvertised, f"no resource {SHARED} by Node"),
    "SR-IOV drains": ({}, {"sriov": build_sriov(current="Draining", desired="Drain_Required")}, Reason.SRIOVNodeDraining, f"state Draining, wanted Drain_Required by {_STATE}"),
    "SR-IOV is about to reboot": ({}, {"sriov": build_sriov(desired="Reboot_Required")}, Reason.SRIOVNodeDraining, f"state Idle, wanted Reboot_Required by {_STATE}"),
    "SR-IOV at work": ({}, {"sriov": build_sriov(sync_status="InProgress"), **_DEAD}, Reason.SRIOVNodeDraining, f"syncStatus InProgress by {_STATE}"),
    "SR-IOV at work on a node that has devices": ({}, {"sriov": build_sriov(sync_status="InProgress")}, None, ""),
    "more devices than virtual functions": ({}, {"sriov": build_sriov(functions={"storage_vf": 8})}, Reason.DevicePluginCountMismatch, f"16 {VF} by Node, 8 virtual functions by {_STATE}"),
    "fewer devices, so that fewer pods fit": ({"gpus": 1}, {"resources": {VF: 5}, "sriov": build_sriov(functions={"storage_vf": 16})}, Reason.DevicePluginCountMismatch, f"5 {VF} by Node, 16 virtual functions by {_STATE}"),
    "fewer devices, and enough for the GPUs": ({"gpus": 1}, {"resources": {VF: 8}, "sriov": build_sriov(functions={"storage_vf": 16})}, None, ""),
    "shared resource beside a policy whose resource has its name": ({"resource_name": "rdma/storage", "shared": True}, {"resources": {"rdma/storage": 1000}, "sriov": build_sriov(functions={"storage": 8})}, None, ""),
    "shared resource of another prefix beside such a policy": ({"resource_name": "example.com/storage", "shared": True}, {"resources": {"example.com/storage": 1000}, "sriov": build_sriov(functions={"storage": 8})}, None, ""),
    "resource with the prefix of shared ones beside such a policy": ({"resource_name": "rdma/storage"}, {"resources": {"rdma/storage": 1000}, "sriov": build_sriov(functions={"storage": 8})}, None, ""),
    "virtual functions that may be those of another prefix": ({}, {"resources": {VF: 16, "openshift.io/storage_vf": 8}, "sriov": build_sriov(functions={"storage_vf": 8})}, None, ""),
    "virtual functions of another resource": ({}, {"sriov": build_sriov(functions={"other": 8})}, None, ""),
    "DRA without slices": (_DRA, {}, Reason.DRANoMatchingDevices, "no ResourceSlice of the node offers network devices"),
    "DRA without RDMA devices": (_DRA, {"slices": (SliceDevices("dra.net", 4, 0),)}, Reason.DRANoMatchingDevices, "0 RDMA devices by ResourceSlice, 1 wanted"),
    "DRA with too few": (_DRA | {"count": 3}, {"slices": (SliceDevices("dra.net", 4, 2),)}, Reason.DRANoMatchingDevices, "2 RDMA devices by ResourceSlice, 3 wanted"),
    "DRA with devices": (_DRA | {"count": 2}, {"slices": (SliceDevices("dra.net", 4, 2),)}, None, ""),
    "a passing cause before a dead link": ({}, _label(_MOFED, "true", **_one(link_up=False), **_DEAD), Reason.NICDriverNotReady, f"{_MOFED} is true by node labels"),
    "a wrong adapter before the missing devices": (_CX7, {**_one(**_CX6), **_DEAD}, Reason.NICModelMismatch, f"ConnectX-6 Dx at 0000:17:00.0 by {_STATE}"),
    "missing devices before an adapter that nobody knows": (_CX7, {**_nics(), **_DEAD}, Reason.RDMAResourceNotAdvertised, f"no resource {VF} by Node"),
}  # fmt: skip

_OTHERS: dict[str, Row] = {
    "a DPU in order": (_DPU, _one(Source.NIC_DEVICE, **_BF3, dpu_mode=DPUMode.DPU), None, ""),
    "any BlueField": (_ANY_DPU, _one(Source.NIC_DEVICE, device_id="a2d6", model="BlueField-2", dpu_mode=DPUMode.DPU), None, ""),
    "a DPU by its PCI device id": ({"dpu": DPUNeed(frozenset({"a2dc"}), DPUMode.DPU)}, _one(Source.NIC_DEVICE, **_BF3, dpu_mode=DPUMode.DPU), None, ""),
    "no DPU": (_DPU, {}, Reason.NoDPU, f"{_PORT} by {_STATE}"),
    "no DPU among several": (_ANY_DPU, _nics(port(), port(pci="0000:17:00.1")), Reason.NoDPU, f"{_PORT} and 1 more by {_STATE}"),
    "another DPU": (_DPU, _one(device_id="a2d6", model="BlueField-2"), Reason.NoDPU, f"BlueField-2 at 0000:17:00.0 by {_STATE}"),
    "no DPU by report": (_DPU, _nics() | {"report": build_report()}, Reason.NoDPU, "no adapter at all by NodeCapabilityReport"),
    "a DPU or not, nobody tells": (_DPU, _nics(), Reason.NICModelUnknown, "no source tells the models of the node's adapters"),
    "a label that tells the vendor alone": (_DPU, _nics(_LOOSE), Reason.NICModelUnknown, "no source tells the models of the node's adapters"),
    "a label of the platform framework alone": (_DPU, _label("feature.node.kubernetes.io/dpu-enabled", "true", **_nics(_LOOSE)), Reason.DPUModeUnknown, "label feature.node.kubernetes.io/dpu-enabled alone"),
    "a label, and the platform framework has brought it up": (_ANY_DPU, _label("feature.node.kubernetes.io/dpu-enabled", "true", dpus=(DPUState("dpu-1", "Ready"),), **_nics()), None, ""),
    "BlueField-3 as plain adapter": (_DPU, _one(Source.NIC_DEVICE, **_BF3, dpu_mode=DPUMode.NIC), Reason.DPUModeMismatch, "BlueField-3 at 0000:17:00.0 in mode NIC by NicDevice, DPU wanted"),
    "BlueField-3 as DPU": (_PLAIN, _one(Source.NIC_DEVICE, **_BF3, dpu_mode=DPUMode.DPU), Reason.DPUModeMismatch, "BlueField-3 at 0000:17:00.0 in mode DPU by NicDevice, NIC wanted"),
    "BlueField-3 whose mode nobody tells": (_DPU, _one(**_BF3), Reason.DPUModeUnknown, "BlueField-3 at 0000:17:00.0"),
    "BlueField-3 whose mode the old report told": (_DPU, _one(**_BF3) | {"report_stale": True}, Reason.ReportStale, "DPUModeUnknown: BlueField-3 at 0000:17:00.0"),
    "BlueField-3 whose mode the platform framework shows": (_DPU, _one(**_BF3) | {"dpus": (DPUState("dpu-1", "Ready"),)}, None, ""),
    "BlueField-3 under the platform framework where a plain adapter is wanted": (_PLAIN, _one(**_BF3) | {"dpus": (DPUState("dpu-1", "Ready"),)}, Reason.DPUModeMismatch, "BlueField-3 at 0000:17:00.0 in mode DPU by DPU, NIC wanted"),
    "a DPU that is being provisioned": (_DPU, _one(Source.NIC_DEVICE, **_BF3, dpu_mode=DPUMode.DPU) | {"dpus": (DPUState("dpu-1", "OS Installing"),)}, Reason.DPUNotReady, "dpu-1 in phase OS Installing by DPU"),
    "one DPU of two is ready": (_DPU, _one(Source.NIC_DEVICE, **_BF3, dpu_mode=DPUMode.DPU) | {"dpus": (DPUState("dpu-1", "Error"), DPUState("dpu-2", "Ready"))}, None, ""),
    "kernel without DMA-BUF": (_GPU_DIRECT, {"kernel": "5.4.0-200-generic"}, Reason.GPUDirectUnavailable, "kernel 5.4.0-200-generic by Node"),
    "kernel not told": (_GPU_DIRECT, {"kernel": ""}, Reason.GPUDirectUnavailable, "no kernel version in status.nodeInfo"),
    "driver without DMA-BUF": (_GPU_DIRECT, _label(names.DRIVER_MAJOR_LABEL, "510"), Reason.GPUDirectUnavailable, "driver 510 by node labels"),
    "driver not told": (_GPU_DIRECT, {"labels": {}}, Reason.GPUDirectUnavailable, "label nvidia.com/cuda.driver-version.major is missing"),
    "GPU before Turing": (_GPU_DIRECT, _label(names.COMPUTE_MAJOR_LABEL, "7"), Reason.GPUDirectUnavailable, "compute capability 7.0 by node labels"),
    "GPU before Turing by its family": (_GPU_DIRECT, {"labels": {names.DRIVER_MAJOR_LABEL: "580", "nvidia.com/gpu.family": "volta"}}, Reason.GPUDirectUnavailable, "GPU family volta by node labels"),
    "GPU new enough by its family": (_GPU_DIRECT, {"labels": {names.DRIVER_MAJOR_LABEL: "580", "nvidia.com/gpu.family": "hopper"}}, None, ""),
    "GPU not told": (_GPU_DIRECT, {"labels": {names.DRIVER_MAJOR_LABEL: "580"}}, Reason.GPUDirectUnavailable, "label nvidia.com/gpu.family is missing"),
    "peer memory module by report": (_GPU_DIRECT, {"kernel": "5.4.0", "report": build_report(modules=frozenset({"nvidia_peermem"}))}, None, ""),
    "peer memory module by label": (_GPU_DIRECT, _label("nvidia.com/peermem.capable", "true", kernel="5.4.0"), None, ""),
    "no zone has both": ({"gpus": 4, "single_zone": True}, {"zones": zones({_GPU: 4, VF: 0}, {_GPU: 3, VF: 16})}, Reason.NUMAAlignmentImpossible, f"node-0 has 4 and 0, node-1 has 3 and 16 by NodeResourceTopology, 4 {_GPU} and 1 {VF} wanted in one"),
    "one zone has both": ({"gpus": 4, "single_zone": True}, {"zones": zones({_GPU: 4, VF: 1}, {_GPU: 4})}, None, ""),
    "zones without the devices": ({"gpus": 4, "single_zone": True}, {"zones": zones({_GPU: 4}, {_GPU: 4})}, Reason.NUMAUnknown, f"no zone with {VF} by NodeResourceTopology"),
    "devices of the shared plugin have no zone": (_SHARED | {"gpus": 4, "single_zone": True}, {"zones": zones({_GPU: 4}, {_GPU: 4})}, None, ""),
}  # fmt: skip
_ROWS = [
    pytest.param(*row, id=f"{group}: {name}")
    for group, rows in (("adapter", _ADAPTERS), ("resource", _RESOURCES), ("other", _OTHERS))
    for name, row in rows.items()
]
_GAPS = {Reason.NUMAUnknown, Reason.ReportStale}


@pytest.mark.parametrize(("wanted", "facts", "reason", "detail"), _ROWS)
def test_rdma(wanted: dict[str, Any], facts: dict[str, Any], reason: Reason | None, detail: str) -> None:
    need, evidence = need_rdma(**wanted), build_evidence(**facts)
    found = find_rdma_violation(evidence, need)
    assert (found.reason if found else None, found.detail if found else "") == (reason, detail)
    soft = judge(evidence, need).rdma_violations
    assert (soft[0] if soft else None) == found, "judging a node in full names the same reason first"
    if found is not None:
        assert found.reason.remedy, "a fault without a remedy helps nobody"
        if found.reason not in {Reason.GPUDirectUnavailable, Reason.DRANoMatchingDevices}:
            assert found.unknown is (found.reason.name.endswith("Unknown") or found.reason in _GAPS)


@pytest.mark.parametrize(
    ("wanted", "facts", "unknown"),
    [
        (_GPU_DIRECT, {"kernel": "5.4.0"}, False),
        (_GPU_DIRECT, {"kernel": ""}, True),
        (_GPU_DIRECT, {"labels": {}}, True),
        (_DRA, {"slices": (SliceDevices("dra.net", 4, 0),)}, False),
        (_DRA, {}, True),
    ],
    ids=["old kernel", "kernel not told", "driver not told", "slices without RDMA", "no slices"],
)
def test_reason_for_both_says_whether_the_fact_is_known(
    wanted: dict[str, Any], facts: dict[str, Any], unknown: bool
) -> None:
    found = find_rdma_violation(build_evidence(**facts), need_rdma(**wanted))
    assert found is not None
    assert found.unknown is unknown


def test_required_rdma_is_hard_and_else_it_is_soft() -> None:
    evidence = build_evidence(**_DEAD)
    soft, hard = judge(evidence, need_rdma()), judge(evidence, need_rdma(required=True))
    assert (soft.eligible, [item.reason for item in soft.rdma_violations]) == (True, [Reason.RDMAResourceNotAdvertised])
    assert [item.reason for item in hard.violations] == [Reason.RDMAResourceNotAdvertised]
    assert hard.rdma_violations == ()


@pytest.mark.parametrize(
    ("used", "noted"),
    [({}, None), ({VF: 15}, None), ({VF: 16}, f"16 of 16 {VF} are taken by engine pods of this operator; others are not counted")],
    ids=["nothing is taken", "one is left", "all are taken"],
)  # fmt: skip
def test_taken_devices_are_noted_and_make_no_node_unfit(used: dict[str, int], noted: str | None) -> None:
    judged = judge(build_evidence(used=used), need_rdma(required=True))
    assert judged.eligible
    assert [item.detail for item in judged.notes] == ([noted] if noted else [])
    assert all(item.reason is Reason.RDMAResourceExhausted for item in judged.notes)


def test_detail_is_bounded_whatever_a_source_writes() -> None:
    error = "x" * 5000
    found = find_rdma_violation(
        build_evidence(sriov=build_sriov(sync_status="Failed", last_error=error), **_DEAD), need_rdma()
    )
    assert found is not None
    assert len(found.detail) == MAX_DETAIL
    assert found.detail.endswith("…")


@pytest.mark.parametrize(
    ("found", "wanted", "holds"),
    [((28, 39), (28, 39, 0), True), ((28, 39), (28, 39, 1), False), ((28, 9, 9), (28, 39), False), ((29,), (28, 99, 9), True)],
)  # fmt: skip
def test_versions_compare_by_number(found: tuple[int, ...], wanted: tuple[int, ...], holds: bool) -> None:
    assert is_at_least(found, wanted) is holds
