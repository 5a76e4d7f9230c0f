"""What projections make of objects of other projects, as these projects write them, and how sources are merged."""

from typing import Any

import pytest

from inference_cache.api.networks import LinkType
from inference_cache.api.node_report import InferenceCacheNodeReport, ReportedDevice, ReportedPort
from inference_cache.api.node_requirements import NIC_MODELS, DPUMode
from inference_cache.domain.evidence_dpu import project_dpu
from inference_cache.domain.evidence_fields import (
    read_link_type,
    read_number,
    read_pci_address,
    read_pci_id,
    read_speed,
)
from inference_cache.domain.evidence_labels import see_labels
from inference_cache.domain.evidence_merge import merge_nics
from inference_cache.domain.evidence_nic_device import project_nic_device
from inference_cache.domain.evidence_node_state import project_node_state
from inference_cache.domain.evidence_report import project_report
from inference_cache.domain.evidence_slice import project_slice, select_current, sum_devices
from inference_cache.domain.evidence_topology import project_topology
from inference_cache.domain.nic_models import find_model
from inference_cache.domain.node_evidence import DPUState, NICSighting, SliceDevices, Source, Zone

Object = dict[str, Any]

NIC_DEVICE: Object = {
    "apiVersion": "configuration.net.nvidia.com/v1alpha1",
    "kind": "NicDevice",
    "metadata": {"name": "gpu-0-1021-mt2334x00345", "namespace": "nvidia-network-operator"},
    "status": {
        "node": "gpu-0",
        "type": "1021",
        "modelName": "ConnectX-7 HHHL adapter card, 200GbE / NDR200 IB, dual-port QSFP112, PCIe 5.0 x16",
        "dpu": False,
        "superNIC": False,
        "firmwareVersion": "28.39.1002",
        "partNumber": "mcx755106as-heat",
        "psid": "mt_0000001045",
        "serialNumber": "mt2334x00345",
        "ports": [
            {"pci": "0000:1a:00.0", "networkInterface": "enp26s0f0np0", "rdmaInterface": "mlx5_0"},
            {"pci": "0000:1a:00.1", "networkInterface": "enp26s0f1np1", "rdmaInterface": "mlx5_1"},
        ],
    },
}

NODE_STATE: Object = {
    "apiVersion": "sriovnetwork.openshift.io/v1",
    "kind": "SriovNetworkNodeState",
    "metadata": {
        "name": "gpu-0",
        "namespace": "nvidia-network-operator",
        "annotations": {
            "sriovnetwork.openshift.io/desired-state": "Drain_Required",
            "sriovnetwork.openshift.io/current-state": "Draining",
        },
    },
    "spec": {
        "interfaces": [
            {
                "pciAddress": "0000:1a:00.0",
                "name": "enp26s0f0np0",
                "numVfs": 8,
                "vfGroups": [
                    {"resourceName": "storage_vf", "vfRange": "0-5", "deviceType": "netdevice", "isRdma": True},
                    {"resourceName": "other_vf", "vfRange": "6-7"},
                ],
            },
            {"pciAddress": "0000:1a:00.1", "numVfs": 4, "vfGroups": [{"resourceName": "storage_vf"}]},
        ]
    },
    "status": {
        "interfaces": [
            {
                "name": "enp26s0f0np0",
                "pciAddress": "0000:1a:00.0",
                "vendor": "15b3",
                "deviceID": "1021",
                "driver": "mlx5_core",
                "linkType": "ETH",
                "linkSpeed": "100000 Mb/s",
                "linkAdminState": "up",
                "mtu": 9000,
                "totalvfs": 16,
                "numVfs": 8,
                "eSwitchMode": "legacy",
                "Vfs": [{"pciAddress": "0000:1a:00.2", "vfID": 0, "guid": "00:00:00:00:00:00:00:00"}],
            }
        ],
        "syncStatus": "InProgress",
        "lastSyncError": "",
        "system": {"rdmaMode": "exclusive"},
    },
}

