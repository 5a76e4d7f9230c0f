"""Fabrics from files: what breaks a rule, and which objects mode Manage would make, as far as that is known without a cluster.

What a fabric becomes depends on which operators are installed. Without a cluster, all of them are, or, on request, none
but Multus and the SR-IOV network operator.
"""

from collections.abc import Iterable
from typing import Any, Final

from inference_cache.api.fabric import FabricMode, NodeDrain
from inference_cache.api.parsing import Violation
from inference_cache.domain.fabric.device_plugin import build_entry, build_shared_policy, merge_entries
from inference_cache.domain.fabric.facts import FabricFacts, project_fabric
from inference_cache.domain.fabric.findings import Finding
from inference_cache.domain.fabric.form import SECTIONS, Form, choose_form
from inference_cache.domain.fabric.plan import build_desired
from inference_cache.domain.fabric.rules import check_rules
from inference_cache.domain.kinds import NIC_CLUSTER_POLICY, SRIOV_POLICY, Kind
from inference_cache.domain.reasons import Reason

from .documents import Document
from .failure import CommandError
from .specs import parse_fabric_document

_NVIDIA_GROUP: Final = "mellanox.com"


def read_fabrics(documents: Iterable[Document]) -> dict[str, FabricFacts]:
    """Return the facts of fabrics by name; those that break a rule say so themselves."""
    return {document.name: _read_facts(document) for document in documents}


def check_fabric(document: Document) -> list[Violation]:
    """Return every violation of a fabric, with the rules of the operators that would carry it out."""
    parsed = parse_fabric_document(document)
    if isinstance(parsed, list):
        return parsed
    if parsed.mode is not FabricMode.MANAGE:
        return []
    form = _choose_form(_read_facts(document), plain=False)
    found = [item for item in check_rules(parsed, form) if not item.advisory]
    return [Violation("spec", f"{item.reason.name}: {item.message}") for item in found]


def render_fabric(document: Document, *, plain: bool) -> tuple[list[dict[str, Any]], list[str]]:
    """Return the objects that mode Manage makes of a fabric, and remarks on them.

    Args:
        document: The fabric.
        plain: As in a cluster without the NVIDIA network operator.

    Raises:
        CommandError: The fabric breaks a rule.
    """
    violations = check_fabric(document)
    facts = _read_facts(document)
    if violations or facts.spec is None:
        listed = "; ".join(map(str, violations[:3]))
        raise CommandError(
            f"{document.where} ({document.name or 'no name'}) is refused: {listed}",
            "icd lint -f shows every violation.",
        )
    if not facts.managed:
        return [], [f"{document.name}: mode Reference makes no objects."]
    form = _choose_form(facts, plain=plain)
    remarks = []
    if form.plugin is SRIOV_POLICY and facts.spec.node_drain is not NodeDrain.ACKNOWLEDGED:
        reason = Reason.NodeDrainNotAcknowledged
        remarks.append(f"{document.name}: the operator would hold these back: {reason.meaning} {reason.remedy}")
    objects = [manifest.body for manifest in build_desired(facts, form)]
    if form.plugin is NIC_CLUSTER_POLICY:
        objects.append(_render_policy(facts))
        remarks.append(
            f"{document.name}: NicClusterPolicy belongs to many; the operator applies this section of it, with the entries "
            "of other fabrics beside this one."
        )
    elif form.plugin is None:
        remarks.append(
            f"{document.name}: another device plugin must advertise {facts.spec.resource_name}, as there is no NicClusterPolicy."
        )
    return objects, remarks


def _render_policy(facts: FabricFacts) -> dict[str, Any]:
    spec = facts.spec
    if spec is None or spec.devices is None:
        raise ValueError("only a managed fabric has a section")
    section = SECTIONS[spec.type]
    entries = merge_entries({}, section, build_entry(spec))
    images = {section: spec.devices.plugin_image} if spec.devices.plugin_image else {}
    manifest = build_shared_policy(entries, None, images)
    return manifest.body if manifest else {}


def _choose_form(facts: FabricFacts, *, plain: bool) -> Form:
    def served(kind: Kind) -> bool:
        return not (plain and kind.group == _NVIDIA_GROUP)

    if facts.spec is None:
        raise ValueError("a fabric that breaks a rule has no form")
    form = choose_form(facts.spec, served, (), None)
    if isinstance(form, Finding):
        raise CommandError(f"{facts.name} cannot be rendered: {form.message}")
    return form


def _read_facts(document: Document) -> FabricFacts:
    """Return the facts of a fabric that no API server has stored yet."""
    metadata = {"uid": "", "resourceVersion": "", "name": document.name or "unnamed"}
    spec = document.body.get("spec")
    return project_fabric({"metadata": metadata, "spec": spec if isinstance(spec, dict) else {}})
