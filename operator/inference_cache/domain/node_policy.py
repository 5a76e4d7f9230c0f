"""Which nodes can run a replica, decided before any pod exists, and why the others cannot; the same for RDMA.

Nodes are added one by one, so that thousands of them can be judged in portions. What a need asks of one node is in
`node_need`, single checks are in `node_checks`.
"""

from bisect import insort
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from inference_cache.api.quantities import format_gib
from inference_cache.api.status import NodeStatus

from . import names
from .defaults import Settled
from .node_checks import Check, Finding
from .node_checks.resource import count_pods
from .node_evidence import EvidenceSources, NodeEvidence
from .node_facts import NodeFacts
from .node_judgement import Judgement, find_rdma_violation, find_violation, is_candidate, judge
from .node_need import NO_RDMA, Need, RDMANeed, TransportWish, build_need
from .node_tally import MAX_REASONS, Tally
from .reasons import Reason
from .verdict import ConditionType, Verdict, bad, ok, unknown

# States that end by themselves while drivers and policies are being rolled out.
_CONVERGING: Final = frozenset({Reason.NICDriverNotReady, Reason.NICDriverUpgrading, Reason.SRIOVNodeDraining})
_MAX_CAUSE: Final = 120


@dataclass(frozen=True, slots=True)
class ReviewResult:
    """What came of judging all nodes.

    Attributes:
        verdict: Condition NodesEligible.
        status: Counts for status; None where the nodes were not read yet.
        rdma_nodes: Nodes that can run a replica with RDMA.
        rdma_capacity: RDMA pods that fit on these by GPUs and devices, whatever runs there.
        rdma_free: The same less what engine pods of this operator have taken.
        converging: Whether drivers or policies are still being rolled out on nodes that have no RDMA yet.
        rdma: Why not every node that could run a replica can do so with RDMA; None where all can, or nobody asks.
    """

    verdict: Verdict
    status: NodeStatus | None
    rdma_nodes: int = 0
    rdma_capacity: int = 0
    rdma_free: int = 0
    converging: bool = False
    rdma: tuple[Reason, str] | None = None


NODES_UNREAD: Final = ReviewResult(unknown(ConditionType.NODES_ELIGIBLE, Reason.NodesUnknown), None)
"""What is said before the nodes were read."""


