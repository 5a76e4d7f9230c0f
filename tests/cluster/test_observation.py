"""What a pass learns of its surroundings: what it waits for, what blocks, and what it remembers until the next pass."""

import asyncio
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from inference_cache.cluster.node_reviews import NodeReviewer
from inference_cache.cluster.observation import Observation, Observer
from inference_cache.domain import kinds
from inference_cache.domain.attachment import Variant
from inference_cache.domain.desired import build_desired
from inference_cache.domain.eligibility import Placement
from inference_cache.domain.fabric.facts import FabricFacts, project_fabric
from inference_cache.domain.fabric.networks import NetworkFacts
from inference_cache.domain.kinds import STATEFUL_SET, Kind
from inference_cache.domain.live import Live
from inference_cache.domain.node_evidence import EvidenceSources, NodeEvidence
from inference_cache.domain.pod_facts import PodFacts
from inference_cache.domain.reasons import Reason
from inference_cache.domain.scope import Scope
from inference_cache.domain.verdict import AnyCondition, ConditionType, Truth, bad
from tests.support.builders import IDENTITY, build_node, build_pod, build_sample_scope, observe

VF = "nvidia.com/vf"
KEY = (IDENTITY.namespace, IDENTITY.name)
_CLIENT = {
    "cache.tiers.1.objectStore.rdmaDialect": "Dell",
    "cache.tiers.0.memory.size": "4000Mi",
    "model.maxModelLen": 1024,
}
AUTO = {**_CLIENT, "transport": {"fabricRef": {"name": "storage"}}}
REQUIRE = {**_CLIENT, "transport": {"policy": "RequireRDMA", "fabricRef": {"name": "storage"}}}


def _fabric(**spec: Any) -> FabricFacts:
    known = {"mode": "Reference", "type": "SRIOVEthernet", "resourceName": VF, "networks": [{"name": "rail-a"}]}
    metadata = {"name": "storage", "uid": "f", "resourceVersion": "1", "generation": 1}
    return project_fabric({"metadata": metadata, "spec": known | spec})


@dataclass
class _Evidence:
    devices: int = 16
    settled: bool = True
    version: int = 1
    sources: EvidenceSources = field(default_factory=EvidenceSources)

    def find(self, name: str) -> NodeEvidence:
        return NodeEvidence(build_node(name, resources={VF: self.devices} if self.devices else {}))

    def nodes(self) -> Iterator[NodeEvidence]:
        return (self.find(f"node-{number}") for number in range(2))


@dataclass
class _Fabrics:
    facts: FabricFacts | None = field(default_factory=_fabric)
    known: bool = True
    networks_served: bool | None = True
    unread: list[Kind] = field(default_factory=list)
    refused: dict[Kind, str] = field(default_factory=dict)
    attached: dict[tuple[str, str], NetworkFacts] = field(default_factory=dict)
    enforced: str | None = "privileged"

    def fabric(self, name: str) -> FabricFacts | None:
        assert name == "storage"
        return self.facts

    def network(self, namespace: str, name: str) -> NetworkFacts | None:
        return self.attached.get((namespace, name))

    def pod_security(self, namespace: str) -> str | None:
        assert namespace == IDENTITY.namespace
        return self.enforced

    def find_unread(self, wanted: frozenset[Kind]) -> list[Kind]:
        return [kind for kind in self.unread if kind in wanted]

    def serves(self, _kind: Kind) -> bool | None:
        return True

    async def device_class(self, name: str) -> bool | None:
        return name == "rdma.example"


@dataclass
class _Publisher:
    placement: Placement = Placement.ENFORCED
    registered: dict[Any, Any] = field(default_factory=dict)

    def register(self, key: Any, need: Any) -> None:
        self.registered[key] = need

    def find_placement(self, _key: Any) -> Placement:
        return self.placement

    def forget(self, key: Any) -> None:
        self.registered.pop(key, None)


@dataclass
class _Claims:
    known: bool = True


_RAIL = NetworkFacts(IDENTITY.namespace, "rail-a", VF, "sriov", "whereabouts", ("192.168.10.0/24",))


class _Bench:
    def __init__(self) -> None:
        self.evidence = _Evidence()
        self.fabrics = _Fabrics(attached={(IDENTITY.namespace, "rail-a"): _RAIL})
        self.publisher = _Publisher()
        self.claims = _Claims()
        self.now = 1000.0
        parts: tuple[Any, Any, Any, Any] = (self.evidence, self.fabrics, self.publisher, self.claims)
        evidence, fabrics, publisher, claims = parts
        reviewer = NodeReviewer(evidence, lambda: self.evidence.devices, lambda: self.now)
        self.observer = Observer(
            evidence, fabrics, reviewer, publisher, claims, lambda: self.now, lambda: self.now + 1e9
        )

    def observe(
        self, changes: dict[str, Any], workload: Live | None = None, pods: tuple[PodFacts, ...] = ()
    ) -> Observation:
        scope = build_sample_scope(changes)
        return asyncio.run(self.observer.observe(IDENTITY, scope, workload, pods))


