"""From a cause about RDMA down to fabric, objects, nodes and pods, each with what was seen there."""

from typing import Any, Final

import pytest

from inference_cache.domain.attachment import Variant
from inference_cache.domain.explain import explain
from inference_cache.domain.explanation import Explanation, Observation, State
from inference_cache.domain.node_evidence import NodeEvidence
from inference_cache.domain.pod_transport import Make, PodTransport
from inference_cache.domain.preflight_report import Evidence, PreflightReport
from inference_cache.domain.reasons import Reason
from inference_cache.domain.remedies import Target
from inference_cache.domain.summary import Outcome, summarize
from inference_cache.domain.verdict import ConditionType, Truth, Verdict, bad, ok
from inference_cache.domain.workload_state import WorkloadState
from tests.support.builders import build_node, build_pod, build_sample_scope, build_spec

_NOW: Final = "2026-01-01T00:00:00Z"
_TARGET: Final = Target("inference", "nemotron-70b", "inference-cache-system")
_RUNNING: Final = ok(ConditionType.WORKLOAD_AVAILABLE, Reason.PodsReady)
_NODES: Final = ok(ConditionType.NODES_ELIGIBLE, Reason.NodesAvailable)
_SERVING: Final = WorkloadState(True, True, 2, 2, 2, 2, Make("new"))
_DIALECT: Final = {"cache.tiers.1.objectStore.rdmaDialect": "Dell"}
_BY_FABRIC: Final = {**_DIALECT, "transport": {"fabricRef": {"name": "storage"}}}
_REQUIRED: Final = {**_DIALECT, "transport": {"policy": "RequireRDMA", "rdma": {"resourceName": "rdma/storage"}}}
_REQUIRED_FABRIC: Final = {**_DIALECT, "transport": {"policy": "RequireRDMA", "fabricRef": {"name": "storage"}}}


def _degraded(reason: Reason, text: str = "") -> Verdict:
    return Verdict(ConditionType.TRANSPORT_DEGRADED, Truth.TRUE, reason, text or reason.meaning)


def _explain(
    *checks: Verdict,
    changes: dict[str, Any],
    notes: tuple[Verdict, ...] = (),
    counts: dict[str, Any] | None = None,
    transport: dict[str, Any] | None = None,
    outcome: dict[str, Any] | None = None,
    **seen: Any,
) -> Explanation:
    known: dict[str, Any] = {"workload": _RUNNING, "state": _SERVING, **(outcome or {})}
    status = summarize(Outcome("nemotron-70b", 1, build_sample_scope(), checks, notes=notes, **known), None, _NOW)
    if counts is not None:
        status["nodes"] = counts
    if transport is not None:
        status["transport"] = transport
    body = {
        "metadata": {"name": "nemotron-70b", "namespace": "inference", "generation": 1, "creationTimestamp": _NOW},
        "spec": build_spec(changes),
        "status": status,
    }
    return explain(Observation(body, **seen), _TARGET)


def _chain(found: Explanation) -> list[tuple[str, str, str]]:
    return [(link.subject, link.status, link.reason) for link in found.chain]


def _fabric(*conditions: tuple[str, str, str], objects: Any = None, faulty: Any = None) -> dict[str, Any]:
    generation = 1
    listed = [
        {
            "type": kind,
            "status": status,
            "reason": reason,
            "message": f"{reason} it is.",
            "observedGeneration": generation,
        }
        for kind, status, reason in conditions
    ]
    nodes = {"selected": 2, "ready": 0, "faulty": faulty or []}
    return {
        "metadata": {"name": "storage", "uid": "u", "resourceVersion": "1", "generation": generation},
        "spec": {"mode": "Reference", "type": "SRIOVEthernet", "resourceName": "nvidia.com/storage_vf"},
        "status": {"conditions": listed, "objects": objects or [], "nodes": nodes},
    }


def _pod(number: int, transport: Variant, reason: Reason | None, detail: str = "") -> Any:
    report = PreflightReport(transport, Evidence.NONE, reason, detail)
    return build_pod(number, variant=Variant.RDMA, transport=PodTransport(preflight=report))


