"""Eligibility labels: what the scheduler must know of a node and no label of other projects says.

A rule is a part of a need that only such a label can express. Its label is a hash of the requirement's content, so equal
requirements of several deployments share one label, and it does not change with names, nodes or time.

A node that meets the rule gets the value "true", another one "false", and pods keep away from "false". So pods are not
locked out where nobody publishes labels, and an autoscaler that knows no labels of nodes to come still starts them.
"""

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, replace
from enum import Enum, auto
from typing import Any, Final

from . import names
from .attachment import TransportChoice, Variant
from .defaults import Settled
from .node_checks import Check
from .node_checks.capacity import check_huge_pages, check_memory
from .node_checks.gpu import check_partitioning
from .node_checks.kernel import check_kernel
from .node_checks.numa import check_gpu_zone
from .node_evidence import NodeEvidence
from .node_judgement import find_rdma_violation
from .node_need import Need, TransportWish, build_need
from .reasons import Reason
from .verdict import Truth, Verdict, ok, unknown

MET: Final = "true"
MISSED: Final = "false"
MISSED_SECONDS: Final = 120.0
"""For how long a node must miss a rule without a break before its label says so."""
_HASH_DIGITS: Final = 10

# Neither whether the node is ready nor what is free on it: the scheduler sees both.
_BASE_CHECKS: Final[tuple[Check, ...]] = (
    check_partitioning,
    check_kernel,
    check_huge_pages,
    check_memory,
    check_gpu_zone,
)
_GPU_SIGNS: Final = (
    "nvidia.com/gpu.present",
    "feature.node.kubernetes.io/pci-10de.present",
    "feature.node.kubernetes.io/pci-0300_10de.present",
    "feature.node.kubernetes.io/pci-0302_10de.present",
)


class Placement(Enum):
    """Whether the scheduler knows what a deployment needs."""

    UNKNOWN = auto()
    """Nobody has looked yet."""
    PENDING = auto()
    """Labels that keep pods away from nodes are still being written."""
    ENFORCED = auto()
    """Every node that misses something says so, or nothing needs to be said."""
    NOT_ENFORCED = auto()
    """Nobody may write labels, or they do not show at the nodes."""


def judge_placement(verdict: Verdict, placement: Placement) -> Verdict:
    """Return NodesEligible with what is to be said of placement where nodes are eligible at all."""
    if verdict.status is not Truth.TRUE:
        return verdict
    if placement is Placement.PENDING:
        return unknown(verdict.condition, Reason.PlacementPending)
    if placement is Placement.NOT_ENFORCED:
        told = Reason.PlacementNotEnforced
        return ok(verdict.condition, verdict.reason, f"{verdict.message} {told.meaning} {told.remedy}")
    return verdict


@dataclass(frozen=True, slots=True)
class EligibilityRule:
    """A requirement that one label stands for.

    Attributes:
        label: The label.
        need: The requirement, and nothing else of the deployment's need.
    """

    label: str
    need: Need

    def is_met(self, evidence: NodeEvidence) -> bool:
        """Whether a node meets it; where nobody tells a fact, it does not."""
        if self.need.rdma is not None:
            return find_rdma_violation(evidence, self.need) is None
        return all(check(evidence, self.need) is None for check in _BASE_CHECKS)


def list_rules(need: Need) -> tuple[EligibilityRule, ...]:
    """Return the rules of a need: one of every replica, one of RDMA pods, each only where it says something."""
    found = (_build_base(need), _build_rdma(need))
    return tuple(rule for rule in found if rule is not None)


def needs_label(need: Need) -> bool:
    """Whether a need has a part that only an eligibility label can tell the scheduler."""
    return bool(list_rules(need))


def eligibility_labels(need: Need) -> tuple[str, ...]:
    """Return the labels that stand for a need."""
    return tuple(rule.label for rule in list_rules(need))


def list_pod_labels(settled: Settled, transport: TransportChoice) -> tuple[str, ...]:
    """Return the labels that decide where pods of a transport may run; pods for TCP go where RDMA is missing too."""
    attachment = transport.attachment if transport.variant is Variant.RDMA else None
    return eligibility_labels(build_need(settled, TransportWish(attachment, transport.required)))


