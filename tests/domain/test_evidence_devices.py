"""What NodeResourceTopology, ResourceSlice and DPU say of a node."""

from typing import Any

import pytest

from inference_cache.api.networks import LinkType
from inference_cache.domain.evidence_dpu import project_dpu
from inference_cache.domain.evidence_slice import project_slice, select_current, sum_devices
from inference_cache.domain.evidence_topology import project_topology
from inference_cache.domain.node_evidence import DPUState, NICSighting, SliceDevices, Source, Zone
from tests.domain.evidence_objects import Object


@pytest.mark.parametrize("number", ["9" * 5000 + "m", "9" * 5000 + ".5", "9" * 5000])
def test_topology_with_a_number_without_end_is_read(number: str) -> None:
    resources = [{"name": "nvidia.com/gpu", "allocatable": number, "available": number}]
    zone = {"name": "node-0", "type": "Node", "resources": resources}
    facts = project_topology({"metadata": {"name": "gpu-0"}, "zones": [zone]})
    assert facts is not None
    assert set(facts.zones[0].allocatable.values()) <= {0}


def test_topology_gives_devices_by_zone_free_ones_and_all() -> None:
    def resource(name: str, available: Any) -> Object:
        return {"name": name, "capacity": "8", "allocatable": "8", "available": available}

    facts = project_topology(
        {
            "metadata": {"name": "gpu-0"},
            "topologyPolicies": ["SingleNUMANodePodLevel"],
            "zones": [
                {
                    "name": "node-0",
                    "type": "Node",
                    "costs": [{"name": "node-0", "value": 10}],
                    "resources": [
                        resource("nvidia.com/gpu", "4"),
                        resource("nvidia.com/storage_vf", 2),
                        resource("cpu", "30500m"),
                    ],
                },
                {"name": "node-1", "type": "Node"},
                {"name": "cache-0", "type": "Cache", "resources": [resource("a.b/c", "1")]},
            ],
        }
    )
    assert facts.node == "gpu-0"
    assert facts.zones == (
        Zone(
            "node-0",
            {"nvidia.com/gpu": 4, "nvidia.com/storage_vf": 2},
            {"nvidia.com/gpu": 8, "nvidia.com/storage_vf": 8},
        ),
        Zone("node-1", {}),
    )


def build_slice(driver: str, *devices: Object, generation: int = 1, **spec: Any) -> Object:
    pool = {"name": "gpu-0", "generation": generation, "resourceSliceCount": 1}
    listed = [{"name": f"d{number}", "attributes": attributes} for number, attributes in enumerate(devices)]
    return {"spec": {"driver": driver, "nodeName": "gpu-0", "pool": pool, "devices": listed} | spec}


DRANET_PORT: Object = {
    "dra.net/ifName": {"string": "enp26s0f0np0"},
    "dra.net/pciAddress": {"string": "0000:1a:00.0"},
    "dra.net/pciVendor": {"string": "Mellanox Technologies"},
    "dra.net/pciDevice": {"string": "MT2910 Family [ConnectX-7]"},
    "dra.net/numaNode": {"int": 1},
    "dra.net/mtu": {"int": 9000},
    "dra.net/state": {"string": "up"},
    "dra.net/encapsulation": {"string": "ether"},
    "dra.net/rdma": {"bool": True},
    "dra.net/rdmaDevice": {"string": "mlx5_0"},
    "dra.net/isSriovVf": {"bool": False},
    "resource.kubernetes.io/pcieRoot": {"string": "pci0000:15"},
}


