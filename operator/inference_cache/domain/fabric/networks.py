"""What a NetworkAttachmentDefinition says, and what speaks against attaching a pod with RDMA to it.

The API server stores spec.config as text and checks nothing of it, so mistakes show only when a pod is started; they are
found here before.
"""

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from ipaddress import IPv4Network, IPv6Network, ip_network
from itertools import islice, pairwise
from typing import Any, Final

from inference_cache.api.fabric import FabricMode, FabricNetwork, InferenceCacheFabricSpec
from inference_cache.api.networks import LinkType
from inference_cache.domain import names
from inference_cache.domain.attachment import Attachment, Network
from inference_cache.domain.reasons import Reason

ROCE_MTU: Final = 4200
"""Least MTU of an interface that carries RoCE packets of 4096 bytes with their headers."""

ADVISORY: Final = frozenset({Reason.NetworkNamespaceIsolated})
"""Findings that may be harmless: nothing in the API tells whether Multus isolates namespaces."""

# These take their device from the resource that the annotation names; without it Multus hands them none.
_DEVICE_PLUGINS: Final = frozenset({"sriov", "ib-sriov", "host-device"})
_INFINIBAND_PLUGINS: Final = frozenset({"ib-sriov", "ipoib"})

# Anyone who may create a NetworkAttachmentDefinition decides how long its configuration is, and real ones are short.
_MAX_CONFIG_BYTES: Final = 64 * 1024
_MAX_SUBNETS: Final = 32
_SHOWN_SUBNETS: Final = 4

Finding = tuple[Reason, str]
Span = tuple[int, int, int]
"""IP version, first and last address."""


@dataclass(frozen=True, slots=True)
class NetworkFacts:
    """One NetworkAttachmentDefinition.

    Attributes:
        resource_name: Extended resource that its annotation names; None without the annotation.
        cni_type: CNI plugin that makes the interface, which is the first of a list of plugins; empty if malformed.
        ipam_type: Who gives addresses; empty where nobody does.
        subnets: Networks that addresses are taken from, as far as the configuration tells, and no more than 32.
        pool: Address pool of nv-ipam; empty with others.
        mtu: MTU that it sets; None where it leaves it alone.
        malformed: What is wrong with the configuration; empty where nothing is.
        controlled: Whether another object controls it, as those of the SR-IOV network operator are by SriovNetworks.
        spans: The subnets as numbers, sorted and without overlap.
    """

    namespace: str
    name: str
    resource_name: str | None = None
    cni_type: str = ""
    ipam_type: str = ""
    subnets: tuple[str, ...] = ()
    pool: str = ""
    mtu: int | None = None
    malformed: str = ""
    controlled: bool = False
    spans: tuple[Span, ...] = field(init=False, compare=False, repr=False)

    def __post_init__(self) -> None:
        # Parsed once here, as networks are compared in every pass over a fabric or deployment.
        object.__setattr__(self, "spans", _merge_spans(self.subnets))

    def __str__(self) -> str:
        return f"NetworkAttachmentDefinition {self.namespace}/{self.name}"


def project_network(body: dict[str, Any]) -> NetworkFacts:
    """Return the facts of a NetworkAttachmentDefinition."""
    metadata = body["metadata"]
    namespace, name = metadata.get("namespace", ""), metadata["name"]
    resource = (metadata.get("annotations") or {}).get(names.ANNOTATION_NAD_RESOURCE) or None
    controlled = any(owner.get("controller") for owner in metadata.get("ownerReferences") or [])
    plugin = _find_plugin((body.get("spec") or {}).get("config"))
    if isinstance(plugin, str):
        return NetworkFacts(namespace, name, resource, malformed=plugin, controlled=controlled)
    ipam = plugin.get("ipam")
    ipam = ipam if isinstance(ipam, dict) else {}
    mtu = plugin.get("mtu")
    return NetworkFacts(
        namespace=namespace,
        name=name,
        resource_name=resource,
        cni_type=plugin["type"],
        ipam_type=_text(ipam.get("type")),
        subnets=tuple(islice(_list_subnets(ipam), _MAX_SUBNETS)),
        pool=_text(ipam.get("poolName")) if ipam.get("type") == "nv-ipam" else "",
        # 0 means the MTU of the master.
        mtu=mtu if isinstance(mtu, int) and mtu > 0 else None,
        controlled=controlled,
    )


