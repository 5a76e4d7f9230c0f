"""Brings situations into a cluster: nodes, what other projects say of them, networks, fabrics and deployments."""

import json
from collections.abc import Iterable, Mapping
from typing import Any, Final

import yaml

from e2e.cluster import Cluster
from e2e.rig import Rig
from e2e.space import SECRET, Space

from .machines import OPERATOR_NAMESPACE, build_machine
from .model import Situation
from .network_table import dump_config

_WITH_STATUS: Final = {"SriovNetworkNodeState", "NicDevice"}
_KEY: Final = "tests-secret-0123456789"


def build_machines(situation: Situation, mark: Mapping[str, str]) -> list[dict[str, Any]]:
    """Return the objects of a situation's machines."""
    found = []
    for number, machine in enumerate(situation.machines):
        found += build_machine(f"{situation.slug}-{number}", situation.slug, machine, mark)
    return found


def build_networks(situation: Situation) -> list[dict[str, Any]]:
    """Return the NetworkAttachmentDefinitions of a situation."""
    return [
        {
            "apiVersion": "k8s.cni.cncf.io/v1",
            "kind": "NetworkAttachmentDefinition",
            "metadata": {
                "name": name,
                "namespace": situation.slug,
                "annotations": {"k8s.v1.cni.cncf.io/resourceName": resource} if resource else {},
            },
            "spec": {"config": dump_config(config)},
        }
        for name, (config, resource) in situation.networks.items()
    ]


def build_fabric(situation: Situation) -> dict[str, Any] | None:
    """Return the situation's fabric."""
    if situation.fabric is None:
        return None
    selector = {"nodeSelector": {"situation": situation.slug}}
    return {
        "apiVersion": "inferencecache.io/v1alpha1",
        "kind": "InferenceCacheFabric",
        "metadata": {"name": situation.fabric_name},
        "spec": {**situation.fabric, **selector},
    }


def build_deployment(situation: Situation, space: Space) -> dict[str, Any]:
    """Return the situation's deployment."""
    body = space.build("model")
    spec = body["spec"]
    spec["engine"] |= situation.engine
    memory, store = spec["cache"]["tiers"]
    memory["memory"]["size"] = situation.memory
    store["objectStore"] |= situation.store
    spec["nodes"]["selector"] = {"situation": situation.slug}
    spec["nodes"]["requirements"] = dict(situation.requirements)
    if situation.transport is not None:
        transport = json.loads(json.dumps(situation.transport).replace("FABRIC", situation.fabric_name))
        spec["transport"] = transport
    return body


class Stage:
    """A cluster that is filled with situations.

    Args:
        rig: The surroundings.
        situations: All that are to be shown.
    """

    def __init__(self, rig: Rig, situations: Iterable[Situation]) -> None:
        self.rig = rig
        self.cluster: Cluster = rig.cluster
        self.situations = list(situations)
        self.spaces: dict[str, Space] = {}

    def set_up(self) -> None:
        """Make everything but the deployments."""
        cluster = self.cluster
        objects: list[dict[str, Any]] = [_namespace(OPERATOR_NAMESPACE, {}, cluster.mark)]
        nodes: list[dict[str, Any]] = []
        for situation in self.situations:
            namespace = _namespace(situation.slug, situation.namespace_labels, cluster.mark)
            objects += [namespace, _secret(situation.slug), *build_networks(situation), *map(dict, situation.others)]
            fabric = build_fabric(situation)
            objects += [fabric] if fabric else []
            for item in build_machines(situation, cluster.mark):
                (nodes if item["kind"] == "Node" else objects).append(item)
        cluster.kubectl("create", "-f", "-", stdin=yaml.safe_dump_all(nodes), timeout=120)
        self.put(objects)

    def put(self, objects: Iterable[Mapping[str, Any]]) -> None:
        """Apply objects, those with a status in two steps."""
        items = [dict(item) for item in objects]
        self._apply(items)
        if told := [item for item in items if item["kind"] in _WITH_STATUS]:
            self._apply(told, "--subresource=status")

    def deploy(self) -> None:
        """Apply the deployments, all at once."""
        bodies = []
        for situation in self.situations:
            space = Space(self.rig, situation.slug, create=False)
            self.spaces[situation.name] = space
            bodies.append(build_deployment(situation, space))
        self._apply(bodies)

    def strike(self) -> None:
        """Take away what would disturb other tests; namespaces go by themselves."""
        for kind in ("icd", "icf"):
            self.cluster.kubectl("delete", kind, "--all", "--all-namespaces", "--wait=false", check=False)
        self.cluster.kubectl("delete", "nodes", "-l", "situation", "--wait=false")
        names = [situation.slug for situation in self.situations]
        self.cluster.kubectl("delete", "namespace", *names, "--wait=false", check=False)

    def _apply(self, items: list[dict[str, Any]], *options: str) -> None:
        text = yaml.safe_dump_all(items)
        self.cluster.kubectl(
            "apply", "--server-side", "--force-conflicts", *options, "-f", "-", stdin=text, timeout=180
        )


def _namespace(name: str, labels: Mapping[str, str], mark: Mapping[str, str]) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": {**mark, **labels}}}


def _secret(namespace: str) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": SECRET, "namespace": namespace},
        "stringData": {"AWS_ACCESS_KEY_ID": "tests", "AWS_SECRET_ACCESS_KEY": _KEY},
    }
