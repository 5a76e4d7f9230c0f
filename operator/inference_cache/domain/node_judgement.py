"""How one node stands towards a need: whether the spec speaks of it, what it misses, and what RDMA pods would miss."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Final

from .node_checks import NODE_CHECKS, NOTES, RDMA_CHECKS, Check, Finding
from .node_evidence import NodeEvidence
from .node_facts import NodeFacts, Taint
from .node_need import Need, Tolerated
from .reasons import Reason

# The node controller sets these for states that have a reason of their own.
_STATE_TAINTS: Final = frozenset(
    {"node.kubernetes.io/not-ready", "node.kubernetes.io/unreachable", "node.kubernetes.io/unschedulable"}
)
# What a report of the node validator would tell if it were not too old.
_REPORTED: Final = frozenset(
    {
        Reason.KernelUnknown,
        Reason.NICModelUnknown,
        Reason.LinkTypeUnknown,
        Reason.NICSpeedUnknown,
        Reason.NICFirmwareUnknown,
        Reason.DPUModeUnknown,
    }
)


@dataclass(frozen=True, slots=True)
class Judgement:
    """What one node misses.

    Attributes:
        violations: What keeps every replica away, the one that status counts first. With RDMA required, what it misses
            for RDMA is among them.
        rdma_violations: What keeps RDMA away from a node that may run without it.
        notes: What is worth telling and speaks against nothing.
    """

    violations: tuple[Finding, ...]
    rdma_violations: tuple[Finding, ...] = ()
    notes: tuple[Finding, ...] = ()

    @property
    def eligible(self) -> bool:
        """Whether a replica can run there, if the spec speaks of the node."""
        return not self.violations


def judge(evidence: NodeEvidence, need: Need) -> Judgement:
    """Return everything that a node misses, in the order in which it would name the reason."""
    hard = tuple(_find_all(NODE_CHECKS, evidence, need))
    rdma = tuple(sorted(_find_all(RDMA_CHECKS, evidence, need), key=lambda item: item.unknown))
    notes = tuple(_find_all(NOTES, evidence, need))
    if need.rdma is not None and need.rdma.required:
        return Judgement((*hard, *rdma), (), notes)
    return Judgement(hard, rdma, notes)


def find_violation(evidence: NodeEvidence, need: Need) -> Finding | None:
    """Return why the node cannot run any replica, RDMA left aside."""
    return next(_find_all(NODE_CHECKS, evidence, need), None)


def find_rdma_violation(evidence: NodeEvidence, need: Need) -> Finding | None:
    """Return why the node cannot carry RDMA: the first fault, or else the first fact that nobody tells."""
    unknown = None
    for finding in _find_all(RDMA_CHECKS, evidence, need):
        if not finding.unknown:
            return finding
        unknown = unknown or finding
    return unknown


def is_candidate(node: NodeFacts, need: Need) -> bool:
    """Whether the spec speaks of this node at all: its labels match and its taints are tolerated."""
    labels = node.labels
    if any(labels.get(key) != value for key, value in need.selector):
        return False
    return not node.taints or not list_untolerated(node.taints, need)


def list_untolerated(taints: Iterable[Taint], need: Need) -> list[Taint]:
    """Return the taints that keep the pods away."""
    return [
        taint
        for taint in taints
        if taint.key not in _STATE_TAINTS and not any(_tolerates(item, taint) for item in need.tolerations)
    ]


def _tolerates(item: Tolerated, taint: Taint) -> bool:
    if item.effect is not None and item.effect != taint.effect:
        return False
    if item.key is not None and item.key != taint.key:
        return False
    return item.any_value or item.value == taint.value


def _find_all(checks: tuple[Check, ...], evidence: NodeEvidence, need: Need) -> Iterator[Finding]:
    for check in checks:
        finding = check(evidence, need)
        if finding is not None:
            yield _explain_stale(evidence, finding) if finding.unknown else finding


def _explain_stale(evidence: NodeEvidence, finding: Finding) -> Finding:
    """Name the report that is too old where it would have told what nobody else does."""
    if not evidence.report_stale or finding.reason not in _REPORTED:
        return finding
    return replace(finding, reason=Reason.ReportStale, detail=f"{finding.reason.name}: {finding.detail}")
