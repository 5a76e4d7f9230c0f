"""Whether the networks of a fabric are there, in every namespace that it serves, and fit to carry RDMA."""

from collections.abc import Collection, Iterable, Mapping, Sequence

from inference_cache.api.fabric import InferenceCacheFabricSpec
from inference_cache.domain.attachment import Attachment, Network
from inference_cache.domain.reasons import Reason

from .facts import LINK_TYPES, SHARED
from .findings import Finding, ObjectState
from .networks import ADVISORY, NetworkFacts, check_network, check_rails, locate_network

Networks = Mapping[tuple[str, str], NetworkFacts]

_KIND = "NetworkAttachmentDefinition"


def build_attachment(fabric: str, spec: InferenceCacheFabricSpec, namespace: str) -> Attachment:
    """Return what a pod of a namespace gets of a fabric."""
    networks = tuple(
        Network(name, home, f"net{number}")
        for number, network in enumerate(spec.networks or [], start=1)
        for home, name in [locate_network(spec, network, namespace)]
    )
    per_network = spec.type not in SHARED
    return Attachment(
        fabric=fabric,
        resource_name=spec.resource_name,
        device_class=None,
        count=max(1, len(networks)) if per_network else 1,
        networks=networks,
        per_network=per_network,
        link_type=LINK_TYPES.get(spec.type),
    )


def list_namespaces(spec: InferenceCacheFabricSpec, referrers: Iterable[tuple[str, str]]) -> list[str]:
    """Return the namespaces in which networks must be: those that the fabric names, else those of its deployments."""
    return list(spec.namespaces) if spec.namespaces else sorted({namespace for namespace, _ in referrers})


def check_namespaces(spec: InferenceCacheFabricSpec, known: Collection[str] | None) -> list[Finding]:
    """Return the namespaces of a fabric that do not exist.

    Args:
        spec: The fabric's spec.
        known: The namespaces of the cluster; None where they cannot be read, and then nothing is said.
    """
    if known is None:
        return []
    missing = [name for name in spec.namespaces or [] if name not in known]
    return [
        Finding(Reason.NamespaceNotFound, f"Namespace {name} of spec.namespaces does not exist.") for name in missing
    ]


def check_fabric_networks(
    fabric: str, spec: InferenceCacheFabricSpec, namespaces: Sequence[str], networks: Networks
) -> tuple[list[Finding], list[ObjectState]]:
    """Return what is the matter with a fabric's networks, and the state of each."""
    findings: list[Finding] = []
    states: dict[tuple[str, str], ObjectState] = {}
    for namespace in namespaces:
        attachment = build_attachment(fabric, spec, namespace)
        there = []
        for wanted in attachment.networks:
            key = (wanted.namespace, wanted.name)
            facts = networks.get(key)
            if facts is not None:
                there.append(facts)
            if key in states:
                continue
            told = check_network(facts, wanted=wanted, attachment=attachment, namespace=namespace)
            findings += [Finding(reason, text, advisory=reason in ADVISORY) for reason, text in told]
            worst = next((reason for reason, _ in told if reason not in ADVISORY), None)
            state = "Missing" if facts is None else "Faulty" if worst else "Present"
            states[key] = ObjectState(_KIND, *key, state, worst)
        findings += [Finding(reason, text) for reason, text in check_rails(there)]
    return list(dict.fromkeys(findings)), list(states.values())


def list_pools(spec: InferenceCacheFabricSpec, namespaces: Sequence[str], networks: Networks | None) -> frozenset[str]:
    """Return the address pools of nv-ipam that the fabric's networks take from."""
    named = {network.ipam.pool_name for network in spec.networks or [] if network.ipam and network.ipam.pool_name}
    for namespace in namespaces:
        for network in spec.networks or []:
            facts = (networks or {}).get(locate_network(spec, network, namespace))
            if facts is not None and facts.pool:
                named.add(facts.pool)
    return frozenset(named)


def forbid(kind: object, role: str, refusal: str, *, unknown: bool = True) -> Finding:
    """Return the finding about a kind that the operator has no right to read.

    Args:
        kind: Which one.
        role: File with the ClusterRole that grants it.
        refusal: What the API server said.
        unknown: Whether it only keeps something from being observed.
    """
    text = f"The operator may not read {kind}: apply manifests/optional/{role}.yaml ({refusal.rstrip('.')})."
    return Finding(Reason.Forbidden, text, unknown=unknown)