def _workload(scope: Scope) -> Live:
    return observe(next(item for item in build_desired(scope) if item.kind is STATEFUL_SET))


def _verdicts(seen: Observation) -> dict[AnyCondition, tuple[Truth, Reason]]:
    found = (*seen.checks, *seen.list_notes([]))
    return {item.condition: (item.status, item.reason) for item in found}


def test_deployment_without_transport_has_no_conditions_of_it() -> None:
    bench = _Bench()
    bench.fabrics.known = False
    seen = bench.observe({})
    assert (seen.settled, seen.look_again, seen.scope.transport.variant) == (True, None, Variant.TCP)
    assert set(_verdicts(seen)) == {ConditionType.NODES_ELIGIBLE}
    assert seen.summarize_transport([]) == seen.summarize_transport([build_pod(0, ready=False)])
    assert seen.summarize_transport([]).effective == "TCP"
    assert KEY in bench.publisher.registered


def test_policy_tcp_is_told_and_asks_nobody() -> None:
    bench = _Bench()
    bench.fabrics.known = False
    seen = bench.observe({**_CLIENT, "transport": {"policy": "TCP"}})
    assert set(_verdicts(seen)) == {ConditionType.NODES_ELIGIBLE}
    status = seen.summarize_transport([build_pod(0)])
    assert (status.decision, status.effective) == ("TCP", "TCP")


@pytest.mark.parametrize("changes", [AUTO, REQUIRE], ids=["Auto", "RequireRDMA"])
def test_healthy_cluster_gives_rdma(changes: dict[str, Any]) -> None:
    seen = _Bench().observe(changes)
    assert seen.settled
    assert seen.scope.transport.variant is Variant.RDMA
    assert seen.scope.transport.attachment is not None
    assert _verdicts(seen)[ConditionType.NETWORK_READY] == (Truth.TRUE, Reason.NetworkAttached)
    assert seen.nodes is not None
    assert seen.nodes.rdma == 2


def test_missing_fabric_holds_required_rdma_and_is_why_auto_uses_tcp() -> None:
    bench = _Bench()
    bench.fabrics.facts = None
    required = bench.observe(REQUIRE)
    assert (Truth.FALSE, Reason.FabricNotFound) in [(item.status, item.reason) for item in required.checks]
    assert required.scope.transport.variant is Variant.RDMA
    auto = bench.observe(AUTO)
    assert [item.condition for item in auto.checks] == [ConditionType.NODES_ELIGIBLE]
    assert auto.scope.transport.variant is Variant.TCP
    found = _verdicts(auto)
    assert found[ConditionType.NETWORK_READY] == (Truth.FALSE, Reason.FabricNotFound)
    assert found[ConditionType.TRANSPORT_DEGRADED] == (Truth.TRUE, Reason.FabricNotFound)


def test_networks_that_may_not_be_read_are_no_finding() -> None:
    bench = _Bench()
    bench.fabrics.attached = {}
    bench.fabrics.refused = {kinds.NETWORK_ATTACHMENT: "forbidden"}
    assert bench.observe(AUTO).scope.transport.variant is Variant.RDMA
    bench.fabrics.refused = {}
    found = _verdicts(bench.observe(AUTO))
    assert found[ConditionType.TRANSPORT_DEGRADED] == (Truth.TRUE, Reason.NetworkNotFound)


def test_client_that_speaks_tcp_only_is_the_first_cause() -> None:
    bench = _Bench()
    bench.fabrics.attached = {}
    seen = bench.observe({"transport": {"fabricRef": {"name": "storage"}}})
    found = _verdicts(seen)
    assert found[ConditionType.NETWORK_READY] == (Truth.FALSE, Reason.ClientWithoutRDMA)
    assert found[ConditionType.TRANSPORT_DEGRADED] == (Truth.TRUE, Reason.ClientWithoutRDMA)


_WAITS: dict[str, Callable[[_Bench], None]] = {
    "nodes": lambda bench: setattr(bench.evidence, "settled", False),
    "fabrics": lambda bench: setattr(bench.fabrics, "known", False),
    "networks": lambda bench: bench.fabrics.unread.append(kinds.NETWORK_ATTACHMENT),
    "namespaces": lambda bench: bench.fabrics.unread.append(kinds.NAMESPACE),
}


@pytest.mark.parametrize("what", _WAITS)
def test_nothing_is_decided_before_the_first_list_of(what: str) -> None:
    bench = _Bench()
    _WAITS[what](bench)
    seen = bench.observe(AUTO)
    assert (seen.settled, seen.look_again) == (False, 1.0)
    bench.now += 31
    assert bench.observe(AUTO).settled, "patience ends"


