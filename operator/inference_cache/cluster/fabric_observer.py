"""What one pass over a fabric sees: its nodes, the objects around it, the pods that use it, and what forbids any write."""

import asyncio
from collections.abc import Callable, Iterable, Sequence
from typing import Final, Protocol

from inference_cache.api.fabric import InferenceCacheFabricSpec
from inference_cache.domain import kinds, names
from inference_cache.domain.fabric.claims import check_claims, check_foreign_policies
from inference_cache.domain.fabric.device_plugin import POLICY_NAME, RDMA_SECTION
from inference_cache.domain.fabric.facts import SRIOV, FabricFacts
from inference_cache.domain.fabric.findings import Finding
from inference_cache.domain.fabric.form import PLUGIN_NAMESPACE, Form
from inference_cache.domain.fabric.network_checks import forbid, list_namespaces, list_pools
from inference_cache.domain.fabric.nodes import NodeTally, Survey
from inference_cache.domain.fabric.ownership import is_own
from inference_cache.domain.fabric.plan import NETWORK_KINDS, Surroundings, find_endangered
from inference_cache.domain.fabric.rules import check_rules, check_survey
from inference_cache.domain.fabric.usage import Usage
from inference_cache.domain.kinds import POD, Kind
from inference_cache.domain.live import Live
from inference_cache.domain.node_evidence import NodeEvidence
from inference_cache.domain.reasons import Reason

from .cache import NamespacedName
from .fabric_execute import MANAGE_ROLE
from .fabric_store import FabricStore
from .gateway import Gateway

# How many nodes are gone through before the event loop serves everything else.
_CHUNK: Final = 250
# A page of this many pods of 10 KB is parsed in about 20 ms.
_POD_PAGE: Final = 100


class Nodes(Protocol):
    """Who knows the nodes."""

    settled: bool

    def nodes(self) -> Iterable[NodeEvidence] | None:
        """Return the evidence of all nodes, or None before the first complete list."""


