"""Counts of a review of many nodes: who is eligible, who can carry RDMA, what is said, and that it is fast and bounded."""

import random
import sys
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from inference_cache.domain import names
from inference_cache.domain.node_evidence import NIC, EvidenceSources, NodeEvidence, Source
from inference_cache.domain.node_facts import Taint
from inference_cache.domain.node_need import NO_RDMA, TransportWish, build_need
from inference_cache.domain.node_policy import NodeReview, ReviewResult
from inference_cache.domain.reasons import Reason
from inference_cache.domain.verdict import MAX_MESSAGE, Truth
from tests.support.builders import build_settled
from tests.support.evidence import GPU_LABELS, VF, build_evidence, build_sriov, port, see, wish

_MOFED = "network.nvidia.com/operator.mofed.wait"
_SPEED = {
    "transport": {"fabricRef": {"name": "storage"}},
    "nodes.requirements.rdma": {"minSpeedGbps": 100, "nicModels": ["ConnectX-7"]},
}
_WAITS: dict[str, Any] = {"labels": GPU_LABELS | {_MOFED: "true"}, "resources": {}}
_DEAD: dict[str, Any] = {"resources": {}}


def _review(
    nodes: list[NodeEvidence],
    wanted: TransportWish = NO_RDMA,
    changes: dict[str, Any] | None = None,
    sources: EvidenceSources = EvidenceSources(),  # noqa: B008 - immutable
) -> ReviewResult:
    settled = build_settled(changes)
    review = NodeReview(settled, build_need(settled, wanted))
    for node in nodes:
        review.add(node)
    return review.finish(sources)


def _counts(result: ReviewResult, field: str) -> dict[str, int]:
    assert result.status is not None
    return {item.reason: item.count for item in getattr(result.status, field) or []}


def test_nobody_asks_for_rdma() -> None:
    result = _review([build_evidence("a"), build_evidence("b", **_DEAD)])
    assert result.verdict.message == "2 of 2 candidate nodes meet every requirement."
    assert result.status is not None
    assert (result.status.rdma, result.status.without_rdma, result.rdma) == (None, None, None)


def test_auto_counts_nodes_without_rdma_apart() -> None:
    nodes = [build_evidence("a"), build_evidence("b", **_DEAD), build_evidence("c", ready=False)]
    result = _review(nodes, wish())
    assert result.status is not None
    assert (result.status.candidates, result.status.eligible, result.status.rdma) == (3, 2, 1)
    assert _counts(result, "ineligible") == {"NodeNotReady": 1}
    assert _counts(result, "without_rdma") == {"RDMAResourceNotAdvertised": 1}
    assert (result.verdict.reason, result.verdict.message) == (
        Reason.NodesAvailable,
        "2 of 3 candidate nodes meet every requirement, 1 of them also for RDMA.",
    )
    assert result.rdma == (
        Reason.RDMAPartial,
        f"1 of 2 nodes can carry RDMA: 1 RDMAResourceNotAdvertised (for instance b: no resource {VF} by Node).",
    )


def test_required_rdma_rules_nodes_out_and_tells_every_cause() -> None:
    nodes = [build_evidence(f"dead-{number}", **_DEAD) for number in range(4)]
    nodes += [build_evidence("slow", nics=(port(speed_gbps=25),)), build_evidence("lost", ready=False)]
    result = _review(nodes, wish(required=True), _SPEED)
    assert (result.verdict.status, result.verdict.reason) == (Truth.FALSE, Reason.NoEligibleNodes)
    assert result.verdict.message == (
        "None of 6 candidate nodes has 8 GPU of NVIDIA-H200, NVIDIA-H200-NVL, NVIDIA-H200-SXM5-141GB and 1288Gi memory and "
        f"1 {VF}: 4 RDMAResourceNotAdvertised (for instance dead-0, dead-1, dead-2; dead-0: no resource {VF} by Node); "
        "1 NICSpeedTooLow (for instance slow: 25 Gb/s on ConnectX-7 at 0000:17:00.0 by SriovNetworkNodeState, 100 wanted); "
        "1 NodeNotReady (for instance lost: condition Ready is not True by Node). "
        f"{Reason.NoEligibleNodes.remedy}"
    )
    assert result.status is not None
    assert (result.status.eligible, result.status.rdma, result.status.without_rdma) == (0, 0, None)
    assert _counts(result, "ineligible") == {"RDMAResourceNotAdvertised": 4, "NICSpeedTooLow": 1, "NodeNotReady": 1}
    assert result.rdma is not None
    assert result.rdma[0] is Reason.RDMAUnavailable