def _build_base(need: Need) -> EligibilityRule | None:
    # The scheduler knows what pods request; only a requirement beyond that is news to it.
    huge_pages = need.huge_pages if need.huge_pages > need.pod_huge_pages else 0
    if not (need.kernel or huge_pages or need.single_zone):
        return None
    part = Need(
        gpus=need.gpus,
        kernel=need.kernel,
        huge_pages=huge_pages,
        memory=need.memory if need.memory > need.pod_memory else 0,
        partitions=need.partitions,
        single_zone=need.single_zone,
    )
    return EligibilityRule(_build_label(part), part)


def _build_rdma(need: Need) -> EligibilityRule | None:
    rdma = need.rdma
    if rdma is None:
        return None
    zone = need.single_zone and rdma.resource_name is not None and not rdma.shared
    if not (rdma.declared or zone):
        # The scheduler sees the devices themselves.
        return None
    # The fabric's own labels are in the affinity of its pods.
    part = Need(gpus=need.gpus, single_zone=zone, rdma=replace(rdma, declared=False, required=False, selector=()))
    return EligibilityRule(_build_label(part), part)


def _build_label(part: Need) -> str:
    text = json.dumps(_strip(asdict(part)), sort_keys=True)
    return f"{names.ELIGIBLE_LABEL_PREFIX}{hashlib.sha256(text.encode()).hexdigest()[:_HASH_DIGITS]}"


def _strip(content: Mapping[str, Any]) -> dict[str, Any]:
    """Return what is asked for; what is empty is left out, so that fields to come change no label."""
    found: dict[str, Any] = {}
    for key, value in content.items():
        if isinstance(value, dict):
            found[key] = _strip(value)
        elif isinstance(value, frozenset):
            found[key] = sorted(value)
        else:
            found[key] = value
    return {key: value for key, value in found.items() if value not in (None, False, 0, "", [], (), {})}


@dataclass(frozen=True, slots=True)
class LabelPlan:
    """What the eligibility labels of a node should be.

    Attributes:
        labels: All of them.
        missed_since: For each label that still says the node is fit although it is not, since when, in monotonic seconds.
        due: When to look again without any news; None where only news change something.
    """

    labels: Mapping[str, str]
    missed_since: Mapping[str, float]
    due: float | None = None

    def differs_from(self, present: Mapping[str, str]) -> bool:
        """Whether the node has other eligibility labels."""
        return dict(self.labels) != list_present(present)


def plan_labels(
    present: Mapping[str, str],
    met: Mapping[str, bool],
    kept: Iterable[str],
    missed_since: Mapping[str, float],
    now: float,
) -> LabelPlan:
    """Return the eligibility labels that a node should have.

    A label says that the node is fit as soon as it is. It says that it is not only after the node has missed the rule for
    a while without a break, unless nothing was said before.

    Args:
        present: Labels of the node.
        met: Whether the node meets each rule that someone needs, by label.
        kept: Labels that nobody needs since lately; they stay as they are.
        missed_since: What the last plan left.
        now: Monotonic seconds.
    """
    labels = {key: value for key, value in list_present(present).items() if key in set(kept) and key not in met}
    since: dict[str, float] = {}
    for label, fit in met.items():
        if fit:
            labels[label] = MET
            continue
        labels[label] = MISSED
        if present.get(label) == MET:
            begun = missed_since.get(label, now)
            if now < begun + MISSED_SECONDS:
                labels[label] = MET
                since[label] = begun
    due = min((begun + MISSED_SECONDS for begun in since.values()), default=None)
    return LabelPlan(labels, since, due)


def list_present(labels: Mapping[str, str]) -> dict[str, str]:
    """Return the eligibility labels among a node's labels."""
    return {key: value for key, value in labels.items() if key.startswith(names.ELIGIBLE_LABEL_PREFIX)}


def has_gpu_signs(evidence: NodeEvidence) -> bool:
    """Whether a node has GPUs or will advertise them soon; the scheduler keeps pods off all others anyway."""
    node = evidence.facts
    if node.gpus is not None or names.GPU_PRODUCT_LABEL in node.labels:
        return True
    return any(node.labels.get(label) == "true" for label in _GPU_SIGNS)
