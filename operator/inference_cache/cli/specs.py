"""From documents to typed specs, with every violation that can be found without knowing the operator."""

from typing import Final

from inference_cache.api.fabric import InferenceCacheFabricSpec
from inference_cache.api.parsing import Violation, parse_fabric, parse_spec
from inference_cache.api.v1alpha1 import InferenceCacheDeploymentSpec

from .documents import Document

_TOP_LEVEL: Final = frozenset({"apiVersion", "kind", "metadata", "spec", "status"})
_NO_SPEC: Final = Violation("spec", "is missing or no mapping; docs/api.md lists its fields")


def parse_document(document: Document) -> InferenceCacheDeploymentSpec | list[Violation]:
    """Return the typed spec, or every violation that can be found without knowing the operator."""
    found = _check_frame(document, "deployment", 45)
    spec = document.body.get("spec")
    if not isinstance(spec, dict):
        return [*found, _NO_SPEC]
    parsed = parse_spec(document.name or "unnamed", spec)
    return [*found, *parsed] if isinstance(parsed, list) else found or parsed


def parse_fabric_document(document: Document) -> InferenceCacheFabricSpec | list[Violation]:
    """Return the typed spec of a fabric, or every violation."""
    found = _check_frame(document, "fabric", 30)
    if document.namespace is not None:
        found.append(Violation("metadata.namespace", "must be absent, as fabrics are cluster-scoped; remove it"))
    spec = document.body.get("spec")
    if not isinstance(spec, dict):
        return [*found, _NO_SPEC]
    parsed = parse_fabric(document.name or "unnamed", spec)
    return [*found, *parsed] if isinstance(parsed, list) else found or parsed


def _check_frame(document: Document, what: str, longest: int) -> list[Violation]:
    """Return what is wrong around the spec."""
    found = [
        Violation(str(key), f"is no field of a {what}; remove it, or move it below spec")
        for key in document.body
        if key not in _TOP_LEVEL
    ]
    if not document.name:
        text = f"is missing; write a name of at most {longest} lower case letters, digits and '-'"
        found.append(Violation("metadata.name", text))
    return found