@pytest.mark.parametrize(
    ("others", "reason", "converging"),
    [
        ([], None, False),
        ([_DEAD], Reason.RDMAPartial, False),
        ([_WAITS], Reason.RDMARolloutConverging, True),
        ([_DEAD, _WAITS], Reason.RDMARolloutConverging, True),
        ([{"sriov": build_sriov(current="Draining")}], Reason.RDMARolloutConverging, True),
        ([{"labels": GPU_LABELS | {"nvidia.com/ofed-driver-upgrade-state": "drain-required"}}], Reason.RDMARolloutConverging, True),
        ([{"ready": False}], None, False),
    ],
    ids=["all", "one has none", "driver comes", "driver comes to one of two", "SR-IOV drains", "driver is upgraded", "one is lost"],
)  # fmt: skip
def test_rollout_is_told_from_a_lack(others: list[dict[str, Any]], reason: Reason | None, converging: bool) -> None:
    nodes = [
        build_evidence("good"),
        *(build_evidence(f"node-{number}", **facts) for number, facts in enumerate(others)),
    ]
    result = _review(nodes, wish())
    assert (result.rdma[0] if result.rdma else None, result.converging) == (reason, converging)


def test_rollout_with_no_node_yet_converges_too() -> None:
    result = _review([build_evidence("zero", resources={VF: 0}), build_evidence("waits", **_WAITS)], wish())
    assert (result.rdma_nodes, result.converging) == (0, True)


def test_capacity_counts_pods_by_gpus_and_devices_and_what_is_free() -> None:
    one_gpu = {"engine.tensorParallelSize": 1, "nodes.requirements.gpu.products": ["H200"]}
    nodes = [
        build_evidence("by-gpus"),
        build_evidence("by-devices", resources={VF: 3}),
        build_evidence("none", **_DEAD),
        build_evidence("taken", resources={VF: 3}, used={VF: 3}),
        build_evidence("half", used={names.GPU_RESOURCE: 6, VF: 6}),
    ]
    result = _review(nodes, wish(), one_gpu)
    assert (result.rdma_nodes, result.rdma_capacity) == (4, 8 + 3 + 3 + 8)
    assert result.rdma_free == 8 + 3 + 0 + 2
    assert _review(nodes, wish(count=2), one_gpu).rdma_capacity == 8 + 1 + 1 + 8


def test_sources_that_cannot_be_read_are_told_where_a_fact_was_missing() -> None:
    sources = EvidenceSources(unreadable={Source.NIC_DEVICE: "nicdevices is forbidden"})
    blind = _review([build_evidence(nics=())], wish(required=True), _SPEED, sources)
    text = "EvidenceUnavailable: NicDevice (nicdevices is forbidden)."
    assert text in blind.verdict.message
    sighted = _review([build_evidence(nics=(port(speed_gbps=25),))], wish(required=True), _SPEED, sources)
    assert "EvidenceUnavailable" not in sighted.verdict.message
    soft = _review([build_evidence(nics=())], wish(), _SPEED, sources)
    assert soft.rdma is not None
    assert soft.rdma[1].endswith(text)


