"""Stored object to model: the reconciler's own check of the spec, with messages that name field, value and remedy."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError

from .plain import make_plain
from .v1alpha1 import NAME_RULE, InferenceCacheDeploymentSpec
from .wording import MAX_MESSAGE, describe, shorten


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
    hand-edited CRD this is what keeps them from taking effect. A spec that was read from YAML may hold dates and other
    things that JSON has not; they are violations too.
    """
    violations = [] if NAME_RULE.holds(name) else [_refuse_name(name)]
    plain, problems = make_plain(spec)
    violations += [Violation(field, shorten(message, MAX_MESSAGE)) for field, message in problems]
    try:
        # As JSON, since strict validation then still takes the words of an enum for its members.
        parsed = InferenceCacheDeploymentSpec.model_validate_json(
            json.dumps(plain), strict=True, by_alias=True, by_name=False
        )
    except ValidationError as error:
        told = {field for field, _ in problems}
        found = (Violation(*describe(item)) for item in error.errors(include_url=False))
        return [*violations, *(item for item in found if item.field not in told)]
    return violations or parsed


def _refuse_name(name: str) -> Violation:
    # The rule sits on the root, where the API server names no field, so its text does.
    text = NAME_RULE.message.removeprefix("metadata.name ")
    return Violation("metadata.name", shorten(f"{text} (got {name or 'no name'})", MAX_MESSAGE))