def test_pods_on_tcp_where_rdma_is_preferred_are_degraded_by_what_nodes_miss() -> None:
    found = _explain(
        _NODES,
        changes={**_DIALECT, "transport": {"rdma": {"resourceName": "rdma/storage"}}},
        notes=(_degraded(Reason.RDMAUnavailable, "2 of 2 pods need a place with RDMA, and 0 fit."),),
        counts={
            "candidates": 4,
            "eligible": 4,
            "rdma": 0,
            "withoutRdma": [{"reason": "RDMAResourceZero", "count": 4, "examples": ["gpu-3"]}],
        },
        transport={"decision": "TCP", "effective": "TCP", "evidence": "None"},
        nodes=(NodeEvidence(build_node("gpu-3", resources={"rdma/storage": 0})),),
    )
    assert found.state is State.DEGRADED
    assert _chain(found) == [
        ("Ready", "True", "Ready"),
        ("TransportDegraded", "True", "RDMAUnavailable"),
        ("Nodes", "False", "RDMAResourceZero"),
    ]
    assert "4 nodes, for instance gpu-3: 0 rdma/storage by Node" in found.chain[-1].message
    assert "serves, but not over RDMA as its spec prefers (pods run over TCP): RDMAUnavailable" in found.summary
    assert "spec.nodeName=gpu-3" in str(found.fixes[0]), "the first fix is that of the node's reason"


def test_preflight_of_pods_ends_the_chain_with_those_of_the_cause_first() -> None:
    pods = (
        _pod(0, Variant.TCP, Reason.NoFabricAddress, "net1 has no address"),
        _pod(1, Variant.RDMA, None),
        _pod(2, Variant.TCP, Reason.MemlockTooLow, "65536 bytes of 1.2 TiB"),
    )
    found = _explain(
        _NODES,
        changes=_BY_FABRIC,
        notes=(_degraded(Reason.MemlockTooLow),),
        transport={"decision": "RDMA", "effective": "RDMA 1, TCP 2", "evidence": "Unverified"},
        pods=pods,
    )
    assert [(link.subject, link.status, link.reason) for link in found.chain[2:]] == [
        ("Pod nemotron-70b-2", "on TCP", "MemlockTooLow"),
        ("Pod nemotron-70b-0", "on TCP", "NoFabricAddress"),
    ]
    assert found.chain[2].message == "65536 bytes of 1.2 TiB"
    assert "LimitMEMLOCK" in found.fixes[0].why
    assert (found.effect or {})["transport"] == "RDMA 1, TCP 2 (unverified)"


@pytest.mark.parametrize("changes", [_REQUIRED_FABRIC, _BY_FABRIC], ids=["required", "preferred"])
def test_fabric_is_followed_to_its_condition_and_its_objects(changes: dict[str, Any]) -> None:
    message = "InferenceCacheFabric storage: FabricObjectsMissing: SriovNetwork is missing."
    fabric = _fabric(
        ("Ready", "False", "FabricObjectsMissing"),
        ("Stalled", "True", "FabricObjectsMissing"),
        ("SpecValid", "True", "SpecAccepted"),
        ("ObjectsReady", "False", "FabricObjectsMissing"),
        objects=[
            {"kind": "SriovNetwork", "namespace": "ops", "name": "a", "state": "Missing", "reason": "NetworkNotFound"},
            {"kind": "SriovNetwork", "namespace": "ops", "name": "b", "state": "Present"},
        ],
    )
    if changes is _REQUIRED_FABRIC:
        check = bad(ConditionType.NETWORK_READY, Reason.FabricNotReady, message)
        found = _explain(_NODES, check, changes=changes, outcome={"workload": None, "state": None}, fabric=fabric)
        head = [("Ready", "False", "FabricNotReady"), ("NetworkReady", "False", "FabricNotReady")]
        assert found.state is State.BROKEN
    else:
        notes = (_degraded(Reason.FabricNotReady, message),)
        found = _explain(_NODES, changes=changes, notes=notes, fabric=fabric)
        head = [("Ready", "True", "Ready"), ("TransportDegraded", "True", "FabricNotReady")]
        assert found.state is State.DEGRADED
    assert _chain(found) == [
        *head,
        ("ObjectsReady of fabric storage", "False", "FabricObjectsMissing"),
        ("SriovNetwork ops/a", "Missing", "NetworkNotFound"),
    ]
    assert "kubectl describe icf storage" in str(found.fixes[0])
    assert "mode Manage" in str(found.fixes[1]), "what is mended is the fabric's own cause"


def test_nodes_of_the_fabric_are_named_in_what_mends_it() -> None:
    faulty = [{"reason": "LinkDown", "count": 1, "examples": ["gpu-7"]}]
    fabric = _fabric(("Ready", "False", "LinkDown"), ("NodesReady", "False", "LinkDown"), faulty=faulty)
    check = bad(ConditionType.NETWORK_READY, Reason.FabricNotReady)
    found = _explain(check, changes=_REQUIRED_FABRIC, outcome={"workload": None, "state": None}, fabric=fabric)
    assert _chain(found)[-1] == ("NodesReady of fabric storage", "False", "LinkDown")
    assert "node/gpu-7" in str(found.fixes)