REPORT: Object = {
    "metadata": {"name": "gpu-0"},
    "report": {
        "probedAt": "2026-08-01T12:00:00Z",
        "validSeconds": 900,
        "nodeUid": "u-1",
        "kernel": "6.8.0-60-generic",
        "modules": ["mlx5_ib", "ib_uverbs"],
        "rdmaNetnsMode": "shared",
        "memlockHard": -1,
        "hugePagesTotal": 1024,
        "numaNodes": 2,
        "devices": [
            {
                "pciAddress": "0000:1a:00.0",
                "vendor": "15b3",
                "device": "a2dc",
                "interface": "enp26s0f0np0",
                "interfaceState": "up",
                "mtu": 4200,
                "rdmaDevice": "mlx5_0",
                "firmware": "32.39.2048",
                "numaNode": 1,
                "function": "Physical",
                "dpuMode": "DPU",
                "totalVfs": 16,
                "currentVfs": 2,
                "ports": [
                    {
                        "number": 1,
                        "linkLayer": "InfiniBand",
                        "state": "ACTIVE",
                        "rateGbps": 400,
                        "subnetManagerLid": 1,
                    }
                ],
            },
            {"pciAddress": "0000:1a:00.2", "vendor": "15b3", "device": "101e", "function": "Virtual"},
        ],
    },
}


def change(body: Any, path: str, value: Any) -> Any:
    """Return a copy in which one field of a path such as status.ports.0.pci is another one; ... takes it away."""
    head, _, rest = path.partition(".")
    key: Any = int(head) if head.isdecimal() else head
    copied: Any = list(body) if isinstance(body, list) else dict(body)
    if rest:
        copied[key] = change(copied[key], rest, value)
    elif value is ...:
        del copied[key]
    else:
        copied[key] = value
    return copied


# Fields


@pytest.mark.parametrize(
    ("text", "speed"),
    [
        ("100000 Mb/s", 100),
        ("200000Mb/s", 200),
        ("25000 Mbps", 25),
        ("400 Gb/s", 400),
        ("2.5 Gb/s", 2),
        ("-1 Mb/s", None),
        ("Unknown", None),
        ("", None),
        (None, None),
        (100000, None),
        ("9" * 400 + " Gb/s", None),
        ("1." + "9" * 400 + " Gb/s", None),
    ],
)
def test_speed_is_read_as_projects_write_it(text: Any, speed: int | None) -> None:
    assert read_speed(text) == speed


@pytest.mark.parametrize(
    ("value", "number"),
    [
        (2**64 - 1, 2**64 - 1),
        (-1, -1),
        (" 9000 ", 9000),
        (10**400, None),
        (-(10**400), None),
        ("9" * 5000, None),
        (True, None),
    ],
)
def test_number_is_one_that_a_machine_counts_with(value: Any, number: int | None) -> None:
    assert read_number(value) == number


@pytest.mark.parametrize(
    ("text", "link"),
    [
        *((text, LinkType.ETHERNET) for text in ("ETH", "eth", "Ethernet", "ether")),
        *((text, LinkType.INFINIBAND) for text in ("IB", "ib", "Infiniband", "InfiniBand", "infiniband")),
        ("", None),
        ("loopback", None),
        (None, None),
    ],
)
def test_link_type_is_read_as_projects_write_it(text: Any, link: LinkType | None) -> None:
    assert read_link_type(text) is link


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("0000:1a:00.0", "0000:1a:00.0"),
        ("0000:1A:00.1", "0000:1a:00.1"),
        ("1a:00.0", "0000:1a:00.0"),
        ("10001:1a:00.0", "10001:1a:00.0"),
        ("0000:1a:00", ""),
        ("eth0", ""),
        (None, ""),
    ],
)
def test_pci_address_has_one_form(text: Any, address: str) -> None:
    assert read_pci_address(text) == address


@pytest.mark.parametrize(("text", "found"), [("A2DC", "a2dc"), ("0x1021", "1021"), ("mlx5", None), (4129, None)])
def test_pci_id_has_one_form(text: Any, found: str | None) -> None:
    assert read_pci_id(text) == found


