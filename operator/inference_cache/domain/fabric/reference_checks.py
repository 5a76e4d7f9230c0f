"""Mode Reference: whether everything that others have made is there, and if nodes lack the resource, who should make it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from inference_cache.api.fabric import InferenceCacheFabricSpec
from inference_cache.domain import kinds
from inference_cache.domain.kinds import Kind
from inference_cache.domain.live import Live
from inference_cache.domain.reasons import Reason

from .device_plugin import find_resource, parse_entries
from .facts import SRIOV
from .findings import Finding, ObjectState
from .form import SECTIONS, Served, describe_missing, split_resource
from .network_checks import Networks, check_fabric_networks, forbid
from .nodes import Survey

ROLE = "fabric-reference"


@dataclass(frozen=True, slots=True)
class Existing:
    """What there is in the cluster.

    Attributes:
        served: Whether the API server serves a kind.
        refused: Kinds that may not be read, with the API server's words.
        namespaces: Namespaces in which the networks must be.
        networks: NetworkAttachmentDefinitions; None where they were not read.
        policies: SriovNetworkNodePolicies; None where they were not read.
        policy: NicClusterPolicy; None where there is none.
    """

    served: Served
    refused: Mapping[Kind, str] = field(default_factory=dict)
    namespaces: Sequence[str] = ()
    networks: Networks | None = None
    policies: Sequence[Live] | None = None
    policy: Live | None = None


def check_reference(
    fabric: str, spec: InferenceCacheFabricSpec, existing: Existing, survey: Survey | None
) -> tuple[list[Finding], list[ObjectState]]:
    """Return what is missing or wrong, and the state of what is there."""
    findings, states = _check_networks(fabric, spec, existing)
    makers, kinds_of_makers = _find_makers(spec, existing)
    states += makers
    # A device plugin may have been installed in ways that the API does not show, so nodes that advertise are enough.
    if survey is not None and survey.counts.selected and not survey.advertising and not makers:
        findings.append(_explain(spec, existing, kinds_of_makers))
    return findings, states


def _check_networks(
    fabric: str, spec: InferenceCacheFabricSpec, existing: Existing
) -> tuple[list[Finding], list[ObjectState]]:
    if not spec.networks:
        return [], []
    kind = kinds.NETWORK_ATTACHMENT
    served = existing.served(kind)
    if served is False:
        return [describe_missing(kind)], []
    if refusal := existing.refused.get(kind):
        return [forbid(kind, ROLE, refusal)], []
    if served is None or existing.networks is None:
        return [Finding(Reason.Waiting, f"{kind}s have not been read yet.", passing=True, unknown=True)], []
    return check_fabric_networks(fabric, spec, existing.namespaces, existing.networks)


def _find_makers(spec: InferenceCacheFabricSpec, existing: Existing) -> tuple[list[ObjectState], Kind]:
    """Return the objects that make the resource, and of which kind they are."""
    if spec.type in SRIOV:
        name = split_resource(spec.resource_name)[1]
        found = [
            ObjectState(str(item.kind), item.namespace, item.name, "Present")
            for item in existing.policies or ()
            if (item.body.get("spec") or {}).get("resourceName") == name
        ]
        return found, kinds.SRIOV_POLICY
    section = SECTIONS[spec.type]
    entries = parse_entries(section, existing.policy.body) if existing.policy else []
    kind = kinds.NIC_CLUSTER_POLICY
    if existing.policy and any(find_resource(section, item) == spec.resource_name for item in entries):
        return [ObjectState(str(kind), "", existing.policy.name, "Present")], kind
    return [], kind


def _explain(spec: InferenceCacheFabricSpec, existing: Existing, kind: Kind) -> Finding:
    nobody = f"No selected node advertises {spec.resource_name}"
    if existing.served(kind) is False:
        missing = describe_missing(kind)
        return Finding(missing.reason, f"{nobody}. {missing.message}")
    if refusal := existing.refused.get(kind):
        return forbid(kind, ROLE, refusal)
    where = f"section {SECTIONS[spec.type]} of {kind}" if spec.type in SECTIONS else kind
    return Finding(Reason.FabricObjectsMissing, f"{nobody}, and no {where} makes it.")