def locate_network(spec: InferenceCacheFabricSpec, network: FabricNetwork, namespace: str) -> tuple[str, str]:
    """Return namespace and name of the NetworkAttachmentDefinition that pods of a namespace are attached to.

    Networks of mode Manage carry the namespace in their name, as the objects that make them are all in one namespace, or
    in none.
    """
    if spec.mode is FabricMode.MANAGE:
        return namespace, f"{network.name}-{namespace}"
    return network.namespace or namespace, network.name


def check_network(
    facts: NetworkFacts | None, *, wanted: Network, attachment: Attachment, namespace: str = ""
) -> list[Finding]:
    """Return what speaks against a network, the gravest first; those in ADVISORY may be harmless.

    Args:
        facts: The NetworkAttachmentDefinition; None where there is none.
        wanted: Which one was asked for.
        attachment: What the pods get.
        namespace: Namespace of the pods; empty where that does not matter.
    """
    if facts is None:
        return [
            (Reason.NetworkNotFound, f"NetworkAttachmentDefinition {wanted.namespace}/{wanted.name} does not exist.")
        ]
    if facts.malformed:
        return [(Reason.NetworkConfigMalformed, f"{facts}: {facts.malformed}.")]
    return [
        *_check_link(facts, attachment.link_type),
        *_check_resource(facts, attachment.resource_name),
        *_check_addresses(facts),
        *_check_mtu(facts, attachment.link_type),
        *_check_namespace(facts, namespace),
    ]


def check_rails(networks: Iterable[NetworkFacts]) -> list[Finding]:
    """Return the pairs of networks of one pod that have a subnet in common; Linux then answers on one of them only."""
    found: list[Finding] = []
    seen: list[NetworkFacts] = []
    for facts in networks:
        other = next((item for item in seen if _share_subnet(item, facts)), None)
        if other is not None:
            more = " and others" if len(facts.subnets) > _SHOWN_SUBNETS else ""
            where = facts.pool or ", ".join(facts.subnets[:_SHOWN_SUBNETS]) + more
            found.append((Reason.RailsShareSubnet, f"{other} and {facts.namespace}/{facts.name} both use {where}."))
        seen.append(facts)
    return found


def check_networks(
    pairs: Sequence[tuple[Network, NetworkFacts | None]], attachment: Attachment, namespace: str = ""
) -> list[Finding]:
    """Return what speaks against all networks of a pod, each alone and together."""
    each = [
        finding
        for wanted, facts in pairs
        for finding in check_network(facts, wanted=wanted, attachment=attachment, namespace=namespace)
    ]
    return [*each, *check_rails(facts for _, facts in pairs if facts is not None)]


def _check_link(facts: NetworkFacts, link: LinkType | None) -> list[Finding]:
    if link is LinkType.INFINIBAND and facts.cni_type == "sriov":
        return [(Reason.UseSriovIBNetwork, f"{facts} uses sriov, and the link is InfiniBand.")]
    if link is LinkType.INFINIBAND and facts.cni_type == "macvlan":
        return [(Reason.MacvlanOnInfiniBand, f"{facts} uses macvlan, and the link is InfiniBand.")]
    if link is LinkType.ETHERNET and facts.cni_type in _INFINIBAND_PLUGINS:
        text = f"{facts} uses {facts.cni_type}, which is for InfiniBand, and the link is Ethernet."
        return [(Reason.LinkTypeMismatch, text)]
    return []


def _check_resource(facts: NetworkFacts, resource: str | None) -> list[Finding]:
    if resource is None or facts.cni_type not in _DEVICE_PLUGINS or facts.resource_name == resource:
        return []
    told = facts.resource_name or "no resource"
    return [(Reason.NADResourceMismatch, f"{facts} is bound to {told}, and pods request {resource}.")]


