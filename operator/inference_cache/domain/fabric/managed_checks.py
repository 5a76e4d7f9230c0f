"""Mode Manage: whether what was written took effect, and which objects of the fabric are as they should be."""

from collections.abc import Mapping, Sequence

from inference_cache.api.fabric import InferenceCacheFabricSpec
from inference_cache.domain import kinds
from inference_cache.domain.drift import is_current
from inference_cache.domain.kinds import Kind
from inference_cache.domain.live import Live
from inference_cache.domain.manifest import Manifest
from inference_cache.domain.reasons import Reason

from .device_plugin import POLICY_NAME, find_resource, read_entries
from .findings import Finding, ObjectState
from .form import SECTIONS, Form
from .network_checks import Networks, check_fabric_networks
from .object_states import check_object, check_section, is_network

Key = tuple[Kind, str, str]


def check_managed(
    fabric: str,
    spec: InferenceCacheFabricSpec,
    form: Form,
    desired: Sequence[Manifest],
    live: Mapping[Key, Live],
    policy: Live | None,
    networks: Networks | None,
) -> tuple[list[Finding], list[ObjectState]]:
    """Return what is the matter with the objects of a managed fabric, and the state of each, after the writes of a pass."""
    findings: list[Finding] = []
    states: list[ObjectState] = []
    made: set[tuple[str, str]] = set()
    for manifest in desired:
        found = live.get((manifest.kind, manifest.namespace, manifest.name))
        where = (str(manifest.kind), manifest.namespace, manifest.name)
        if found is None:
            states.append(ObjectState(*where, "Missing", Reason.FabricObjectsMissing))
            continue
        trouble = check_object(found)
        if trouble is not None:
            findings.append(trouble)
        if trouble is not None and not trouble.advisory:
            states.append(ObjectState(*where, "Faulty", trouble.reason))
            continue
        states.append(ObjectState(*where, "Applied" if is_current(found, manifest) else "Present"))
        if is_network(manifest.kind):
            made.add((manifest.body["spec"]["networkNamespace"], manifest.name))
        elif manifest.kind is kinds.NETWORK_ATTACHMENT:
            made.add((manifest.namespace, manifest.name))
    if form.plugin is kinds.NIC_CLUSTER_POLICY:
        more, state = _check_entry(spec, policy)
        findings += more
        states.append(state)
    if networks is not None:
        findings += _check_networks(fabric, spec, form, made, networks)
    return findings, states


def _check_entry(spec: InferenceCacheFabricSpec, policy: Live | None) -> tuple[list[Finding], ObjectState]:
    kind, section = str(kinds.NIC_CLUSTER_POLICY), SECTIONS[spec.type]
    resources = {find_resource(section, item) for item in read_entries(policy)[section]}
    if policy is None or spec.resource_name not in resources:
        return [], ObjectState(kind, "", POLICY_NAME, "Missing", Reason.FabricObjectsMissing)
    trouble = check_section(policy, section)
    if trouble is not None:
        return [trouble], ObjectState(kind, "", POLICY_NAME, "Faulty", trouble.reason)
    return [], ObjectState(kind, "", POLICY_NAME, "Applied")


def _check_networks(
    fabric: str, spec: InferenceCacheFabricSpec, form: Form, made: set[tuple[str, str]], networks: Networks
) -> list[Finding]:
    told, _ = check_fabric_networks(fabric, spec, spec.namespaces or [], networks)
    # Those that are missing are told by the object that should have brought them.
    findings = [finding for finding in told if finding.reason is not Reason.NetworkNotFound]
    for namespace, name in sorted(made):
        if (namespace, name) not in networks and not form.plain:
            text = (
                f"{form.network} {name} has not brought its NetworkAttachmentDefinition in namespace {namespace} yet."
            )
            findings.append(Finding(Reason.FabricObjectFaulty, text, passing=True))
    return findings