def test_claims_are_awaited_where_they_are_needed() -> None:
    bench = _Bench()
    bench.claims.known = False
    assert bench.observe(AUTO).settled
    claims = {**_CLIENT, "transport": {"rdma": {"deviceClassName": "rdma.example"}}}
    assert not bench.observe(claims).settled
    bench.claims.known = True
    assert bench.observe(claims).settled


@pytest.mark.parametrize("changes", [{}, AUTO], ids=["no transport", "Auto"])
def test_nothing_is_written_before_somebody_has_looked_where_pods_may_run(changes: dict[str, Any]) -> None:
    bench = _Bench()
    bench.publisher.placement = Placement.UNKNOWN
    seen = bench.observe(changes)
    assert (seen.settled, seen.look_again) == (False, 0.5)
    bench.publisher.placement = Placement.PENDING
    pending = bench.observe(changes)
    assert pending.settled
    assert (Truth.UNKNOWN, Reason.PlacementPending) in [(item.status, item.reason) for item in pending.checks]


def test_shortage_is_remembered_from_pass_to_pass_and_forgotten_with_the_deployment() -> None:
    bench = _Bench()
    scope = bench.observe(AUTO).scope
    workload = _workload(scope)
    pods = (build_pod(0, variant=Variant.RDMA, workload_hash="abc"),)
    changes = {**AUTO, "replicas": 2}
    bench.evidence.devices = 0
    first = bench.observe(changes, workload, pods)
    assert (first.scope.transport.variant, first.look_again) == (Variant.RDMA, 30.0)
    bench.now += 29
    assert bench.observe(changes, workload, pods).scope.transport.variant is Variant.RDMA
    bench.observer.forget(KEY)
    assert bench.observe(changes, workload, pods).look_again == 30.0
    bench.now += 30
    fallen = bench.observe(changes, workload, pods)
    assert fallen.scope.transport.variant is Variant.TCP
    assert _verdicts(fallen)[ConditionType.TRANSPORT_DEGRADED] == (Truth.TRUE, Reason.RDMAUnavailable)


def test_node_of_a_pod_that_fell_back_is_judged_before_it_is_tried_again() -> None:
    bench = _Bench()
    seen = bench.observe(AUTO)
    retry = bench.observer.build_retry(seen)
    assert retry is not None
    assert retry.node_is_fine("node-1")
    bench.evidence.devices = 0
    assert not retry.node_is_fine("node-1")
    assert bench.observer.build_retry(bench.observe({})) is None


def test_fabric_that_says_of_itself_that_it_is_not_ready_holds_required_rdma_alone() -> None:
    bench = _Bench()
    assert bench.fabrics.facts is not None
    broken = replace(bench.fabrics.facts, ready=Truth.FALSE, reason=Reason.FabricRuleBroken)
    bench.fabrics.facts = broken
    assert (Truth.FALSE, Reason.FabricNotReady) in [
        (item.status, item.reason) for item in bench.observe(REQUIRE).checks
    ]
    assert bench.observe(AUTO).scope.transport.variant is Variant.RDMA


def test_check_that_keeps_the_first_pods_back_is_named() -> None:
    seen = _Bench().observe(AUTO)
    blocker = bad(ConditionType.OBJECT_STORE_READY, Reason.BucketNotFound)
    told = next(item for item in seen.list_notes([], blocker) if item.condition is ConditionType.TRANSPORT_DEGRADED)
    assert (told.status, told.reason) == (Truth.UNKNOWN, Reason.TransportUnknown)
    assert "ObjectStoreReady is False (BucketNotFound)" in told.message


def test_objects_of_other_namespaces_hold_nobody_back() -> None:
    bench = _Bench()
    assert bench.fabrics.facts is not None
    bench.fabrics.facts = replace(bench.fabrics.facts, ready=Truth.FALSE, reason=Reason.FabricObjectsMissing)
    assert (Truth.TRUE, Reason.NetworkAttached) in [
        (item.status, item.reason) for item in bench.observe(REQUIRE).checks
    ]


def test_no_pod_joins_a_fabric_that_is_being_deleted() -> None:
    bench = _Bench()
    assert bench.fabrics.facts is not None
    bench.fabrics.facts = replace(bench.fabrics.facts, deleting=True)
    seen = bench.observe(AUTO)
    assert seen.scope.transport.variant is Variant.TCP
    assert _verdicts(seen)[ConditionType.TRANSPORT_DEGRADED] == (Truth.TRUE, Reason.FabricDeleting)
    held = [item for item in bench.observe(REQUIRE).checks if item.condition is ConditionType.NETWORK_READY]
    assert [(item.status, item.reason) for item in held] == [(Truth.FALSE, Reason.FabricDeleting)]