@pytest.mark.parametrize(
    ("device_id", "text", "model"),
    [
        ("1021", "", "ConnectX-7"),
        ("a2dc", "ConnectX-7", "BlueField-3"),
        ("101d", "", "ConnectX-6 Dx"),
        ("101b", "", "ConnectX-6"),
        ("101c", "", "ConnectX-6"),
        ("101e", "", None),
        (None, "ConnectX-6 Dx EN adapter card", "ConnectX-6 Dx"),
        (None, "MT28908 Family [ConnectX-6]", "ConnectX-6"),
        (None, "MT43244 BlueField-3 integrated ConnectX-7 network controller", "BlueField-3"),
        (None, "BlueField-2 integrated ConnectX-6 Dx network controller", "BlueField-2"),
        ("1593", "Ethernet Controller E810-C", None),
    ],
)
def test_model_comes_from_the_device_id_before_the_text(device_id: str | None, text: str, model: str | None) -> None:
    assert find_model(device_id, text) == model


def test_models_are_named_as_requirements_name_them() -> None:
    ids = ("101b", "101d", "1021", "1023", "1025", "a2d6", "a2dc")
    assert {find_model(item) for item in ids} == set(NIC_MODELS)


# NicDevice


def test_nic_device_gives_a_sighting_per_port() -> None:
    facts = project_nic_device(NIC_DEVICE)
    assert facts is not None
    assert facts.node == "gpu-0"
    first, second = facts.sightings
    assert first == NICSighting(
        Source.NIC_DEVICE,
        pci="0000:1a:00.0",
        vendor="15b3",
        device_id="1021",
        model="ConnectX-7",
        interface="enp26s0f0np0",
        rdma_device="mlx5_0",
        firmware="28.39.1002",
        virtual=False,
    )
    assert (second.pci, second.rdma_device) == ("0000:1a:00.1", "mlx5_1")


@pytest.mark.parametrize(
    ("device_id", "dpu", "mode"),
    [
        ("a2dc", True, DPUMode.DPU),
        ("a2dc", False, DPUMode.NIC),
        ("A2D6", True, DPUMode.DPU),
        ("a2dc", ..., None),
        ("1021", False, None),
    ],
)
def test_nic_device_tells_the_mode_of_a_bluefield_only(device_id: str, dpu: Any, mode: DPUMode | None) -> None:
    facts = project_nic_device(change(change(NIC_DEVICE, "status.type", device_id), "status.dpu", dpu))
    assert facts is not None
    assert {sighting.dpu_mode for sighting in facts.sightings} == {mode}


@pytest.mark.parametrize("body", [change(NIC_DEVICE, "status", ...), change(NIC_DEVICE, "status.node", ...)])
def test_nic_device_that_is_not_filled_in_says_nothing(body: Object) -> None:
    assert project_nic_device(body) is None


def test_nic_device_keeps_ports_without_interfaces_and_drops_ports_without_address() -> None:
    facts = project_nic_device(change(NIC_DEVICE, "status.ports", [{"pci": "0000:1A:00.0"}, {"pci": "?"}, {}]))
    assert facts is not None
    assert [(item.pci, item.interface, item.rdma_device) for item in facts.sightings] == [("0000:1a:00.0", None, None)]


# SriovNetworkNodeState


def test_node_state_gives_ports_and_what_the_operator_does() -> None:
    facts = project_node_state(NODE_STATE)
    assert facts.node == "gpu-0"
    sriov = facts.sriov
    assert (sriov.sync_status, sriov.last_error, sriov.desired, sriov.current, sriov.rdma_mode) == (
        "InProgress",
        "",
        "Drain_Required",
        "Draining",
        "exclusive",
    )
    assert sriov.functions == {"storage_vf": 10, "other_vf": 2}
    assert facts.sightings == (
        NICSighting(
            Source.NODE_STATE,
            pci="0000:1a:00.0",
            vendor="15b3",
            device_id="1021",
            model="ConnectX-7",
            interface="enp26s0f0np0",
            link_type=LinkType.ETHERNET,
            speed_gbps=100,
            link_up=True,
            virtual=False,
            mtu=9000,
            total_vfs=16,
            current_vfs=8,
        ),
    )