def _check_addresses(facts: NetworkFacts) -> list[Finding]:
    if not facts.ipam_type:
        return [(Reason.IPAMMissing, f"{facts} has no ipam.")]
    if facts.ipam_type == "host-local":
        return [(Reason.IPAMNotClusterWide, f"{facts} takes addresses by host-local.")]
    return []


def _check_mtu(facts: NetworkFacts, link: LinkType | None) -> list[Finding]:
    if facts.mtu is None or facts.mtu >= ROCE_MTU or link is LinkType.INFINIBAND:
        return []
    return [(Reason.MTUTooSmall, f"{facts} sets MTU {facts.mtu}.")]


def _check_namespace(facts: NetworkFacts, namespace: str) -> list[Finding]:
    if not namespace or facts.namespace == namespace:
        return []
    return [(Reason.NetworkNamespaceIsolated, f"{facts} is attached to pods of namespace {namespace}.")]


def _find_plugin(text: object) -> dict[str, Any] | str:
    """Return the CNI plugin that makes the interface, or why there is none."""
    if not isinstance(text, str) or not text.strip():
        return "spec.config is empty"
    if len(text) > _MAX_CONFIG_BYTES or len(text.encode(errors="replace")) > _MAX_CONFIG_BYTES:
        return "spec.config is larger than 64 KiB"
    try:
        config = json.loads(text)
    except (ValueError, RecursionError):
        return "spec.config is no JSON"
    if not isinstance(config, dict):
        return "spec.config is no JSON object"
    if not isinstance(config.get("cniVersion"), str):
        return "spec.config has no cniVersion"
    plugins = config.get("plugins")
    plugin = plugins[0] if isinstance(plugins, list) and plugins else config
    if not isinstance(plugin, dict) or not isinstance(plugin.get("type"), str) or not plugin["type"]:
        return "spec.config names no CNI plugin (type)"
    return plugin


def _list_subnets(ipam: dict[str, Any]) -> Iterator[str]:
    """Yield the subnets, each once."""
    seen: set[str] = set()
    for text in dict.fromkeys(_list_ranges(ipam)):
        if (found := _parse_subnet(text)) is not None and (shown := str(found)) not in seen:
            seen.add(shown)
            yield shown


def _list_ranges(ipam: dict[str, Any]) -> Iterator[str]:
    ranges = ipam.get("ranges")
    listed = [item for group in ranges if isinstance(group, list) for item in group] if isinstance(ranges, list) else []
    more = ipam.get("ipRanges")
    entries = [ipam, *listed, *(more if isinstance(more, list) else [])]
    for entry in entries:
        if isinstance(entry, dict):
            for key in ("range", "subnet"):
                yield _text(entry.get(key))
    addresses = ipam.get("addresses")
    for item in addresses if isinstance(addresses, list) else []:
        if isinstance(item, dict):
            yield _text(item.get("address"))


def _parse_subnet(text: str) -> IPv4Network | IPv6Network | None:
    # Whereabouts also takes FIRST-LAST/PREFIX.
    if "/" not in text:
        return None
    first, _, prefix = text.partition("/")
    try:
        return ip_network(f"{first.partition('-')[0].strip()}/{prefix.strip()}", strict=False)
    except ValueError:
        return None


def _share_subnet(one: NetworkFacts, other: NetworkFacts) -> bool:
    if one.pool and one.pool == other.pool:
        return True
    both = sorted((*one.spans, *other.spans))
    # The spans of one network do not overlap, so neighbours that do are of both.
    return any(first[0] == second[0] and second[1] <= first[2] for first, second in pairwise(both))


def _merge_spans(subnets: Iterable[str]) -> tuple[Span, ...]:
    parsed = map(ip_network, subnets)
    found = [(item.version, int(item.network_address), int(item.broadcast_address)) for item in parsed]
    merged: list[Span] = []
    for span in sorted(found):
        # Subnets lie within each other or apart, and of those with one beginning the smallest is first.
        if merged and merged[-1][0] == span[0] and span[1] <= merged[-1][2]:
            merged[-1] = (span[0], merged[-1][1], max(merged[-1][2], span[2]))
        else:
            merged.append(span)
    return tuple(merged)


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""
