"""Finds the fewest changes that let a node run a replica, and offers only what a repetition of the node checks confirms."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any, Final

from inference_cache.domain.node_evidence import NodeEvidence
from inference_cache.domain.node_matrix import Judgement, Matrix

from .fixes import Command, Fix, Situation, Spec, Step, apply_change, build_edit, find_field
from .moves import Move, find_move

_MAX_FIXES: Final = 3
_MAX_NODES: Final = 3
_MAX_MOVES: Final = 6
_MAX_SHAPES: Final = 40
# Labels that describe the hardware; others, such as the host's name, differ from node to node.
_DESCRIBES: Final = re.compile(r"^([a-z]+[.])?nvidia[.]com/|^feature[.]node[.]kubernetes[.]io/")


@dataclass(frozen=True)
class _Plan:
    """What lets nodes of one shape run a replica."""

    moves: tuple[Move, ...]
    nodes: tuple[NodeEvidence, ...]

    @property
    def rank(self) -> tuple[int, int, str]:
        return sum(move.cost for move in self.moves), -len(self.nodes), self.nodes[0].facts.name


def plan_placement(situation: Situation, *, candidates_only: bool = False) -> tuple[Fix, ...]:
    """Return the cheapest ways to get an eligible node; empty where nodes are not known or no edit would do.

    Args:
        situation: The facts.
        candidates_only: Leave out nodes that the spec does not speak of.
    """
    matrix = Matrix(situation.target.name, situation.attachment)
    judged = ((node, matrix.judge(situation.spec, node)) for node in situation.nodes or ())
    known = [(node, found) for node, found in judged if found is not None and (found.candidate or not candidates_only)]
    plans: dict[tuple[Any, ...], _Plan] = {}
    for group in _group_by_shape(situation.spec, known):
        found = (_find_moves(matrix, situation, group[0], label_node=label_node) for label_node in (True, False))
        for key, moves in {tuple((move.why, move.words[:1]) for move in moves): moves for moves in found}.items():
            if moves:
                plans[key] = _Plan(moves, (*(plans[key].nodes if key in plans else ()), *group))
    ranked = sorted(plans.values(), key=lambda plan: plan.rank)
    return tuple(_build_fix(matrix, situation, plan) for plan in ranked[:_MAX_FIXES])


def _group_by_shape(spec: Spec, judged: list[tuple[NodeEvidence, Judgement]]) -> list[tuple[NodeEvidence, ...]]:
    """Nodes that differ in nothing that checks look at, or miss the same, are looked at once: there may be thousands."""
    selector = find_field(spec, ("nodes", "selector")) or {}
    groups: dict[Any, list[NodeEvidence]] = {}
    for evidence, found in sorted(judged, key=lambda item: item[0].facts.name):
        node = evidence.facts
        labels = tuple(sorted((k, v) for k, v in node.labels.items() if k in selector or _DESCRIBES.match(k)))
        shape = (node.ready, node.unschedulable, node.taints, node.gpus, node.memory, labels, found.violations)
        groups.setdefault(shape, []).append(evidence)
    largest = sorted(groups.values(), key=lambda group: (-len(group), group[0].facts.name))
    return [tuple(group) for group in largest[:_MAX_SHAPES]]


def _find_moves(matrix: Matrix, situation: Situation, node: NodeEvidence, *, label_node: bool) -> tuple[Move, ...]:
    spec: Spec = situation.spec
    moves: list[Move] = []
    while len(moves) <= _MAX_MOVES:
        judged = matrix.judge(spec, node)
        if judged is None:
            return ()
        if judged.eligible:
            return tuple(moves)
        move = find_move(matrix, situation, spec, judged, label_node=label_node)
        if move is None:
            return ()
        moves.append(move)
        spec = apply_change(spec, move.change) if move.change else spec
        node = replace(node, facts=move.node) if move.node else node
    return ()


def _build_fix(matrix: Matrix, situation: Situation, plan: _Plan) -> Fix:
    steps: list[Step] = []
    spec: Spec = situation.spec
    replicas = find_field(situation.spec, ("replicas",)) or 1
    chosen = plan.nodes[: min(_MAX_NODES, replicas)]
    for move in plan.moves:
        if move.change is not None:
            steps.append(build_edit(situation.target, spec, move.change.path, move.change.value))
            spec = apply_change(spec, move.change)
            continue
        for node in chosen:
            words = [node.facts.name if word == plan.nodes[0].facts.name else word for word in move.words]
            steps.append(Command(situation.target.kubectl_cluster(*words)))
    by_spec_alone = all(move.change is not None for move in plan.moves)
    count = sum(_is_eligible(matrix, spec, situation.nodes or ())) if by_spec_alone else len(chosen)
    listed = ", ".join(node.facts.name for node in chosen)
    sentence = f"Then {count} node{'' if count == 1 else 's'} can run a replica, for instance {listed}."
    return Fix(" ".join([*(move.why for move in plan.moves), sentence]), tuple(steps))


def _is_eligible(matrix: Matrix, spec: Spec, nodes: tuple[NodeEvidence, ...]) -> Iterator[bool]:
    for node in nodes:
        judged = matrix.judge(spec, node)
        yield judged is not None and judged.eligible