@pytest.mark.parametrize(
    ("speed", "admin", "link_up"),
    [
        ("100000 Mb/s", "up", True),
        ("100000 Mb/s", ..., True),
        ("100000 Mb/s", "down", False),
        ("-1 Mb/s", "up", False),
        (..., "up", None),
        ("", "up", None),
        ("Unknown", "up", None),
    ],
)
def test_node_state_tells_whether_a_port_has_link(speed: Any, admin: Any, *, link_up: bool | None) -> None:
    body = change(NODE_STATE, "status.interfaces.0.linkSpeed", speed)
    body = change(body, "status.interfaces.0.linkAdminState", admin)
    assert project_node_state(body).sightings[0].link_up is link_up


@pytest.mark.parametrize(
    ("guids", "unset"),
    [
        (["00:00:00:00:00:00:00:00", "0000000000000000", "0c:42:a1:03:00:16:05:a0"], 2),
        (["0c:42:a1:03:00:16:05:a0"], 0),
        ([], None),
    ],
)
def test_node_state_counts_functions_without_guid_on_infiniband(guids: list[str], unset: int | None) -> None:
    body = change(NODE_STATE, "status.interfaces.0.linkType", "IB")
    functions = [{"pciAddress": f"0000:1a:00.{n + 2}", "vfID": n, "guid": guid} for n, guid in enumerate(guids)]
    body = change(body, "status.interfaces.0.Vfs", functions)
    assert project_node_state(body).sightings[0].guids_unset == unset


def test_node_state_on_ethernet_has_no_guids_to_miss() -> None:
    assert project_node_state(NODE_STATE).sightings[0].guids_unset is None


@pytest.mark.parametrize("field", ["spec", "status"])
def test_node_state_without_a_part_is_read(field: str) -> None:
    assert project_node_state(change(NODE_STATE, field, ...)).node == "gpu-0"


def test_node_state_of_a_new_node_says_nothing() -> None:
    facts = project_node_state({"metadata": {"name": "gpu-1"}})
    assert (facts.sightings, facts.sriov.sync_status, facts.sriov.functions) == ((), "", {})


def test_long_errors_of_the_sriov_operator_are_cut() -> None:
    facts = project_node_state(change(NODE_STATE, "status.lastSyncError", "x" * 5000))
    assert facts.sriov.last_error == "x" * 300


# NodeResourceTopology


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


# ResourceSlice


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


# DPU


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


# NodeCapabilityReport


def test_report_gives_the_machine_and_its_physical_functions() -> None:
    facts = project_report(REPORT)
    assert facts is not None
    state = facts.state
    assert (facts.node, state.probed_at, state.valid_seconds, state.node_uid) == ("gpu-0", 1785585600.0, 900, "u-1")
    assert (state.kernel, state.modules) == ("6.8.0-60-generic", frozenset({"mlx5_ib", "ib_uverbs"}))
    assert (state.rdma_netns_mode, state.memlock_hard, state.huge_pages_total, state.numa_nodes) == (
        "shared",
        -1,
        1024,
        2,
    )
    assert facts.sightings == (
        NICSighting(
            Source.REPORT,
            pci="0000:1a:00.0",
            vendor="15b3",
            device_id="a2dc",
            model="BlueField-3",
            interface="enp26s0f0np0",
            rdma_device="mlx5_0",
            link_type=LinkType.INFINIBAND,
            speed_gbps=400,
            link_up=True,
            subnet_manager=True,
            firmware="32.39.2048",
            dpu_mode=DPUMode.DPU,
            virtual=False,
            numa_node=1,
            mtu=4200,
            total_vfs=16,
            current_vfs=2,
        ),
    )


