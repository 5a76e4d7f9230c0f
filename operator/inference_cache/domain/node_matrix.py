"""How each node stands towards a spec: what excludes it, every requirement that it misses, and what it has.

The operator counts nodes (`node_policy`); this is for people who ask about single ones.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from inference_cache.api.parsing import parse_spec

from .defaults import settle
from .node_facts import NodeFacts, Taint
from .node_policy import NODE_CHECKS, Need, _build_need, is_candidate
from .reasons import Reason


@dataclass(frozen=True)
class Judgement:
    """One node.

    Attributes:
        missing_labels: Labels of spec.nodes.selector that the node does not carry.
        untolerated: Taints that keep the pods away.
        violations: Requirements that are not met, the one that the status counts first.
    """

    node: NodeFacts
    missing_labels: Mapping[str, str]
    untolerated: tuple[Taint, ...]
    violations: tuple[Reason, ...]

    @property
    def candidate(self) -> bool:
        """Whether the spec speaks of the node at all."""
        return not self.missing_labels and not self.untolerated

    @property
    def eligible(self) -> bool:
        """Whether a replica can run there."""
        return self.candidate and not self.violations

    def describe(self) -> str:
        """Return why no replica can run there, or an empty text."""
        causes = [f"label {key}={value} is missing" for key, value in self.missing_labels.items()]
        causes += [f"taint {format_taint(taint)} is not tolerated" for taint in self.untolerated]
        return "; ".join(causes or [reason.name for reason in self.violations])


class Matrix:
    """Judges nodes by specs; what a spec needs is computed once."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._needs: dict[str, Need | None] = {}

    def find_need(self, spec: Mapping[str, Any]) -> Need | None:
        """Return what one replica needs of a node; None where the spec is not valid."""
        key = json.dumps(spec, sort_keys=True)
        if key not in self._needs:
            parsed = parse_spec(self._name, spec)
            self._needs[key] = None if isinstance(parsed, list) else _build_need(settle(parsed))
        return self._needs[key]

    def judge(self, spec: Mapping[str, Any], node: NodeFacts) -> Judgement | None:
        """Return how a node stands towards a spec; None where the spec is not valid."""
        need = self.find_need(spec)
        return None if need is None else judge_node(node, need)


def judge_node(node: NodeFacts, need: Need) -> Judgement:
    """Return how a node stands towards a need."""
    selector = dict((need.nodes.selector if need.nodes else None) or {})
    return Judgement(
        node=node,
        missing_labels={key: value for key, value in selector.items() if node.labels.get(key) != value},
        untolerated=tuple(
            taint
            for taint in node.taints
            if not is_candidate(replace(node, labels=selector, taints=(taint,)), need.nodes)
        ),
        violations=tuple(reason for check in NODE_CHECKS if (reason := check(node, need)) is not None),
    )


def format_taint(taint: Taint) -> str:
    """Return a taint as kubectl writes it."""
    return f"{taint.key}={taint.value}:{taint.effect}" if taint.value else f"{taint.key}:{taint.effect}"