class NodeReview:
    """Judges nodes by one need and keeps counts, however many nodes there are."""

    def __init__(self, settled: Settled, need: Need) -> None:
        self._replicas = settled.replicas
        self._need = need
        self._candidates = 0
        self._eligible = 0
        self._rdma_nodes = 0
        self._rdma_capacity = 0
        self._rdma_free = 0
        self._ineligible = Tally()
        self._without_rdma = Tally()
        self._products: list[str] = []
        self._gaps = False

    def add(self, evidence: NodeEvidence) -> None:
        """Judge a node."""
        need = self._need
        if not is_candidate(evidence.facts, need):
            return
        self._candidates += 1
        name = evidence.facts.name
        finding = find_violation(evidence, need)
        if finding is not None:
            self._ineligible.add(name, finding)
            self._note(evidence, finding)
            return
        if need.rdma is None:
            self._eligible += 1
            return
        finding = find_rdma_violation(evidence, need)
        if finding is None:
            self._rdma_nodes += 1
            self._rdma_capacity += count_pods(evidence, need)
            self._rdma_free += count_pods(evidence, need, evidence.used)
        else:
            self._without_rdma.add(name, finding)
            self._note(evidence, finding)
        if finding is None or not need.rdma.required:
            self._eligible += 1
        else:
            self._ineligible.add(name, finding)

    def finish(self, sources: EvidenceSources = EvidenceSources()) -> ReviewResult:  # noqa: B008 - immutable
        """Return the result.

        Args:
            sources: Which sources of facts there are; those that cannot be read are told where a fact was missing.
        """
        rdma = self._need.rdma
        status = NodeStatus(
            candidates=self._candidates,
            eligible=self._eligible,
            ineligible=self._ineligible.summarize() or None,
            rdma=None if rdma is None else self._rdma_nodes,
            without_rdma=None if rdma is None or rdma.required else self._without_rdma.summarize() or None,
        )
        converging = bool(_CONVERGING & set(self._without_rdma.reasons))
        unread = self._describe_sources(sources)
        return ReviewResult(
            verdict=self._judge_all(rdma, unread),
            status=status,
            rdma_nodes=self._rdma_nodes,
            rdma_capacity=self._rdma_capacity,
            rdma_free=self._rdma_free,
            converging=converging,
            rdma=self._describe_rdma(unread, converging=converging),
        )

    def _note(self, evidence: NodeEvidence, finding: Finding) -> None:
        self._gaps = self._gaps or finding.unknown
        if finding.reason is Reason.GPUProductMismatch:
            product = evidence.facts.labels.get(names.GPU_PRODUCT_LABEL, "")
            if product not in self._products:
                insort(self._products, product)
                del self._products[MAX_REASONS:]

    def _judge_all(self, rdma: RDMANeed | None, unread: str) -> Verdict:
        condition = ConditionType.NODES_ELIGIBLE
        if self._candidates == 0:
            return bad(condition, Reason.NoCandidateNodes)
        if self._eligible == 0 and self._replicas > 0:
            causes = self._ineligible.describe()
            text = f"None of {self._candidates} candidate nodes has {self._describe_need()}: {causes}."
            if self._products:
                text += f" They have {', '.join(self._products)}."
            # What mends the one cause helps more than the list of everything that could be done.
            only = self._ineligible.sole_reason
            return bad(condition, Reason.NoEligibleNodes, f"{text}{unread}", remedy_of=only)
        text = f"{self._eligible} of {self._candidates} candidate nodes meet every requirement"
        if rdma is not None and not rdma.required:
            text += f", {self._rdma_nodes} of them also for RDMA"
        return ok(condition, Reason.NodesAvailable, f"{text}.")

    def _describe_need(self) -> str:
        need = self._need
        wanted = f"{need.gpus} GPU" + (f" of {', '.join(sorted(need.products))}" if need.products else "")
        wanted = f"{wanted} and {format_gib(need.pod_memory)} memory"
        return f"{wanted} and {need.rdma.devices}" if need.rdma and need.rdma.required else wanted

    def _describe_rdma(self, unread: str, *, converging: bool) -> tuple[Reason, str] | None:
        fit = self._rdma_nodes + self._without_rdma.total
        if self._need.rdma is None or fit == self._rdma_nodes:
            return None
        reason = Reason.RDMAPartial if self._rdma_nodes else Reason.RDMAUnavailable
        if converging:
            reason = Reason.RDMARolloutConverging
        return reason, f"{self._rdma_nodes} of {fit} nodes can carry RDMA: {self._without_rdma.describe()}.{unread}"

    def _describe_sources(self, sources: EvidenceSources) -> str:
        if not self._gaps or not sources.unreadable:
            return ""
        told = (f"{source} ({cause[:_MAX_CAUSE]})" for source, cause in sorted(sources.unreadable.items()))
        return f" {Reason.EvidenceUnavailable.name}: {', '.join(told)}."


def check_nodes(
    settled: Settled, nodes: Iterable[NodeFacts | NodeEvidence] | None, wish: TransportWish = NO_RDMA
) -> tuple[Verdict, NodeStatus | None]:
    """Return the condition NodesEligible and the counts for status; None as nodes means that they were not read yet."""
    if nodes is None:
        return NODES_UNREAD.verdict, None
    review = NodeReview(settled, build_need(settled, wish))
    for node in nodes:
        review.add(node if isinstance(node, NodeEvidence) else NodeEvidence(node))
    result = review.finish()
    return result.verdict, result.status


__all__ = [
    "NODES_UNREAD",
    "NO_RDMA",
    "Check",
    "Finding",
    "Judgement",
    "Need",
    "NodeReview",
    "RDMANeed",
    "ReviewResult",
    "TransportWish",
    "build_need",
    "check_nodes",
    "judge",
]