def test_report_reads_only_fields_that_the_api_has() -> None:
    fields: set[str] = set()
    for model in (InferenceCacheNodeReport, ReportedDevice, ReportedPort):
        fields |= {field.alias or name for name, field in model.model_fields.items()}
    used = {*REPORT["report"], *REPORT["report"]["devices"][0], *REPORT["report"]["devices"][0]["ports"][0]}
    assert used <= fields


def test_report_of_a_machine_with_virtual_functions_only_keeps_them() -> None:
    function = REPORT["report"]["devices"][1]
    facts = project_report(change(REPORT, "report.devices", [function]))
    assert facts is not None
    assert [(item.pci, item.virtual) for item in facts.sightings] == [("0000:1a:00.2", True)]


@pytest.mark.parametrize(
    ("port", "link_up", "speed", "manager"),
    [
        ({"state": "DOWN", "rateGbps": 10}, False, None, True),
        ({"state": "INIT", "subnetManagerLid": 0}, False, None, False),
        ({"state": "DOWN", "subnetManagerLid": 0}, False, None, None),
        ({"subnetManagerLid": None}, True, 400, None),
        ({"linkLayer": "Ethernet", "subnetManagerLid": 0}, True, 400, None),
    ],
)
def test_report_tells_link_and_subnet_manager(
    port: Object, *, link_up: bool, speed: int | None, manager: bool | None
) -> None:
    ports = [REPORT["report"]["devices"][0]["ports"][0] | port]
    facts = project_report(change(REPORT, "report.devices.0.ports", ports))
    assert facts is not None
    sighting = facts.sightings[0]
    assert (sighting.link_up, sighting.speed_gbps, sighting.subnet_manager) == (link_up, speed, manager)


def test_report_without_rdma_device_takes_the_interface() -> None:
    device = {
        "pciAddress": "0000:1a:00.0",
        "vendor": "15b3",
        "device": "1021",
        "interfaceState": "down",
        "speedGbps": 25,
    }
    facts = project_report(change(REPORT, "report.devices", [device]))
    assert facts is not None
    assert (facts.sightings[0].link_up, facts.sightings[0].speed_gbps) == (False, 25)


def test_report_with_fields_of_a_later_version_counts() -> None:
    body = change(REPORT, "report.devices.0.dpuMode", "Restricted")
    facts = project_report(change(body, "report.somethingNew", {"a": 1}))
    assert facts is not None
    assert facts.sightings[0].dpu_mode is None


def test_report_grows_stale_by_its_own_words() -> None:
    facts = project_report(REPORT)
    assert facts is not None
    assert [facts.is_stale(facts.state.probed_at + age) for age in (0, 900, 901)] == [False, False, True]


def test_report_from_the_future_is_stale_beyond_what_clocks_differ() -> None:
    facts = project_report(REPORT)
    assert facts is not None
    assert [facts.is_stale(facts.state.probed_at - ahead) for ahead in (300, 301)] == [False, True]


@pytest.mark.parametrize(("told", "counts"), [(86_400, 86_400), (10**9, 86_400), (-5, 0)])
def test_report_counts_no_longer_than_the_api_allows(told: int, counts: int) -> None:
    facts = project_report(change(REPORT, "report.validSeconds", told))
    assert facts is not None
    assert facts.state.valid_seconds == counts


def test_report_that_was_only_confirmed_says_the_same() -> None:
    first = project_report(REPORT)
    later = project_report(change(REPORT, "report.probedAt", "2026-08-01T12:10:00Z"))
    other = project_report(change(REPORT, "report.kernel", "6.9"))
    moved = project_report(change(REPORT, "report.devices.0.mtu", 1500))
    assert first is not None
    assert later is not None
    assert first != later
    assert first.says_same(later)
    assert other is not None
    assert moved is not None
    assert not first.says_same(other)
    assert not first.says_same(moved)


def test_report_without_time_says_nothing() -> None:
    assert project_report({"metadata": {"name": "gpu-0"}}) is None


