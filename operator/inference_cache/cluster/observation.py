"""What a pass learns of nodes, fabric and networks, and what comes of it: checks, the transport, and when to look again.

Between passes it remembers, for each deployment that asks for RDMA, since when another transport would be better; that is
all, and a restart of the operator only begins the counting anew.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Final

from inference_cache.api.status import NodeStatus, TransportStatus
from inference_cache.domain import kinds
from inference_cache.domain.attachment import Attachment, Variant
from inference_cache.domain.defaults import Settled
from inference_cache.domain.eligibility import Placement, judge_placement
from inference_cache.domain.fabric.facts import FabricFacts
from inference_cache.domain.live import Live
from inference_cache.domain.network_checks import NetworkSurroundings, check_network_ready, list_network_findings
from inference_cache.domain.node_judgement import find_rdma_violation
from inference_cache.domain.node_need import Need, build_need, build_wish
from inference_cache.domain.node_policy import ReviewResult
from inference_cache.domain.pod_facts import PodFacts
from inference_cache.domain.pod_security import check_pod_security
from inference_cache.domain.rollout import Retry
from inference_cache.domain.scope import Identity, Scope
from inference_cache.domain.transport import (
    Demand,
    Intent,
    Memory,
    RDMASupply,
    State,
    TransportDecision,
    decide_transport,
    read_intent,
    resolve_attachment,
)
from inference_cache.domain.transport_render import find_rdma_obstacle
from inference_cache.domain.transport_status import (
    check_degraded,
    count_placed,
    find_starvation,
    summarize_plain_transport,
    summarize_transport,
)
from inference_cache.domain.verdict import Verdict
from inference_cache.domain.workload_state import read_template

from .cache import NamespacedName
from .claim_templates import ClaimTemplateFeed
from .eligibility_publisher import EligibilityPublisher
from .evidence import EvidenceStore
from .fabric_store import FabricStore
from .node_reviews import NodeReviewer

# How long the first lists of networks and namespaces may take before it goes on without them.
_PATIENCE_SECONDS: Final = 30.0
# What speaks against networks is often something that is not watched.
_NETWORK_SECONDS: Final = 60.0
_PLACEMENT_SECONDS: Final = 0.5
_READ: Final = frozenset({kinds.NETWORK_ATTACHMENT, kinds.NAMESPACE})


@dataclass(frozen=True)
class Observation:
    """What a pass has learned.

    Attributes:
        scope: With the transport that was decided.
        checks: NodesEligible, and NetworkReady where RDMA is required.
        network: NetworkReady where RDMA is asked for and not required.
        intent: What the spec asks of the transport.
        decision: What was decided.
        need: What a replica needs of a node.
        nodes: Counts for status.
        look_again: Seconds until the next look, whatever happens; None where only news call for one.
    """

    scope: Scope
    checks: tuple[Verdict, ...]
    network: Verdict | None
    intent: Intent
    decision: TransportDecision
    need: Need
    nodes: NodeStatus | None
    look_again: float | None

    @property
    def settled(self) -> bool:
        """Whether enough is known to act."""
        return self.decision.state is State.DECIDED

    def list_notes(self, pods: Sequence[PodFacts], blocker: Verdict | None = None) -> tuple[Verdict, ...]:
        """Return the conditions that hold nothing back.

        Args:
            pods: Of the deployment.
            blocker: The check that keeps the first pods from being created; None where none does.
        """
        degraded = check_degraded(self.intent, self.decision, pods, self.scope.settled.replicas, blocker)
        return tuple(item for item in (self.network, degraded) if item is not None)

    def summarize_transport(self, pods: Sequence[PodFacts]) -> TransportStatus:
        """Return what status says of the transport; where the spec says nothing of it, that does not depend on pods."""
        settled = self.scope.settled
        has_store = settled.object_store is not None
        if settled.spec.transport is None:
            return summarize_plain_transport(has_store=has_store)
        return summarize_transport(self.intent, self.decision, pods, has_store=has_store)


class Observer:
    """Observes for all deployments.

    Args:
        evidence: What is known of the nodes.
        fabrics: What is known of fabrics and networks.
        reviewer: Judges nodes.
        publisher: Publishes what the scheduler must know of nodes.
        claims: Reads the claims' templates of deployments.
        clock: Monotonic seconds.
        epoch: Seconds of the epoch.
    """

    def __init__(
        self,
        evidence: EvidenceStore,
        fabrics: FabricStore,
        reviewer: NodeReviewer,
        publisher: EligibilityPublisher,
        claims: ClaimTemplateFeed,
        clock: Callable[[], float] = time.monotonic,
        epoch: Callable[[], float] = time.time,
    ) -> None:
        self._evidence = evidence
        self._fabrics = fabrics
        self._reviewer = reviewer
        self._publisher = publisher
        self._claims = claims
        self._clock = clock
        self._epoch = epoch
        self._memories: dict[NamespacedName, Memory] = {}
        self._impatient_at: dict[NamespacedName, float] = {}

    async def observe(
        self, identity: Identity, scope: Scope, workload: Live | None, pods: Sequence[PodFacts]
    ) -> Observation:
        """Return what is known of a deployment's surroundings, and what it means for its pods."""
        settled, key = scope.settled, (identity.namespace, identity.name)
        intent = read_intent(settled)
        fabric = self._find_fabric(settled) if intent.asked else None
        found = resolve_attachment(settled, fabric, identity.namespace)
        attachment = found if isinstance(found, Attachment) else None
        seen, read = None, True
        if intent.asked:
            seen, read = await self._look_around(fabric, attachment, identity.namespace)
        need = build_need(settled, build_wish(settled, attachment))
        self._publisher.register(key, need)
        review = await self._reviewer.review(settled, need)
        placement = self._publisher.find_placement(key)
        nodes = judge_placement(review.verdict, placement)
        if found is None or seen is None:
            self._memories.pop(key, None)
            self._impatient_at.pop(key, None)
            decision = _hold(TransportDecision(scope.transport), placement)
            return Observation(scope, (nodes,), None, intent, decision, need, review.status, decision.look_again)
        obstacle = find_rdma_obstacle(settled)
        findings = [] if attachment is None else list_network_findings(attachment, seen, identity.namespace)
        told = [obstacle, *findings] if obstacle else findings
        network = check_network_ready(found, told, seen.fabric)
        waiting = find_starvation(pods, attachment, self._epoch())
        decision = decide_transport(
            intent,
            settled=self._has_seen_enough(key, read=read),
            obstacle=obstacle,
            attachment=found,
            network=findings,
            supply=_build_supply(review),
            demand=Demand(
                settled.replicas,
                placed=count_placed(pods, settled.replicas),
                ready=sum(pod.ready and not pod.terminating for pod in pods),
                starved=waiting.finding,
            ),
            current=_read_variant(workload),
            memory=self._memories.get(key, Memory()),
            now=self._clock(),
        )
        self._memories[key] = decision.memory
        decision = _hold(decision, placement)
        looks = [decision.look_again, waiting.look_again, _NETWORK_SECONDS if told else None]
        return Observation(
            scope=replace(scope, transport=decision.choice),
            checks=(nodes, network) if intent.required else (nodes,),
            network=None if intent.required else network,
            intent=intent,
            decision=decision,
            need=need,
            nodes=review.status,
            look_again=min((item for item in looks if item is not None), default=None),
        )

    def build_retry(self, observation: Observation) -> Retry | None:
        """Return when pods on TCP are replaced for RDMA's sake; None where nobody asks for RDMA."""
        if not observation.intent.asked:
            return None

        def is_fine(node: str) -> bool:
            evidence = self._evidence.find(node)
            return evidence is not None and find_rdma_violation(evidence, observation.need) is None

        return Retry(observation.intent.recovery, is_fine, self._epoch())

    def forget(self, key: NamespacedName) -> None:
        """Drop what is known of a deleted deployment."""
        self._memories.pop(key, None)
        self._impatient_at.pop(key, None)
        self._publisher.forget(key)

    def _find_fabric(self, settled: Settled) -> FabricFacts | None:
        spec = settled.spec.transport
        return self._fabrics.fabric(spec.fabric_ref.name) if spec and spec.fabric_ref else None

    async def _look_around(
        self, fabric: FabricFacts | None, attachment: Attachment | None, namespace: str
    ) -> tuple[NetworkSurroundings, bool]:
        """Return what is known of fabric, networks and namespace, and whether all of it was read."""
        wanted = attachment.networks if attachment else ()
        networks = {
            (item.namespace, item.name): facts
            for item in wanted
            if (facts := self._fabrics.network(item.namespace, item.name)) is not None
        }
        enforced = self._fabrics.pod_security(namespace)
        unread = self._fabrics.find_unread(_READ if wanted else frozenset({kinds.NAMESPACE}))
        blind = kinds.NETWORK_ATTACHMENT in unread or kinds.NETWORK_ATTACHMENT in self._fabrics.refused
        device_class = attachment.device_class if attachment else None
        seen = NetworkSurroundings(
            fabric=fabric,
            networks=None if blind else networks,
            networks_served=self._fabrics.networks_served,
            pod_security=check_pod_security(enforced, attachment) if attachment else None,
            claims_served=self._fabrics.serves(kinds.DEVICE_CLASS),
            device_class=await self._fabrics.device_class(device_class) if device_class else None,
        )
        read = self._evidence.settled and self._fabrics.known and not unread
        return seen, read and (device_class is None or self._claims.known)

    def _has_seen_enough(self, key: NamespacedName, *, read: bool) -> bool:
        """Whether everything was read, or what is missing has been waited for long enough."""
        if read:
            self._impatient_at.pop(key, None)
            return True
        now = self._clock()
        return now >= self._impatient_at.setdefault(key, now + _PATIENCE_SECONDS)


def _hold(decision: TransportDecision, placement: Placement) -> TransportDecision:
    """Return the decision as one that is not to be acted on, while nobody has looked yet where pods may run."""
    if placement is not Placement.UNKNOWN:
        return decision
    return replace(decision, state=State.UNSETTLED, look_again=_PLACEMENT_SECONDS)


def _build_supply(review: ReviewResult) -> RDMASupply:
    causes = review.rdma[1] if review.rdma else ""
    return RDMASupply(review.rdma_nodes, review.rdma_free, review.converging, causes, review.rdma_capacity)


def _read_variant(workload: Live | None) -> Variant | None:
    return None if workload is None else read_template(workload).variant
