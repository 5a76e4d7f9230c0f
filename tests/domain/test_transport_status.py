"""What status says of the transport: counts by each pod's own word, and causes with the most frequent first."""

from dataclasses import replace
from typing import Any

import pytest

from inference_cache.api.transport import Recovery, TransportPolicy
from inference_cache.domain.attachment import TCP_ONLY, Attachment, TransportChoice, Variant
from inference_cache.domain.pod_facts import PodFacts
from inference_cache.domain.pod_transport import PodTransport
from inference_cache.domain.preflight_report import Evidence, PreflightReport
from inference_cache.domain.reasons import Reason
from inference_cache.domain.transport import TransportDecision
from inference_cache.domain.transport_intent import Intent
from inference_cache.domain.transport_status import (
    STARVED_SECONDS,
    STUCK_SECONDS,
    check_degraded,
    count_placed,
    find_starvation,
    summarize_plain_transport,
    summarize_transport,
)
from inference_cache.domain.verdict import ConditionType, Truth, bad
from tests.support.builders import build_pod

AUTO = Intent(TransportPolicy.AUTO, asked=True, recovery=Recovery.NEXT_RESTART)
ATTACHMENT = Attachment("storage", "nvidia.com/vf", None, 1, (), per_network=False, link_type=None)
RDMA = TransportDecision(TransportChoice(Variant.RDMA, ATTACHMENT))
TCP = TransportDecision(TCP_ONLY, degraded=(Reason.RDMAUnavailable, "2 of 2 pods need a node with RDMA."))
NOW = 10_000.0


def _report(transport: Variant, evidence: Evidence = Evidence.NONE, reason: Reason | None = None) -> PreflightReport:
    return PreflightReport(transport, evidence, reason, "no uverbs" if reason else "", ("mlx5_2 ACTIVE",))


def _pod(ordinal: int, report: PreflightReport | None = None, **facts: Any) -> PodFacts:
    """Return a pod made for RDMA."""
    told = PodTransport(interfaces=("net1 192.168.10.7 mlx5_2",), preflight=report, fault=facts.pop("fault", None))
    known: dict[str, Any] = {
        "ready": report is not None,
        "variant": Variant.RDMA,
        "workload_hash": "abc",
        "transport": told,
    }
    return build_pod(ordinal, **(known | facts))


def _tcp(ordinal: int, **facts: Any) -> PodFacts:
    return build_pod(ordinal, variant=Variant.TCP, workload_hash="abc", **facts)


PROVEN = _report(Variant.RDMA, Evidence.PROVEN)
UNPROVEN = _report(Variant.RDMA, Evidence.UNVERIFIED, Reason.RDMATransferUnproven)
FALLEN = _report(Variant.TCP, reason=Reason.NoRDMADevice)
OTHER = _report(Variant.TCP, reason=Reason.NoFabricAddress)
_BYPASSED = (Reason.NetworkBypassed, "Pod nemotron-70b-0 runs without net1.")