def test_status_and_message_are_bounded() -> None:
    nodes = [
        build_evidence(
            f"{number:04}-{'x' * 240}",
            labels=GPU_LABELS | {names.GPU_PRODUCT_LABEL: f"GPU-{number % 60}"} if number % 2 else GPU_LABELS,
            sriov=build_sriov(sync_status="Failed", last_error=f"{number} " + "y" * 4000),
            **_DEAD,
        )
        for number in range(200)
    ]
    result = _review(nodes, wish(required=True), {"nodes.requirements.gpu.products": ["GPU-0", "NVIDIA-H200"]})
    assert len(result.verdict.message) <= MAX_MESSAGE
    assert result.verdict.message.endswith(Reason.NoEligibleNodes.remedy)
    assert result.status is not None
    assert all(len(item.examples) <= 3 for item in result.status.ineligible or [])


_NODES = st.builds(
    build_evidence,
    st.integers(0, 10_000).map(lambda number: f"node-{number}"),
    ready=st.booleans(),
    gpus=st.sampled_from([None, 0, 4, 8]),
    labels=st.sampled_from([{}, GPU_LABELS, GPU_LABELS | {names.GPU_PRODUCT_LABEL: "NVIDIA-L40S"}, GPU_LABELS | {_MOFED: "true"}]),
    taints=st.sampled_from([(), (Taint("other", "", "NoSchedule"),)]),
    resources=st.dictionaries(st.sampled_from([VF, "rdma/x"]), st.integers(0, 16)),
    nics=st.lists(st.builds(port, speed_gbps=st.sampled_from([None, 25, 200]), link_up=st.sampled_from([None, True, False])), max_size=3).map(tuple),
    report_stale=st.booleans(),
)  # fmt: skip


@given(st.lists(_NODES, max_size=30, unique_by=lambda node: node.facts.name), st.booleans(), st.randoms())
@settings(max_examples=150, deadline=None)
def test_counts_add_up_and_the_order_of_nodes_does_not_matter(
    nodes: list[NodeEvidence], required: bool, chance: random.Random
) -> None:
    wanted = wish(required=required)
    result = _review(nodes, wanted, _SPEED)
    status = result.status
    assert status is not None
    assert status.eligible + sum(item.count for item in status.ineligible or []) == status.candidates <= len(nodes)
    assert status.rdma == result.rdma_nodes
    assert result.rdma_nodes + sum(item.count for item in status.without_rdma or []) == status.eligible
    assert result.rdma_free <= result.rdma_capacity
    assert (result.rdma is None) is (
        not status.without_rdma and (not required or status.eligible == result.rdma_nodes)
    ) or required
    shuffled = list(nodes)
    chance.shuffle(shuffled)
    assert _review(shuffled, wanted, _SPEED) == result


def test_work_for_one_node_is_small_and_does_not_grow_with_their_number() -> None:
    """Calls instead of seconds: with four ports told by two sources each, a portion of 250 nodes took 5 ms of the loop."""
    nics = tuple(
        NIC((see(Source.NIC_DEVICE, f"0000:1{n}:00.0", link_type=None, speed_gbps=None), see(pci=f"0000:1{n}:00.0")))
        for n in range(4)
    )
    slow = tuple(port(pci=f"0000:1{n}:00.0", speed_gbps=25) for n in range(4))
    settled = build_settled(_SPEED)
    need = build_need(settled, wish())

    def count_calls(nodes: list[NodeEvidence]) -> int:
        calls = 0

        def note(*_: object) -> None:
            nonlocal calls
            calls += 1

        review = NodeReview(settled, need)
        sys.setprofile(note)
        try:
            for node in nodes:
                review.add(node)
        finally:
            sys.setprofile(None)
        assert review.finish().rdma_nodes == sum(node.nics is nics for node in nodes)
        return calls

    few = [build_evidence(f"node-{n}", nics=slow if n % 5 == 0 else nics) for n in range(50)]
    many = [build_evidence(f"node-{n}", nics=slow if n % 5 == 0 else nics) for n in range(500)]
    assert count_calls(many) <= 10.5 * count_calls(few)
    # Calls and returns of Python and C functions; half of them belong to the checks of the adapters.
    assert count_calls(many) / len(many) < 400
