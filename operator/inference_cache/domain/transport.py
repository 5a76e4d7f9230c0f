"""RDMA or TCP: which of the two kinds of pods is rendered for a deployment, and when that changes.

Decided here, for the whole deployment and by spec, fabric and counts of nodes alone; each RDMA pod then decides for itself in
its preflight. RequireRDMA never gets TCP pods. Auto never waits for RDMA: where it cannot be had, pods are made for TCP and
the cause is told. Nodes that come and go do not flip the decision: a shortage must last, and so must its end.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import Enum, auto
from typing import Final

from .attachment import TCP_ONLY, Attachment, TransportChoice, Variant
from .defaults import Settled
from .fabric.facts import FabricFacts
from .reasons import Reason
from .transport_intent import Finding, Intent, read_intent, resolve_attachment
from .transport_render import find_rdma_obstacle

__all__ = [
    "Demand",
    "Finding",
    "Intent",
    "Memory",
    "RDMASupply",
    "State",
    "TransportDecision",
    "decide_transport",
    "prefer_transport",
    "read_intent",
    "resolve_attachment",
]

SHORTAGE_SECONDS: Final = 30.0
"""For how long RDMA must be short before an existing deployment gets TCP pods."""
RECOVERY_SECONDS: Final = 60.0
"""For how long RDMA must be enough before new pods of an existing deployment get it again."""
STARVED_SECONDS: Final = 600.0
"""For how long pods are made for TCP after RDMA pods found no place or no network, whatever the nodes advertise."""
UNSETTLED_SECONDS: Final = 1.0
"""When to look again while the first facts about nodes and fabrics are still being read."""


@dataclass(frozen=True, slots=True)
class RDMASupply:
    """What the nodes can give.

    Attributes:
        nodes: Eligible nodes that can carry RDMA.
        capacity: Pods that still fit on them by GPUs and devices.
        converging: Whether drivers are still being rolled out.
        causes: Why other nodes cannot, for people.
        places: Pods that would fit if none ran there; 0 where nobody tells.
    """

    nodes: int
    capacity: int
    converging: bool = False
    causes: str = ""
    places: int = 0


@dataclass(frozen=True, slots=True)
class Demand:
    """The pods of a deployment, as far as the decision needs them.

    Attributes:
        replicas: Wanted pods.
        placed: RDMA pods that have their node and devices.
        ready: Pods that serve, over either transport.
        starved: Why RDMA pods that exist do not get a place or a network; None where they do.
    """

    replicas: int
    placed: int = 0
    ready: int = 0
    starved: Finding | None = None


@dataclass(frozen=True, slots=True)
class Memory:
    """What the operator remembers of a deployment between passes, in monotonic seconds; safe to lose.

    Attributes:
        other_since: Since when the variant that is not rendered would be preferred; None while it is not.
        enough_since: Since when nodes have had enough to give; None while they have not.
        starved_until: Until when RDMA is not tried again.
        cause: Why TCP is preferred, or was until lately.
    """

    other_since: float | None = None
    enough_since: float | None = None
    starved_until: float = 0.0
    cause: Finding | None = None


class State(Enum):
    """What comes of a decision."""

    DECIDED = auto()
    UNSETTLED = auto()
    """Too little is known yet: what runs stays as it is, and nothing is written for the deployment."""


@dataclass(frozen=True, slots=True)
class TransportDecision:
    """Which pods are rendered.

    Attributes:
        choice: For the scope.
        memory: For the next decision.
        degraded: Why the deployment as a whole has TCP although it asks for RDMA.
        look_again: Seconds until the decision may be another one without any news; None where only news change it.
    """

    choice: TransportChoice
    memory: Memory = Memory()
    degraded: Finding | None = None
    look_again: float | None = None
    state: State = State.DECIDED


def decide_transport(
    intent: Intent,
    *,
    settled: bool,
    obstacle: Finding | None,
    attachment: Attachment | Finding,
    network: Sequence[Finding],
    supply: RDMASupply,
    demand: Demand,
    current: Variant | None,
    memory: Memory,
    now: float,
) -> TransportDecision:
    """Return the variant for a deployment.

    Args:
        intent: What the spec asks for.
        settled: Whether nodes and fabrics were read completely once, or will not be.
        obstacle: Why the client of the store cannot speak RDMA.
        attachment: What a pod would get, or why nobody can tell.
        network: What speaks against the networks.
        supply: What the nodes can give.
        demand: The pods that there are and that are wanted.
        current: Variant of the StatefulSet's template; None where there is none, or one from before RDMA was asked for.
        memory: What the last decision left.
        now: Monotonic seconds.
    """
    if not intent.asked:
        return TransportDecision(TCP_ONLY)
    # Without an attachment nothing is applied for RequireRDMA, as NetworkReady holds it back; the variant is RDMA all
    # the same.
    rdma = TransportChoice(Variant.RDMA, attachment if isinstance(attachment, Attachment) else None, intent.required)
    if not settled:
        keep = rdma if intent.required or current is Variant.RDMA else TCP_ONLY
        return TransportDecision(keep, memory, look_again=UNSETTLED_SECONDS, state=State.UNSETTLED)
    if intent.required:
        return TransportDecision(rdma)
    if obstacle is not None:
        # A matter of the spec: nothing that happens in the cluster changes it.
        return TransportDecision(TCP_ONLY, degraded=obstacle)
    if not isinstance(attachment, Attachment):
        # Nobody can say what an RDMA pod would get, so there is nothing to hold on to.
        return _use_tcp(replace(memory, other_since=None, cause=attachment), attachment, now)
    shortage = _find_shortage(network, supply, demand)
    memory = _note_supply(memory, now, enough=shortage is None)
    starved = _find_starvation(demand, memory, now)
    if starved is not None:
        memory = replace(memory, starved_until=now + STARVED_SECONDS, cause=starved)
    cause = shortage or (memory.cause if memory.starved_until > now else None)
    if current is Variant.TCP:
        return _recover(rdma, cause, memory, now)
    # Where nobody serves, or pods have waited for a place already, nobody gains by waiting longer.
    # Nor does the one pod more that would keep a fabric from going.
    going = bool(network) and network[0][0] is Reason.FabricDeleting
    at_once = current is None or demand.ready == 0 or starved is not None or going
    decision = _keep_or_fall(rdma, cause, memory, now, at_once=at_once)
    if cause is None and demand.starved is not None and memory.enough_since is not None:
        return replace(decision, look_again=memory.enough_since + SHORTAGE_SECONDS - now)
    return decision


def _keep_or_fall(
    rdma: TransportChoice, cause: Finding | None, memory: Memory, now: float, *, at_once: bool
) -> TransportDecision:
    """Decide for a deployment whose pods are made for RDMA, or that has none yet."""
    if cause is None:
        return TransportDecision(rdma, replace(memory, other_since=None, cause=None))
    since = now if memory.other_since is None else memory.other_since
    left = since + SHORTAGE_SECONDS - now
    if at_once or left <= 0:
        return _use_tcp(replace(memory, other_since=None, cause=cause), cause, now)
    return TransportDecision(rdma, replace(memory, other_since=since, cause=cause), look_again=left)


def _recover(rdma: TransportChoice, cause: Finding | None, memory: Memory, now: float) -> TransportDecision:
    """Decide for a deployment whose pods are made for TCP."""
    if cause is not None:
        return _use_tcp(replace(memory, other_since=None, cause=cause), cause, now)
    since = now if memory.other_since is None else memory.other_since
    left = since + RECOVERY_SECONDS - now
    if left <= 0:
        return TransportDecision(rdma, replace(memory, other_since=None, cause=None))
    former = f" Until now: {memory.cause[0].name}." if memory.cause else ""
    told = f"RDMA can be had again; new pods use it once that has lasted for {RECOVERY_SECONDS:.0f} s.{former}"
    return TransportDecision(
        TCP_ONLY, replace(memory, other_since=since), (Reason.RDMAReturning, told), look_again=left
    )


def _use_tcp(memory: Memory, cause: Finding, now: float) -> TransportDecision:
    left = memory.starved_until - now
    return TransportDecision(TCP_ONLY, memory, cause, look_again=left if left > 0 else None)


def _note_supply(memory: Memory, now: float, *, enough: bool) -> Memory:
    if not enough:
        return replace(memory, enough_since=None)
    return memory if memory.enough_since is not None else replace(memory, enough_since=now)


def _find_starvation(demand: Demand, memory: Memory, now: float) -> Finding | None:
    """Return why pods do not get what nodes seem to have had for a while; right after a shortage they only have not got it yet."""
    if memory.enough_since is None or now < memory.enough_since + SHORTAGE_SECONDS:
        return None
    return demand.starved


def _find_shortage(network: Sequence[Finding], supply: RDMASupply, demand: Demand) -> Finding | None:
    """Return why pods that still need a place should be made for TCP."""
    if network:
        return network[0]
    missing = max(0, demand.replicas - demand.placed)
    if missing <= supply.capacity:
        return None
    if supply.converging:
        reason = Reason.RDMARolloutConverging
    else:
        reason = Reason.RDMAPartial if supply.nodes else Reason.RDMAUnavailable
    text = f"{missing} of {demand.replicas} pods need a place with RDMA, and {supply.capacity} fit.{_describe_taken(supply)} {supply.causes}"
    return reason, text.strip()


def _describe_taken(supply: RDMASupply) -> str:
    """Return how full the nodes are that can carry RDMA; what other nodes lack is not the cause where these are full."""
    taken = supply.places - supply.capacity
    if taken <= 0:
        return ""
    return f" Pods hold {taken} of the {supply.places} places on nodes that can carry RDMA."


def prefer_transport(settled: Settled, fabric: FabricFacts | None, namespace: str) -> TransportChoice:
    """Return what is rendered where fabric and nodes are in order; for those who render without a cluster.

    Args:
        settled: The spec.
        fabric: The fabric that it names, if it is known.
        namespace: The deployment's.
    """
    intent = read_intent(settled)
    found = resolve_attachment(settled, fabric, namespace)
    if not intent.asked or (not intent.required and find_rdma_obstacle(settled) is not None):
        return TCP_ONLY
    return TransportChoice(Variant.RDMA, found if isinstance(found, Attachment) else None, intent.required)
