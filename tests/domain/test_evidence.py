"""What labels say of a node, and how the sources of one adapter are merged."""

from typing import Any

import pytest

from inference_cache.api.networks import LinkType
from inference_cache.domain.evidence_labels import see_labels
from inference_cache.domain.evidence_merge import merge_nics
from inference_cache.domain.evidence_nic_device import project_nic_device
from inference_cache.domain.evidence_node_state import project_node_state
from inference_cache.domain.evidence_report import project_report
from inference_cache.domain.node_evidence import Source
from tests.domain.evidence_objects import NIC_DEVICE, NODE_STATE, REPORT

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
