"""RDMA or TCP for a deployment: every row of the decision, and what no sequence of nodes may ever bring about."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inference_cache.api.transport import Recovery, TransportPolicy
from inference_cache.domain.attachment import Attachment, Variant
from inference_cache.domain.reasons import Reason
from inference_cache.domain.transport import (
    RECOVERY_SECONDS,
    SHORTAGE_SECONDS,
    STARVED_SECONDS,
    Demand,
    Finding,
    Intent,
    Memory,
    RDMASupply,
    State,
    TransportDecision,
    decide_transport,
)

AUTO = Intent(TransportPolicy.AUTO, asked=True, recovery=Recovery.NEXT_RESTART)
REQUIRE = replace(AUTO, policy=TransportPolicy.REQUIRE_RDMA)
ATTACHMENT = Attachment("storage", "nvidia.com/vf", None, 1, (), per_network=False, link_type=None)
NO_FABRIC = (Reason.FabricNotFound, "InferenceCacheFabric storage does not exist.")
NO_CLIENT = (Reason.ClientWithoutRDMA, "LMCacheS3 speaks TCP only.")
NO_NETWORK = (Reason.NetworkNotFound, "a/b does not exist.")
DELETING = (Reason.FabricDeleting, "InferenceCacheFabric storage is being deleted.")
STARVED = (Reason.RDMAResourceExhausted, "Pod x: 4 Insufficient nvidia.com/vf.")
NOW = 1000.0
ENOUGH = RDMASupply(nodes=4, capacity=4)
NONE = RDMASupply(nodes=0, capacity=0)
SOME = RDMASupply(nodes=1, capacity=1)


@dataclass(frozen=True)
class Case:
    """One row; everything that is not said is in order."""

    variant: Variant
    reason: Reason | None = None
    look_again: float | None = None
    intent: Intent = AUTO
    settled: bool = True
    obstacle: Finding | None = None
    attachment: Attachment | Finding = ATTACHMENT
    network: Sequence[Finding] = ()
    supply: RDMASupply = ENOUGH
    demand: Demand = field(default_factory=lambda: Demand(replicas=2))
    current: Variant | None = None
    memory: Memory = field(default_factory=Memory)

    def decide(self, now: float = NOW) -> TransportDecision:
        return decide_transport(
            self.intent,
            settled=self.settled,
            obstacle=self.obstacle,
            attachment=self.attachment,
            network=self.network,
            supply=self.supply,
            demand=self.demand,
            current=self.current,
            memory=self.memory,
            now=now,
        )


RDMA, TCP = Variant.RDMA, Variant.TCP
SERVING = Demand(replicas=2, placed=2, ready=2)
ONE_MISSING = Demand(replicas=2, placed=1, ready=1)
_LONG_SHORT = Memory(other_since=NOW - SHORTAGE_SECONDS)
_LONG_GOOD = Memory(other_since=NOW - RECOVERY_SECONDS, cause=(Reason.RDMAUnavailable, "none"))

CASES: dict[str, Case] = {
    "nobody asks for RDMA": Case(TCP, intent=replace(AUTO, asked=False), obstacle=NO_CLIENT),
    "Auto on a healthy cluster": Case(RDMA),
    "Auto with a client that speaks TCP only": Case(TCP, Reason.ClientWithoutRDMA, obstacle=NO_CLIENT),
    "Auto with a client that speaks TCP only, running on RDMA": Case(
        TCP, Reason.ClientWithoutRDMA, obstacle=NO_CLIENT, current=RDMA, demand=SERVING
    ),
    "Auto without the fabric": Case(TCP, Reason.FabricNotFound, attachment=NO_FABRIC),
    "Auto without the fabric, running on RDMA": Case(
        TCP, Reason.FabricNotFound, attachment=NO_FABRIC, current=RDMA, demand=SERVING
    ),
    "Auto with a network that does not exist": Case(TCP, Reason.NetworkNotFound, network=[NO_NETWORK]),
    "Auto with a network that went, running on RDMA": Case(
        RDMA, look_again=SHORTAGE_SECONDS, network=[NO_NETWORK], current=RDMA, demand=SERVING
    ),
    "Auto with a fabric that is being deleted": Case(TCP, Reason.FabricDeleting, network=[DELETING]),
    "Auto with a fabric that is being deleted, running on RDMA": Case(
        TCP, Reason.FabricDeleting, network=[DELETING], current=RDMA, demand=SERVING
    ),
    "RequireRDMA with a fabric that is being deleted": Case(RDMA, intent=REQUIRE, network=[DELETING]),
    "Auto without any node for RDMA": Case(TCP, Reason.RDMAUnavailable, supply=NONE),
    "Auto with too few nodes for RDMA": Case(TCP, Reason.RDMAPartial, supply=SOME),
    "Auto while drivers are rolled out": Case(TCP, Reason.RDMARolloutConverging, supply=replace(SOME, converging=True)),
    "Auto with exactly enough nodes": Case(RDMA, supply=RDMASupply(nodes=1, capacity=2)),
    "Auto with no pods wanted": Case(RDMA, supply=NONE, demand=Demand(replicas=0)),
    "devices gone under pods that run": Case(RDMA, supply=NONE, demand=SERVING, current=RDMA),
    "devices gone and one pod restarts": Case(
        RDMA, look_again=SHORTAGE_SECONDS, supply=NONE, demand=ONE_MISSING, current=RDMA
    ),
    "devices gone for half the time": Case(
        RDMA, look_again=15.0, supply=NONE, demand=ONE_MISSING, current=RDMA, memory=Memory(other_since=NOW - 15)
    ),
    "devices gone for long enough": Case(
        TCP, Reason.RDMAUnavailable, supply=NONE, demand=ONE_MISSING, current=RDMA, memory=_LONG_SHORT
    ),
    "devices gone and no pod serves": Case(
        TCP, Reason.RDMAUnavailable, supply=NONE, demand=Demand(replicas=2), current=RDMA
    ),
    "devices back before the time is up": Case(RDMA, demand=ONE_MISSING, current=RDMA, memory=_LONG_SHORT),
    "pods that wait for devices others have taken": Case(
        TCP,
        Reason.RDMAResourceExhausted,
        STARVED_SECONDS,
        demand=replace(ONE_MISSING, starved=STARVED),
        current=RDMA,
        memory=Memory(enough_since=NOW - SHORTAGE_SECONDS),
    ),
    "pods that have not got their devices yet": Case(
        RDMA,
        look_again=20.0,
        demand=replace(ONE_MISSING, starved=STARVED),
        current=RDMA,
        memory=Memory(enough_since=NOW - 10),
    ),
    "pods that wait for devices that are gone": Case(
        RDMA,
        look_again=SHORTAGE_SECONDS,
        supply=NONE,
        demand=replace(ONE_MISSING, starved=STARVED),
        current=RDMA,
        memory=Memory(enough_since=NOW - 900),
    ),
    "RDMA not tried again too soon": Case(
        TCP, Reason.RDMAResourceExhausted, 100.0, current=TCP, memory=Memory(None, None, NOW + 100, STARVED)
    ),
    "RDMA tried again in the end": Case(
        TCP, Reason.RDMAReturning, RECOVERY_SECONDS, current=TCP, memory=Memory(None, None, NOW, STARVED)
    ),
    "fabric still away on TCP": Case(TCP, Reason.RDMAUnavailable, supply=NONE, current=TCP, memory=_LONG_GOOD),
    "fabric just back on TCP": Case(
        TCP, Reason.RDMAReturning, RECOVERY_SECONDS, current=TCP, memory=Memory(cause=(Reason.RDMAPartial, "few"))
    ),
    "fabric back on TCP, cause forgotten": Case(TCP, Reason.RDMAReturning, RECOVERY_SECONDS, current=TCP),
    "fabric back for half the time": Case(
        TCP, Reason.RDMAReturning, 30.0, current=TCP, memory=Memory(other_since=NOW - 30)
    ),
    "fabric back for long enough": Case(RDMA, current=TCP, memory=_LONG_GOOD),
    "Auto before anything is known": Case(TCP, look_again=1.0, settled=False, supply=NONE),
    "Auto before anything is known, running on RDMA": Case(
        RDMA, look_again=1.0, settled=False, supply=NONE, current=RDMA, demand=ONE_MISSING
    ),
    "Auto before anything is known, running on TCP": Case(
        TCP, look_again=1.0, settled=False, current=TCP, memory=_LONG_GOOD
    ),
    "RequireRDMA on a healthy cluster": Case(RDMA, intent=REQUIRE),
    "RequireRDMA without the fabric": Case(RDMA, intent=REQUIRE, attachment=NO_FABRIC),
    "RequireRDMA without any node": Case(RDMA, intent=REQUIRE, supply=NONE, current=RDMA, memory=_LONG_SHORT),
    "RequireRDMA with a client that speaks TCP only": Case(RDMA, intent=REQUIRE, obstacle=NO_CLIENT),
    "RequireRDMA of a deployment on TCP": Case(RDMA, intent=REQUIRE, current=TCP, demand=SERVING),
    "RequireRDMA before anything is known": Case(RDMA, look_again=1.0, intent=REQUIRE, settled=False, supply=NONE),
}


@pytest.mark.parametrize("case", CASES.values(), ids=CASES.keys())
def test_decision_when(case: Case) -> None:
    decision = case.decide()
    reason = decision.degraded[0] if decision.degraded else None
    assert (decision.choice.variant, reason, decision.look_again) == (case.variant, case.reason, case.look_again)
    assert decision.state is (State.DECIDED if case.settled else State.UNSETTLED)
    assert decision.choice.required is (case.intent is REQUIRE)
    known = isinstance(case.attachment, Attachment) and decision.choice.variant is RDMA
    assert decision.choice.attachment is (case.attachment if known else None)


def test_shortage_is_told_with_its_numbers() -> None:
    decision = Case(TCP, supply=RDMASupply(1, 1, causes="1 of 4 nodes can.")).decide()
    assert decision.degraded is not None
    assert decision.degraded[1] == "2 of 2 pods need a place with RDMA, and 1 fit. 1 of 4 nodes can."


def test_full_nodes_are_told() -> None:
    decision = Case(TCP, supply=RDMASupply(1, 0, causes="1 of 4 nodes can.", places=3)).decide()
    assert decision.degraded == (
        Reason.RDMAPartial,
        "2 of 2 pods need a place with RDMA, and 0 fit. Pods hold 3 of the 3 places on nodes that can carry RDMA. 1 of 4 nodes can.",
    )


def test_what_was_mended_is_no_longer_the_reason() -> None:
    memory = Memory(cause=(Reason.RailsShareSubnet, "a and b both use 192.168.10.0/24."))
    decision = Case(TCP, current=TCP, memory=memory).decide()
    assert decision.degraded == (
        Reason.RDMAReturning,
        "RDMA can be had again; new pods use it once that has lasted for 60 s. Until now: RailsShareSubnet.",
    )


_SITUATIONS = st.builds(
    Case,
    variant=st.just(RDMA),
    settled=st.booleans(),
    obstacle=st.sampled_from([None, NO_CLIENT]),
    attachment=st.sampled_from([ATTACHMENT, NO_FABRIC]),
    network=st.sampled_from([(), (NO_NETWORK,)]),
    supply=st.builds(RDMASupply, st.integers(0, 3), st.integers(0, 6), st.booleans()),
    demand=st.builds(Demand, st.integers(0, 4), st.integers(0, 4), st.integers(0, 4), st.sampled_from([None, STARVED])),
)
_STEPS = st.lists(st.tuples(st.floats(0, 90), _SITUATIONS), max_size=20)
_BEFORE = st.sampled_from([None, RDMA, TCP])


def _walk(
    intent: Intent, steps: list[tuple[float, Case]], current: Variant | None
) -> list[tuple[float, TransportDecision]]:
    """Return the decisions of a sequence of situations, each applied before the next."""
    now, memory, found = NOW, Memory(), []
    for pause, situation in steps:
        now += pause
        decision = replace(situation, intent=intent, current=current, memory=memory).decide(now)
        found.append((now, decision))
        memory = decision.memory
        if decision.state is State.DECIDED:
            current = decision.choice.variant
    return found


@given(_STEPS, _BEFORE)
def test_required_rdma_never_becomes_tcp(steps: list[tuple[float, Case]], current: Variant | None) -> None:
    for _, decision in _walk(REQUIRE, steps, current):
        assert (decision.choice.variant, decision.choice.required, decision.degraded) == (RDMA, True, None)


@given(_STEPS, _BEFORE)
def test_auto_never_flips_back_within_the_hysteresis(steps: list[tuple[float, Case]], current: Variant | None) -> None:
    became_tcp: float | None = None
    before: Variant | None = None
    for now, decision in _walk(AUTO, steps, current):
        if decision.state is State.UNSETTLED:
            continue
        variant = decision.choice.variant
        assert (decision.degraded is not None) == (variant is TCP), "TCP always has a cause, and RDMA none"
        if before is TCP and variant is RDMA and became_tcp is not None:
            assert now - became_tcp >= RECOVERY_SECONDS
        if variant is TCP and before is not TCP:
            became_tcp = now
        before = variant


@given(_STEPS)
def test_serving_pods_keep_rdma_through_short_losses_of_nodes(steps: list[tuple[float, Case]]) -> None:
    now, memory = NOW, Memory()
    for pause, situation in steps:
        now = min(now + pause, NOW + SHORTAGE_SECONDS - 1)
        case = Case(RDMA, supply=situation.supply, demand=ONE_MISSING, current=RDMA, memory=memory)
        decision = case.decide(now)
        memory = decision.memory
        assert decision.choice.variant is RDMA