_DEGRADED: dict[str, tuple[TransportDecision, list[PodFacts], Truth, Reason, str]] = {
    "pods are rendered for TCP": (TCP, [_tcp(0)], Truth.TRUE, Reason.RDMAUnavailable, "need a node"),
    "no pod is wanted": (RDMA, [], Truth.UNKNOWN, Reason.TransportUnknown, "No pod is wanted."),
    "pods start": (RDMA, [_pod(0, PROVEN), _pod(1)], Truth.UNKNOWN, Reason.TransportUnknown, "1 of 2 pods have told"),
    "pods of an older specification remain": (
        RDMA,
        [_pod(0, PROVEN), build_pod(1)],
        Truth.UNKNOWN,
        Reason.TransportUnknown,
        "1 of 2 pods have told",
    ),
    "every pod has moved bytes": (
        RDMA,
        [_pod(0, PROVEN), _pod(1, PROVEN)],
        Truth.FALSE,
        Reason.TransportAsWanted,
        "The preflight of 2 of 2 pods found RDMA.",
    ),
    "nobody has moved bytes": (
        RDMA,
        [_pod(0, PROVEN), _pod(1, UNPROVEN)],
        Truth.FALSE,
        Reason.TransportAsWanted,
        "In 1 of them no bytes were moved",
    ),
    "one pod fell back": (
        RDMA,
        [_pod(0, PROVEN), _pod(1, FALLEN)],
        Truth.TRUE,
        Reason.NoRDMADevice,
        "1 of 2 pods do not use RDMA: 1 NoRDMADevice (for instance nemotron-70b-1: no uverbs).",
    ),
    "the most frequent cause comes first": (
        RDMA,
        [_pod(0, FALLEN), _pod(1, OTHER), _pod(2, OTHER), _tcp(3)],
        Truth.TRUE,
        Reason.NoFabricAddress,
        "4 of 4 pods do not use RDMA: 2 NoFabricAddress (for instance nemotron-70b-1: no uverbs); 1 NoRDMADevice (for instance nemotron-70b-0: no uverbs); 1 RDMARecovered (for instance nemotron-70b-3: made for TCP).",
    ),
    "pods on TCP wait for a restart": (
        RDMA,
        [_pod(0, PROVEN), _tcp(1)],
        Truth.TRUE,
        Reason.RDMARecovered,
        "1 of 2 pods do not use RDMA: 1 RDMARecovered",
    ),
    "Multus was bypassed": (
        RDMA,
        [_pod(0, FALLEN, fault=_BYPASSED)],
        Truth.TRUE,
        Reason.NetworkBypassed,
        "runs without net1",
    ),
    "a pod that ends does not count": (
        RDMA,
        [_pod(0, PROVEN), _pod(1, FALLEN, terminating=True)],
        Truth.FALSE,
        Reason.TransportAsWanted,
        "1 of 1",
    ),
    "the preflight holds a pod that requires RDMA": (
        RDMA,
        [_pod(0, _report(Variant.NONE, reason=Reason.MemlockTooLow), ready=False)],
        Truth.TRUE,
        Reason.MemlockTooLow,
        "1 MemlockTooLow",
    ),
}


@pytest.mark.parametrize(("decision", "pods", "status", "reason", "text"), _DEGRADED.values(), ids=_DEGRADED.keys())
def test_degraded_when(
    decision: TransportDecision, pods: list[PodFacts], status: Truth, reason: Reason, text: str
) -> None:
    verdict = check_degraded(AUTO, decision, pods, sum(not pod.terminating for pod in pods))
    assert verdict is not None
    assert (verdict.status, verdict.reason) == (status, reason)
    assert text in verdict.message
    assert len(verdict.message) <= 1024


@pytest.mark.parametrize(
    "refused", [[], [_pod(1, refused="TopologyAffinityError")], [_pod(1)]], ids=["gone", "refused", "there"]
)
def test_pod_that_is_missing_has_not_told(refused: list[PodFacts]) -> None:
    verdict = check_degraded(AUTO, RDMA, [_pod(0, PROVEN), *refused], 2)
    assert verdict is not None
    assert (verdict.status, verdict.message.partition(":")[0]) == (Truth.UNKNOWN, "1 of 2 pods have told")


def test_nobody_who_asks_for_no_rdma_is_degraded() -> None:
    assert check_degraded(replace(AUTO, asked=False), TransportDecision(TCP_ONLY), [build_pod(0)], 1) is None


def test_pods_on_rdma_are_told_where_new_ones_get_tcp() -> None:
    verdict = check_degraded(AUTO, TCP, [_pod(0, PROVEN), _pod(1, PROVEN)], 2)
    assert verdict is not None
    assert (verdict.status, verdict.reason) == (Truth.TRUE, Reason.RDMAUnavailable)
    assert verdict.message == (
        "2 of 2 pods run RDMA and keep it; new pods get TCP because of RDMAUnavailable: "
        f"2 of 2 pods need a node with RDMA. {Reason.RDMAUnavailable.remedy}"
    )


