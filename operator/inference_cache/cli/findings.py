"""What `icd lint` finds: violations of the rules, with the line of each field."""

from dataclasses import dataclass

from inference_cache.api.fabric import FABRIC_KIND
from inference_cache.domain.assemble import Platform, assemble
from inference_cache.domain.scope import Identity
from inference_cache.domain.verdict import AnyCondition, ConditionType

from .documents import Document
from .fabric_documents import check_fabric
from .specs import parse_document


@dataclass(frozen=True)
class Finding:
    """One violation and where it stands."""

    file: str
    document: int
    line: int
    name: str
    field: str
    message: str


def check_document(document: Document, operator_namespace: str, image: str | None) -> list[Finding]:
    """Return every violation of one deployment or fabric, in the order of lines."""
    if document.kind == FABRIC_KIND:
        found = [(item.field, item.message) for item in check_fabric(document)]
    elif isinstance(parsed := parse_document(document), list):
        found = [(item.field, item.message) for item in parsed]
    else:
        identity = Identity(document.name, document.namespace or "default", "")
        assembly = assemble(identity, parsed, Platform(operator_namespace, image))
        field: dict[AnyCondition, str] = {ConditionType.SPEC_VALID: "spec", ConditionType.COMPATIBLE: "spec.engine"}
        found = [
            (field[check.condition], f"{check.reason.name}: {check.message}")
            for check in assembly.checks
            if check.blocks
        ]
    findings = [
        Finding(document.file, document.number, document.find_line(path), document.name, path, message)
        for path, message in found
    ]
    return sorted(findings, key=lambda item: item.line)