def test_slice_of_dranet_gives_ports() -> None:
    function = DRANET_PORT | {"dra.net/pciAddress": {"string": "0000:1a:00.2"}, "dra.net/isSriovVf": {"bool": True}}
    bridge = {"dra.net/ifName": {"string": "br0"}, "dra.net/virtual": {"bool": True}, "dra.net/rdma": {"bool": False}}
    facts = project_slice(build_slice("dra.net", DRANET_PORT, function, bridge))
    assert facts is not None
    assert facts.devices == SliceDevices("dra.net", 3, 2)
    assert facts.sightings == (
        NICSighting(
            Source.RESOURCE_SLICE,
            pci="0000:1a:00.0",
            model="ConnectX-7",
            interface="enp26s0f0np0",
            rdma_device="mlx5_0",
            link_type=LinkType.ETHERNET,
            link_up=True,
            virtual=False,
            numa_node=1,
            mtu=9000,
        ),
    )


def test_slice_of_the_sriov_driver_gives_physical_functions() -> None:
    driver = "sriovnetwork.k8snetworkplumbingwg.io"

    def function(number: int) -> Object:
        return {
            f"{driver}/vendor": {"string": "15b3"},
            f"{driver}/deviceID": {"string": "101e"},
            f"{driver}/pfDeviceID": {"string": "a2dc"},
            f"{driver}/PFName": {"string": "ens3f0np0"},
            f"{driver}/pfPciAddress": {"string": "0000:17:00.0"},
            f"{driver}/linkType": {"string": "infiniband"},
            f"{driver}/rdmaCapable": {"bool": number < 2},
            "dra.net/numaNode": {"int": 0},
            "resource.kubernetes.io/pciBusID": {"string": f"0000:17:00.{number + 2}"},
        }

    facts = project_slice(build_slice(driver, *(function(number) for number in range(3))))
    assert facts is not None
    assert facts.devices == SliceDevices(driver, 3, 2)
    assert facts.sightings == (
        NICSighting(
            Source.RESOURCE_SLICE,
            pci="0000:17:00.0",
            vendor="15b3",
            device_id="a2dc",
            model="BlueField-3",
            interface="ens3f0np0",
            link_type=LinkType.INFINIBAND,
            virtual=False,
            numa_node=0,
        ),
    )


@pytest.mark.parametrize(
    "body",
    [
        build_slice("gpu.nvidia.com", {"gpu.nvidia.com/type": {"string": "gpu"}}),
        build_slice("dra.net", DRANET_PORT, nodeName=None, allNodes=True),
        {"spec": {}},
        {},
    ],
    ids=["GPUs", "of no node", "empty", "without spec"],
)
def test_other_slices_say_nothing(body: Object) -> None:
    assert project_slice(body) is None


def test_slices_of_an_older_generation_do_not_count() -> None:
    slices = [
        project_slice(build_slice("dra.net", DRANET_PORT, DRANET_PORT, generation=1)),
        project_slice(build_slice("dra.net", DRANET_PORT, generation=2)),
        project_slice(build_slice("dra.net", {}, generation=2)),
    ]
    current = select_current(item for item in slices if item)
    assert sum_devices(current) == (SliceDevices("dra.net", 2, 1),)


@pytest.mark.parametrize(
    "parts",
    [
        {"metadata": {"name": "d", "labels": {"provisioning.dpu.nvidia.com/host": "gpu-0"}}},
        {"spec": {"nodeName": "gpu-0"}},
        {"spec": {"cluster": {"nodeLabels": {"provisioning.dpu.nvidia.com/host": "gpu-0"}}, "dpuNodeName": "other"}},
        {"spec": {"dpuNodeName": "gpu-0"}},
    ],
)
def test_dpu_names_its_host_in_one_of_several_places(parts: Object) -> None:
    facts = project_dpu({"metadata": {"name": "d"}, "status": {"phase": "Ready"}} | parts)
    assert facts is not None
    assert (facts.node, facts.state) == ("gpu-0", DPUState("d", "Ready"))


def test_dpu_without_host_says_nothing() -> None:
    assert project_dpu({"metadata": {"name": "d"}}) is None


def test_dpu_without_phase_is_not_ready() -> None:
    facts = project_dpu({"metadata": {"name": "d"}, "spec": {"nodeName": "gpu-0"}})
    assert facts is not None
    assert facts.state.phase == ""