@pytest.mark.parametrize("recovery", Recovery)
def test_recovery_is_advised_only_where_it_is_not_set(recovery: Recovery) -> None:
    verdict = check_degraded(replace(AUTO, recovery=recovery), RDMA, [_pod(0, PROVEN), _tcp(1)], 2)
    assert verdict is not None
    assert verdict.reason is Reason.RDMARecovered
    assert ("set transport.recovery" in verdict.message) is (recovery is not Recovery.IMMEDIATE)


def test_check_that_holds_the_first_pods_back_is_named() -> None:
    blocker = bad(ConditionType.NETWORK_READY, Reason.NetworkNotFound)
    verdict = check_degraded(AUTO, RDMA, [], 2, blocker)
    assert verdict is not None
    assert (verdict.status, verdict.reason) == (Truth.UNKNOWN, Reason.TransportUnknown)
    assert verdict.message == "No pod is created because NetworkReady is False (NetworkNotFound)."


@pytest.mark.parametrize(("has_store", "expected"), [(True, "TCP"), (False, "None")])
def test_plain_transport(has_store: bool, expected: str) -> None:
    found = summarize_plain_transport(has_store=has_store)
    assert (found.decision, found.effective, found.evidence) == (expected, expected, "None")
    assert (found.pods, found.attachments) == (None, None)


def test_long_causes_are_cut() -> None:
    told = replace(FALLEN, detail="x" * 1024)
    pods = [_pod(n, replace(told, reason=reason)) for n, reason in enumerate(Reason)]
    verdict = check_degraded(AUTO, RDMA, pods, len(pods))
    assert verdict is not None
    assert len(verdict.message) == 1024


_STATUS: dict[str, tuple[TransportDecision, list[PodFacts], bool, bool, str, str, str]] = {
    "RDMA": (RDMA, [_pod(0, PROVEN), _pod(1, PROVEN)], True, True, "RDMA", "RDMA", "Proven"),
    "one pod proves nothing for the other": (RDMA, [_pod(0, PROVEN), _pod(1, UNPROVEN)], True, True, "RDMA", "RDMA", "Unverified"),
    "mixed": (RDMA, [_pod(0, UNPROVEN), _pod(1, FALLEN), _tcp(2), _pod(3)], True, True, "RDMA", "RDMA 1, TCP 2, Unknown 1", "Unverified"),
    "TCP": (TCP, [_tcp(0), _tcp(1)], True, True, "TCP", "TCP", "None"),
    "TCP by policy": (TransportDecision(TCP_ONLY), [build_pod(0)], False, True, "TCP", "TCP", "None"),
    "no object store": (TransportDecision(TCP_ONLY), [build_pod(0)], True, False, "None", "None", "None"),
    "no pods": (RDMA, [], True, True, "RDMA", "no pods", "None"),
    "a pod that does not start": (RDMA, [_pod(0, _report(Variant.NONE, reason=Reason.NoRDMADevice), ready=False)], True, True, "RDMA", "Unknown", "None"),
    "a pod without the object store tier": (RDMA, [_pod(0, _report(Variant.NONE, reason=Reason.NoRDMADevice))], True, True, "RDMA", "None", "None"),
    "an older pod that starts": (RDMA, [build_pod(0, ready=False)], True, True, "RDMA", "Unknown", "None"),
}  # fmt: skip


@pytest.mark.parametrize(
    ("decision", "pods", "asked", "has_store", "decided", "effective", "evidence"), _STATUS.values(), ids=_STATUS.keys()
)
def test_status_when(
    decision: TransportDecision,
    pods: list[PodFacts],
    asked: bool,
    has_store: bool,
    decided: str,
    effective: str,
    evidence: str,
) -> None:
    found = summarize_transport(replace(AUTO, asked=asked), decision, pods, has_store=has_store)
    assert (found.decision, found.effective, found.evidence) == (decided, effective, evidence)
    assert sum(item.count for item in found.pods or []) == len(pods)


