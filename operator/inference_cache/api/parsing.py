"""Stored object to model: the reconciler's own check of the spec, with messages that name field, value and remedy."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError

from .v1alpha1 import NAME_RULE, InferenceCacheDeploymentSpec


@dataclass(frozen=True)
class Violation:
    """One field that does not obey the API."""

    field: str
    message: str

    def __str__(self) -> str:
        return f"{self.field}: {self.message}"


def parse_spec(name: str, spec: Mapping[str, Any]) -> InferenceCacheDeploymentSpec | list[Violation]:
    """Return the typed spec, or every violation found.

    The API server refuses the same mistakes when the CRD that belongs to this operator is installed; with an older or
    hand-edited CRD this is what keeps them from taking effect.
    """
    violations = [] if NAME_RULE.holds(name) else [Violation("metadata.name", f"{NAME_RULE.message} (got {name})")]
    try:
        # As JSON, since strict validation then still takes the words of an enum for its members.
        parsed = InferenceCacheDeploymentSpec.model_validate_json(
            json.dumps(spec), strict=True, by_alias=True, by_name=False
        )
    except ValidationError as error:
        return [*violations, *(_violation(item) for item in error.errors(include_url=False))]
    return violations or parsed


def _violation(item: Any) -> Violation:
    path = "spec"
    for part in item["loc"]:
        path += f"[{part}]" if isinstance(part, int) else f".{part}"
    shown = item["input"]
    got = "" if isinstance(shown, dict | list) or item["type"] == "missing" else f" (got {shown!r})"
    return Violation(path, f"{item['msg']}{got}"[:512])
