"""How each node stands towards a spec: what excludes it, every requirement that it misses, and what it has.

The operator counts nodes (`node_policy`); this is for people who ask about single ones.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from inference_cache.api.parsing import parse_spec

from .attachment import Attachment
from .defaults import settle
from .node_checks import Finding
from .node_evidence import NodeEvidence
from .node_facts import NodeFacts, Taint
from .node_judgement import judge, list_untolerated
from .node_need import Need, build_need, build_wish
from .reasons import Reason


@dataclass(frozen=True)
class Judgement:
    """One node.

    Attributes:
        missing_labels: Labels of spec.nodes.selector that the node does not carry.
        untolerated: Taints that keep the pods away.
        findings: What keeps every replica away, the one that the status counts first.
        rdma_findings: What keeps RDMA away from a node that may run without it.
        notes: What is worth telling and speaks against nothing.
    """

    node: NodeFacts
    missing_labels: Mapping[str, str]
    untolerated: tuple[Taint, ...]
    findings: tuple[Finding, ...]
    rdma_findings: tuple[Finding, ...] = ()
    notes: tuple[Finding, ...] = ()

    @property
    def violations(self) -> tuple[Reason, ...]:
        """Reasons of the findings."""
        return tuple(finding.reason for finding in self.findings)

    @property
    def candidate(self) -> bool:
        """Whether the spec speaks of the node at all."""
        return not self.missing_labels and not self.untolerated

    @property
    def eligible(self) -> bool:
        """Whether a replica can run there."""
        return self.candidate and not self.findings

    def describe(self) -> str:
        """Return why no replica can run there, or an empty text."""
        causes = [f"label {key}={value} is missing" for key, value in self.missing_labels.items()]
        causes += [f"taint {format_taint(taint)} is not tolerated" for taint in self.untolerated]
        return "; ".join(causes or [reason.name for reason in self.violations])


class Matrix:
    """Judges nodes by specs; what a spec needs is computed once.

    Args:
        name: Of the deployment.
        attachment: What its RDMA pods would get; None where that is not known, or RDMA is not asked for.
    """

    def __init__(self, name: str, attachment: Attachment | None = None) -> None:
        self._name = name
        self._attachment = attachment
        self._needs: dict[str, Need | None] = {}

    def find_need(self, spec: Mapping[str, Any]) -> Need | None:
        """Return what one replica needs of a node; None where the spec is not valid."""
        key = json.dumps(spec, sort_keys=True)
        if key not in self._needs:
            parsed = parse_spec(self._name, spec)
            settled = None if isinstance(parsed, list) else settle(parsed)
            wish = build_wish(settled, self._attachment) if settled else None
            self._needs[key] = build_need(settled, wish) if settled and wish else None
        return self._needs[key]

    def judge(self, spec: Mapping[str, Any], node: NodeFacts | NodeEvidence) -> Judgement | None:
        """Return how a node stands towards a spec; None where the spec is not valid."""
        need = self.find_need(spec)
        return None if need is None else judge_node(node, need)


def judge_node(node: NodeFacts | NodeEvidence, need: Need) -> Judgement:
    """Return how a node stands towards a need."""
    evidence = node if isinstance(node, NodeEvidence) else NodeEvidence(node)
    facts = evidence.facts
    judged = judge(evidence, need)
    return Judgement(
        node=facts,
        missing_labels={key: value for key, value in need.selector if facts.labels.get(key) != value},
        untolerated=tuple(list_untolerated(facts.taints, need)),
        findings=judged.violations,
        rdma_findings=judged.rdma_violations,
        notes=judged.notes,
    )


def format_taint(taint: Taint) -> str:
    """Return a taint as kubectl writes it."""
    return f"{taint.key}={taint.value}:{taint.effect}" if taint.value else f"{taint.key}:{taint.effect}"