def test_report_with_a_time_that_is_none_is_refused() -> None:
    with pytest.raises(ValueError, match="isoformat"):
        project_report(change(REPORT, "report.probedAt", "yesterday"))


# Labels

_NIC = "inferencecache.io/nic."


@pytest.mark.parametrize(
    ("labels", "seen"),
    [
        ({}, []),
        ({"feature.node.kubernetes.io/rdma.capable": "false"}, []),
        ({"feature.node.kubernetes.io/rdma.capable": "true"}, [(None, None, None)]),
        ({"feature.node.kubernetes.io/custom-rdma.capable": "true"}, [(None, None, None)]),
        ({"feature.node.kubernetes.io/pci-15b3.present": "true"}, [(None, None, None)]),
        ({"feature.node.kubernetes.io/dpu-enabled": "true"}, [(None, None, None)]),
        ({f"{_NIC}connectx7": "true"}, [("ConnectX-7", None, None)]),
        (
            {
                f"{_NIC}connectx7": "true",
                f"{_NIC}ethernet": "true",
                f"{_NIC}speed100g": "true",
                f"{_NIC}speed200g": "true",
            },
            [("ConnectX-7", LinkType.ETHERNET, 200)],
        ),
        (
            {f"{_NIC}connectx7": "true", f"{_NIC}ethernet": "true", f"{_NIC}infiniband": "true"},
            [("ConnectX-7", None, None)],
        ),
        (
            {
                f"{_NIC}connectx7": "true",
                f"{_NIC}bluefield3": "true",
                f"{_NIC}infiniband": "true",
                f"{_NIC}speed400g": "true",
            },
            [("ConnectX-7", None, None), ("BlueField-3", None, None)],
        ),
    ],
)
def test_labels_say_what_they_carry_and_no_more(labels: dict[str, str], seen: list[Any]) -> None:
    found = see_labels(labels)
    assert [(item.model, item.link_type, item.speed_gbps) for item in found] == seen
    assert all((item.source, item.vendor, item.pci) == (Source.LABEL, "15b3", "") for item in found)


# Merging


def test_sources_of_one_port_are_ranked() -> None:
    device, state, report = project_nic_device(NIC_DEVICE), project_node_state(NODE_STATE), project_report(REPORT)
    assert device is not None
    assert report is not None
    labels = see_labels({f"{_NIC}connectx7": "true", f"{_NIC}speed400g": "true"})
    nics = merge_nics([*labels, *state.sightings, *device.sightings, *report.sightings])
    assert [[item.source for item in nic.sightings] for nic in nics] == [
        [Source.REPORT, Source.NIC_DEVICE, Source.NODE_STATE],
        [Source.NIC_DEVICE],
        [Source.LABEL],
    ]
    first, second, label = nics
    assert first.find(lambda item: item.model) == ("BlueField-3", Source.REPORT)
    assert first.find(lambda item: item.total_vfs) == (16, Source.REPORT)
    assert second.find(lambda item: item.speed_gbps) is None, "a label completes no port"
    assert label.find(lambda item: item.speed_gbps) == (400, Source.LABEL)


def test_a_source_that_is_silent_leaves_the_word_to_the_next() -> None:
    device, state = project_nic_device(NIC_DEVICE), project_node_state(NODE_STATE)
    assert device is not None
    first = merge_nics([*state.sightings, *device.sightings])[0]
    assert first.find(lambda item: item.firmware) == ("28.39.1002", Source.NIC_DEVICE)
    assert first.find(lambda item: item.link_type) == (LinkType.ETHERNET, Source.NODE_STATE)
    assert first.find(lambda item: item.subnet_manager) is None


def test_order_of_sightings_does_not_matter() -> None:
    device, state = project_nic_device(NIC_DEVICE), project_node_state(NODE_STATE)
    assert device is not None
    sightings = [*device.sightings, *state.sightings]
    assert merge_nics(sightings) == merge_nics(reversed(sightings))
