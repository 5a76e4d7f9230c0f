"""Placement of engine pods: which nodes are candidates, and what a candidate must have."""

import re
from enum import StrEnum
from typing import Annotated, Final

from pydantic import Field

from .base import LABEL_VALUE, ApiModel, Rule, ruled
from .node_requirements import NodeRequirements


class TolerationOperator(StrEnum):
    """How a toleration matches a taint."""

    EQUAL = "Equal"
    EXISTS = "Exists"


class TaintEffect(StrEnum):
    """Effect of the taint that is tolerated."""

    NO_SCHEDULE = "NoSchedule"
    PREFER_NO_SCHEDULE = "PreferNoSchedule"
    NO_EXECUTE = "NoExecute"


_LABEL_KEY_PATTERN: Final = "^([a-z0-9]([-a-z0-9]*[a-z0-9])?([.][a-z0-9]([-a-z0-9]*[a-z0-9])?)*/)?[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?$"
_LABEL_KEY = Rule(
    cel=f"self.matches('{_LABEL_KEY_PATTERN}') && self.indexOf('/') <= 253",
    message="must be a key as labels and taints have it, [DOMAIN/]NAME, with letters, digits, '-', '_' and '.' in NAME; copy it from kubectl describe node",
    holds=lambda text: bool(re.fullmatch(_LABEL_KEY_PATTERN, text)) and text.find("/") <= 253,
)
_LABEL_VALUE = Rule(
    cel=f"self == '' || self.matches('{LABEL_VALUE}')",
    message="must be a value as labels and taints have it: letters, digits, '-', '_' and '.', beginning and ending with a letter or digit; copy it from kubectl describe node",
    holds=lambda text: text == "" or bool(re.fullmatch(LABEL_VALUE, text)),
)


class Toleration(ApiModel):
    """A toleration of the engine pods, as in a PodSpec."""

    rules = (
        Rule(
            cel="!(has(self.value) && has(self.operator) && self.operator == 'Exists')",
            message="value must be left out with operator Exists; remove value, or write operator Equal",
            holds=lambda m: not (m.value is not None and m.operator is TolerationOperator.EXISTS),
            got_cel="'value ' + self.value",
            got=lambda m: f"value {m.value}",
        ),
        Rule(
            cel="has(self.key) || (has(self.operator) && self.operator == 'Exists')",
            message="a toleration without key must have operator Exists; name the taint's key",
            holds=lambda m: m.key is not None or m.operator is TolerationOperator.EXISTS,
            got_cel="has(self.operator) ? self.operator : 'no operator'",
            got=lambda m: m.operator or "no operator",
        ),
    )

    key: Annotated[str, *ruled(_LABEL_KEY, min_length=1, max_length=317)] | None = None
    """Key of the taint. Without it, with operator Exists: every taint."""
    operator: TolerationOperator | None = None
    """Without it: Equal."""
    value: Annotated[str, *ruled(_LABEL_VALUE, max_length=63)] | None = None
    """Value of the taint, with operator Equal."""
    effect: TaintEffect | None = None
    """Effect of the taint. Without it: every effect."""


def _list_bad_keys(labels: dict[str, str]) -> list[str]:
    return [key for key in labels if not re.fullmatch(_LABEL_KEY_PATTERN, key) or key.find("/") > 253]


def _list_bad_values(labels: dict[str, str]) -> list[str]:
    return [f"{key}: {value}" for key, value in labels.items() if value and not re.fullmatch(LABEL_VALUE, value)]


_LABEL_KEYS = Rule(
    cel=f"self.all(key, key.matches('{_LABEL_KEY_PATTERN}') && key.indexOf('/') <= 253)",
    message="must have keys as labels have them, [DOMAIN/]NAME, with letters, digits, '-', '_' and '.' in NAME; copy them from kubectl get nodes --show-labels",
    holds=lambda labels: not _list_bad_keys(labels),
    got_cel=f"self.filter(key, !(key.matches('{_LABEL_KEY_PATTERN}') && key.indexOf('/') <= 253))[0]",
    got=lambda labels: _list_bad_keys(labels)[0],
)
_LABEL_VALUES = Rule(
    cel=f"self.all(key, self[key] == '' || self[key].matches('{LABEL_VALUE}'))",
    message="must have values as labels have them: letters, digits, '-', '_' and '.', beginning and ending with a letter or digit; copy them from kubectl get nodes --show-labels",
    holds=lambda labels: not _list_bad_values(labels),
    got_cel=f"self.filter(key, self[key] != '' && !self[key].matches('{LABEL_VALUE}')).map(key, key + ': ' + self[key])[0]",
    got=lambda labels: _list_bad_values(labels)[0],
)
LabelValue = Annotated[str, Field(max_length=63)]
LabelSelector = Annotated[dict[str, LabelValue], *ruled(_LABEL_KEYS, _LABEL_VALUES, max_length=16)]


class Nodes(ApiModel):
    """On which nodes engine pods may run."""

    selector: LabelSelector | None = None
    """Labels that a node must carry."""
    tolerations: (
        Annotated[list[Toleration], Field(max_length=16, json_schema_extra={"x-kubernetes-list-type": "atomic"})] | None
    ) = None
    """Taints that engine pods tolerate."""
    requirements: NodeRequirements | None = None
    """Requirements that are checked before any pod is created."""