def test_attachments_show_trouble_first_and_are_bounded() -> None:
    pods = [_pod(n, PROVEN) for n in range(12)] + [_pod(12, FALLEN)]
    found = summarize_transport(AUTO, RDMA, pods, has_store=True)
    assert found.attachments is not None
    assert len(found.attachments) == 10
    first = found.attachments[0]
    assert (first.pod, first.cause, first.devices) == ("nemotron-70b-12", "NoRDMADevice", ["mlx5_2 ACTIVE"])
    assert first.interfaces == ["net1 192.168.10.7 mlx5_2"]
    assert found.pods is not None
    assert [(item.transport, item.count, item.examples) for item in found.pods] == [
        ("RDMA", 12, [f"nemotron-70b-{n}" for n in range(3)]),
        ("TCP", 1, ["nemotron-70b-12"]),
    ]


def test_rdma_pods_with_a_node_have_their_place_even_while_they_end() -> None:
    pods = [
        _pod(0, PROVEN),
        _pod(1, terminating=True),
        _pod(2, node=""),
        _pod(3, refused="TopologyAffinityError"),
        _tcp(4),
        _pod(5),
    ]
    assert count_placed(pods, 5) == 2


_LACKING = (Reason.PodsUnschedulable, "Pod nemotron-70b-0: 0/4 nodes are available: 4 Insufficient nvidia.com/vf.")
_FULL = (Reason.PodsUnschedulable, "Pod nemotron-70b-0: 0/4 nodes are available: 4 Insufficient nvidia.com/gpu.")
_CLAIM = (
    Reason.PodsUnschedulable,
    "Pod nemotron-70b-0: 0/4 nodes are available: 4 cannot allocate all claims.",
)

_WAITS: dict[str, tuple[dict[str, Any], Attachment | None, Reason | None, float | None]] = {
    "no pod waits": ({"waits_since": None}, ATTACHMENT, None, None),
    "for devices, just now": ({"node": "", "problem": _LACKING, "waits_since": NOW - 10}, ATTACHMENT, None, STARVED_SECONDS - 10),
    "for devices, long": ({"node": "", "problem": _LACKING, "waits_since": NOW - 30}, ATTACHMENT, Reason.RDMAResourceExhausted, None),
    "for GPUs": ({"node": "", "problem": _FULL, "waits_since": NOW - 900}, ATTACHMENT, None, None),
    "for a claim": ({"node": "", "problem": _CLAIM, "waits_since": NOW - 30}, replace(ATTACHMENT, resource_name=None, device_class="x"), Reason.RDMAResourceExhausted, None),
    "for devices nobody can name": ({"node": "", "problem": _LACKING, "waits_since": NOW - 30}, None, None, None),
    "for its network, just now": ({"waits_since": NOW - 100}, ATTACHMENT, None, STUCK_SECONDS - 100),
    "for its network, long": ({"waits_since": NOW - 300}, ATTACHMENT, Reason.RDMAUnavailable, None),
    "while it ends": ({"waits_since": NOW - 300, "terminating": True}, ATTACHMENT, None, None),
}  # fmt: skip


@pytest.mark.parametrize(("facts", "attachment", "reason", "look_again"), _WAITS.values(), ids=_WAITS.keys())
def test_pod_waits(
    facts: dict[str, Any], attachment: Attachment | None, reason: Reason | None, look_again: float | None
) -> None:
    found = find_starvation([_pod(0, ready=False, **facts)], attachment, NOW)
    assert (found.finding[0] if found.finding else None, found.look_again) == (reason, look_again)
    waiting_on_tcp = _tcp(0, ready=False, **{key: value for key, value in facts.items() if key != "fault"})
    assert find_starvation([waiting_on_tcp], attachment, NOW).finding is None