def test_fabric_that_could_not_be_read_leaves_the_remedy_of_the_condition() -> None:
    check = bad(ConditionType.NETWORK_READY, Reason.FabricNotReady)
    found = _explain(
        check,
        changes=_REQUIRED_FABRIC,
        outcome={"workload": None, "state": None},
        unread=("you may not get inferencecachefabrics storage",),
    )
    assert _chain(found)[-1] == ("NetworkReady", "False", "FabricNotReady")
    assert "kubectl describe icf storage" in str(found.fixes)
    assert found.unread


def test_required_rdma_that_nodes_miss_is_mended_node_by_node() -> None:
    counts = {
        "candidates": 2,
        "eligible": 0,
        "ineligible": [{"reason": "RDMAModulesMissing", "count": 2, "examples": ["gpu-1", "gpu-2"]}],
    }
    found = _explain(
        bad(ConditionType.NODES_ELIGIBLE, Reason.NoEligibleNodes),
        changes=_REQUIRED,
        outcome={"workload": None, "state": None},
        counts=counts,
    )
    assert _chain(found)[-1] == ("Nodes", "False", "RDMAModulesMissing")
    assert "node/gpu-1" in str(found.fixes[0])


QUIET: dict[str, tuple[Verdict, list[str]]] = {
    "pods have not told yet": (
        Verdict(ConditionType.TRANSPORT_DEGRADED, Truth.UNKNOWN, Reason.TransportUnknown, "0 of 2 have told."),
        [],
    ),
    "as wanted": (Verdict(ConditionType.TRANSPORT_DEGRADED, Truth.FALSE, Reason.TransportAsWanted, "RDMA."), []),
    "RDMA is back": (_degraded(Reason.RDMARecovered), ["RDMARecovered"]),
    "drivers are rolled out": (_degraded(Reason.RDMARolloutConverging), ["RDMARolloutConverging"]),
}


@pytest.mark.parametrize("case", QUIET)
def test_what_passes_or_can_wait_leaves_a_deployment_healthy(case: str) -> None:
    note, others = QUIET[case]
    found = _explain(_NODES, changes=_BY_FABRIC, notes=(note,))
    assert found.state is State.HEALTHY
    assert [other.link.reason for other in found.others] == others


def test_network_that_rdma_would_need_is_no_cause_of_pods_that_are_missing() -> None:
    network = bad(ConditionType.NETWORK_READY, Reason.NetworkNotFound)
    crashing = bad(ConditionType.WORKLOAD_AVAILABLE, Reason.PodsCrashing)
    found = _explain(
        _NODES, changes=_BY_FABRIC, notes=(network, _degraded(Reason.NetworkNotFound)), outcome={"workload": crashing}
    )
    assert found.chain[-1].reason == "PodsCrashing"
    assert {other.link.subject for other in found.others} == {"NetworkReady", "TransportDegraded"}


def test_network_is_not_told_twice_where_it_is_why_pods_use_tcp() -> None:
    network = bad(ConditionType.NETWORK_READY, Reason.NetworkNotFound)
    found = _explain(_NODES, changes=_BY_FABRIC, notes=(network, _degraded(Reason.NetworkNotFound)))
    assert (found.chain[-1].subject, found.others) == ("TransportDegraded", ())


def test_trouble_of_the_store_comes_before_that_of_the_transport() -> None:
    denied = bad(ConditionType.OBJECT_STORE_READY, Reason.AccessDenied)
    found = _explain(_NODES, denied, changes=_BY_FABRIC, notes=(_degraded(Reason.NoRDMADevice),))
    assert found.chain[-1].reason == "AccessDenied"
    assert "its cache does not work" in found.summary
    assert [other.link.reason for other in found.others] == ["NoRDMADevice"]


def test_pods_that_required_rdma_keeps_from_starting_are_told() -> None:
    held = bad(ConditionType.WORKLOAD_AVAILABLE, Reason.NoRDMADevice, "Pod nemotron-70b-1, container preflight.")
    found = _explain(
        _NODES,
        changes=_REQUIRED,
        notes=(_degraded(Reason.NoRDMADevice),),
        outcome={"workload": held},
        pods=(_pod(0, Variant.RDMA, None), _pod(1, Variant.NONE, Reason.NoRDMADevice, "no uverbs device")),
    )
    assert found.state is State.BROKEN
    assert _chain(found)[1:] == [
        ("WorkloadAvailable", "False", "NoRDMADevice"),
        ("Pod nemotron-70b-1", "without RDMA", "NoRDMADevice"),
    ]
    assert "kubectl -n inference logs nemotron-70b-1 -c preflight" in str(found.fixes)
    assert found.others == (), "the transport says the same"