class FabricObserver:
    """Looks at everything around a fabric.

    Args:
        gateway: For the pods that may use what is to be deleted.
        store: What is known of fabrics.
        nodes: What is known of nodes.
        referrers: Returns the deployments that refer to a fabric.
    """

    def __init__(
        self,
        gateway: Gateway,
        store: FabricStore,
        nodes: Nodes,
        referrers: Callable[[str], Sequence[NamespacedName]],
    ) -> None:
        self._gateway = gateway
        self._store = store
        self._nodes = nodes
        self._referrers = referrers

    def find_unread(self, wanted: frozenset[Kind]) -> list[Kind]:
        """Return the kinds of these that are served and not read yet."""
        return self._store.find_unread(wanted)

    def is_settled(self, wanted: frozenset[Kind]) -> bool:
        """Whether everything that a pass looks at was read."""
        return not self._store.find_unread(wanted) and self._nodes.settled

    def list_namespaces(self, fabric: str, spec: InferenceCacheFabricSpec) -> list[str]:
        """Return the namespaces in which the networks of a fabric must be."""
        return list_namespaces(spec, self._referrers(fabric))

    def count_deployments(self, fabric: str) -> int:
        """Return how many deployments refer to a fabric."""
        return len(self._referrers(fabric))

    def find_policy(self) -> Live | None:
        """Return NicClusterPolicy, of which only one object counts."""
        return next((item for item in self._store.live(kinds.NIC_CLUSTER_POLICY) if item.name == POLICY_NAME), None)

    def look_around(self, fabric: FabricFacts, form: Form | None, live: Sequence[Live]) -> Surroundings:
        """Return what a plan is made from."""
        others = [item for item in self._store.fabrics() if item.uid != fabric.uid and item.spec is not None]
        return Surroundings(
            form=form,
            live=live,
            policy=self.find_policy(),
            kept=frozenset(item.spec.resource_name for item in others if item.spec is not None),
            images=_find_images([fabric, *others]),
        )

    async def survey(self, fabric: FabricFacts) -> Survey | None:
        """Return what the nodes tell, or None before they were read."""
        spec, nodes = fabric.spec, self._nodes.nodes()
        if nodes is None or spec is None:
            return None
        networks = self._store.networks() if spec.networks else None
        pools = list_pools(spec, self.list_namespaces(fabric.name, spec), networks)
        tally = NodeTally(
            spec,
            self._list_foreign_policies(),
            self._store.live(kinds.SRIOV_POOL_CONFIG),
            self._store.pool_blocks(pools) if pools else None,
        )
        for number, node in enumerate(nodes, start=1):
            tally.add(node)
            if number % _CHUNK == 0:
                await asyncio.sleep(0)
        return tally.finish()

    async def read_usage(self, fabric: FabricFacts, around: Surroundings) -> Usage:
        """Look at the pods of every namespace that the fabric serves or has networks in.

        Where nodes are to lose a resource, pods of all namespaces are looked at, until one is found that requests it.

        Raises:
            ClusterError: They could not be read.
        """
        spaces = {*((fabric.spec.namespaces if fabric.spec else None) or ())}
        for item in around.live:
            if item.kind is kinds.NETWORK_ATTACHMENT:
                spaces.add(item.namespace)
            elif item.kind in NETWORK_KINDS:
                spaces.add((item.body.get("spec") or {}).get("networkNamespace") or "default")
        usage = Usage()
        for namespace in sorted(spaces):
            async for page in self._gateway.list_pages(POD, namespace=namespace):
                for pod in page.get("items", []):
                    usage.add(pod)
        await self._look_for_requests(usage, find_endangered(fabric, around))
        return usage

    async def _look_for_requests(self, usage: Usage, resources: frozenset[str]) -> None:
        if _all_used(usage, resources):
            return
        async for page in self._gateway.list_pages(POD, limit=_POD_PAGE):
            for pod in page.get("items", []):
                usage.add_requests(pod, resources)
            if _all_used(usage, resources):
                return

    def find_blocks(self, fabric: FabricFacts, form: Form | Finding, survey: Survey | None) -> list[Finding]:
        """Return what speaks against writing anything of a managed fabric."""
        spec = fabric.spec
        if spec is None:
            return []
        if isinstance(form, Finding):
            return [form]
        needed = {form.network, kinds.NETWORK_ATTACHMENT, *([form.plugin] if form.plugin else [])}
        if form.plugin is kinds.DAEMON_SET:
            needed.add(kinds.CONFIG_MAP)
        blocked = [*self.find_blind(frozenset(needed)), *check_claims(fabric, spec, self._store.fabrics())]
        blocked += [*check_rules(spec, form), *self._check_pod_security(form)]
        if survey is None:
            # The policies of SR-IOV change nodes; without a look at them none is written.
            waiting = Finding(Reason.NodesUnknown, "The nodes have not been read yet.", passing=True, unknown=True)
            return [*blocked, waiting] if spec.type in SRIOV else blocked
        blocked += check_survey(spec, survey)
        return [*blocked, *check_foreign_policies(spec, self._list_foreign_policies(), survey.meets)]

    def _check_pod_security(self, form: Form) -> list[Finding]:
        level = self._store.pod_security(PLUGIN_NAMESPACE) if form.plugin is kinds.DAEMON_SET else None
        if level not in {"baseline", "restricted"}:
            return []
        text = f"Namespace {PLUGIN_NAMESPACE} enforces {level}, and the RDMA shared device plugin must be privileged."
        return [Finding(Reason.PodSecurityBlocked, text)]

    def find_blind(self, wanted: frozenset[Kind]) -> list[Finding]:
        """Return why objects of these kinds cannot be seen; what cannot be seen is neither written nor taken away."""
        refused = self._store.refused
        blind = [
            forbid(kind, MANAGE_ROLE, refused[kind], unknown=False)
            for kind in sorted(refused, key=str)
            if kind in wanted
        ]
        unread = [kind for kind in self._store.find_unread(wanted) if kind not in refused]
        text = "{}s have not been read yet."
        return [
            *blind,
            *(Finding(Reason.Waiting, text.format(kind), passing=True, unknown=True) for kind in unread),
        ]

    def _list_foreign_policies(self) -> list[Live]:
        """Return the SriovNetworkNodePolicies that no fabric has made; those of fabrics are told apart by their fabrics."""
        known = {fabric.name: fabric for fabric in self._store.fabrics()}
        return [
            item
            for item in self._store.live(kinds.SRIOV_POLICY)
            if (owner := (item.metadata.get("labels") or {}).get(names.LABEL_FABRIC)) not in known
            or not is_own(item, known[owner])
        ]


def _all_used(usage: Usage, resources: Iterable[str]) -> bool:
    return all(usage.find_resource_user(resource) is not None for resource in resources)


def _find_images(fabrics: Iterable[FabricFacts]) -> dict[str, str]:
    """Return the images that managed fabrics name, by section; of several the one of the oldest fabric."""
    found: dict[str, str] = {}
    for fabric in sorted(fabrics, key=lambda item: (item.created, item.name)):
        devices = fabric.spec.devices if fabric.spec else None
        if fabric.managed and devices is not None and devices.plugin_image is not None:
            found.setdefault(RDMA_SECTION, devices.plugin_image)
    return found
