"""What NicDevice and SriovNetworkNodeState say of network adapters."""

from typing import Any

import pytest

from inference_cache.api.networks import LinkType
from inference_cache.api.node_requirements import DPUMode
from inference_cache.domain.evidence_nic_device import project_nic_device
from inference_cache.domain.evidence_node_state import project_node_state
from inference_cache.domain.node_evidence import NICSighting, Source
from tests.domain.evidence_objects import NIC_DEVICE, NODE_STATE, Object, change


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
