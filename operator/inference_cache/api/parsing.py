"""Stored object to model: the operator's own check of what people wrote, with messages that name field, value and remedy."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from pydantic import ValidationError

from .base import ApiModel, Rule
from .fabric import FABRIC_NAME_RULE, InferenceCacheFabricSpec
from .fields import Form
from .forms import DEPLOYMENT_FORM, FABRIC_FORM, REPORT_FORM
from .node_report import InferenceCacheNodeReport
from .plain import make_plain
from .v1alpha1 import NAME_RULE, InferenceCacheDeploymentSpec
from .wording import MAX_MESSAGE, describe, shorten

Model = TypeVar("Model", bound=ApiModel)


@dataclass(frozen=True)
class Violation:
    """One field that does not obey the API."""

    field: str
    message: str

    def __str__(self) -> str:
        return f"{self.field}: {self.message}"


def parse_spec(name: str, spec: Mapping[str, Any]) -> InferenceCacheDeploymentSpec | list[Violation]:
    """Return the typed spec of an InferenceCacheDeployment, or every violation found.

    The API server refuses the same mistakes when the CRD that belongs to this operator is installed; with an older or
    hand-edited CRD this is what keeps them from taking effect. A spec that was read from YAML may hold dates and other
    things that JSON has not; they are violations too.
    """
    return _parse(InferenceCacheDeploymentSpec, DEPLOYMENT_FORM, spec, _check_name(NAME_RULE, name))


def parse_fabric(name: str, spec: Mapping[str, Any]) -> InferenceCacheFabricSpec | list[Violation]:
    """Return the typed spec of an InferenceCacheFabric, or every violation found, as parse_spec does."""
    return _parse(InferenceCacheFabricSpec, FABRIC_FORM, spec, _check_name(FABRIC_NAME_RULE, name))


def parse_report(body: Mapping[str, Any]) -> InferenceCacheNodeReport | list[Violation]:
    """Return what a NodeCapabilityReport says, or every violation found; the object has the name of its node."""
    return _parse(InferenceCacheNodeReport, REPORT_FORM, body.get("report"), [])


def _parse(model: type[Model], form: Form, value: object, violations: list[Violation]) -> Model | list[Violation]:
    plain, problems = make_plain(form, value)
    violations += [Violation(field, shorten(message, MAX_MESSAGE)) for field, message in problems]
    try:
        # As JSON, since strict validation then still takes the words of an enum for its members.
        parsed = model.model_validate_json(json.dumps(plain), strict=True, by_alias=True, by_name=False)
    except ValidationError as error:
        told = {field for field, _ in problems}
        found = (Violation(*describe(form, item)) for item in error.errors(include_url=False))
        return [*violations, *(item for item in found if item.field not in told)]
    return violations or parsed


def _check_name(rule: Rule, name: str) -> list[Violation]:
    if rule.holds(name):
        return []
    # The rule sits on the root, where the API server names no field, so its text does.
    text = rule.message.removeprefix("metadata.name ")
    return [Violation("metadata.name", shorten(f"{text} (got {name or 'no name'})", MAX_MESSAGE))]
