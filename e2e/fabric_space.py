"""A fabric with nodes and a namespace of its own, and the parts of other operators, which a test plays itself."""

import json
from collections.abc import Mapping
from typing import Any, Final

import yaml

from e2e.cluster import wait_for
from e2e.rig import Rig
from e2e.situations.machines import OPERATOR_NAMESPACE, Adapter, Machine, build_machine
from inference_cache.domain import kinds, names
from inference_cache.domain.kinds import Kind

NETWORKS: Final[Mapping[str, Kind]] = {
    "SRIOVEthernet": kinds.SRIOV_NETWORK,
    "SRIOVInfiniBand": kinds.SRIOV_IB_NETWORK,
    "SharedMacvlan": kinds.MACVLAN_NETWORK,
    "SharedIPoIB": kinds.IPOIB_NETWORK,
    "HostDevice": kinds.HOST_DEVICE_NETWORK,
}
_CNI: Final = {
    "SRIOVEthernet": "sriov",
    "SRIOVInfiniBand": "ib-sriov",
    "SharedMacvlan": "macvlan",
    "SharedIPoIB": "ipoib",
    "HostDevice": "host-device",
}
_PREFIX: Final = {"SharedMacvlan": "rdma", "SharedIPoIB": "rdma"}
_DIVIDED: Final = ("SRIOVEthernet", "SRIOVInfiniBand")
_SHARED: Final = ("SharedMacvlan", "SharedIPoIB")
# Node selectors do not tell fabrics of the last three apart, so each type has a port of its own.
_PORTS: Final = {"SharedMacvlan": "ens4f0np0", "SharedIPoIB": "ens5f0np0", "HostDevice": "ens6f0np0"}
_PORT: Final = "ens3f0np0"
_IPAM: Final = {"type": "whereabouts", "range": "192.168.10.0/24"}
OWN_KINDS: Final = (
    *NETWORKS.values(),
    kinds.SRIOV_POLICY,
    kinds.NETWORK_ATTACHMENT,
    kinds.DAEMON_SET,
    kinds.CONFIG_MAP,
)


class FabricSpace:
    """One fabric.

    Args:
        rig: The surroundings.
        name: Of the fabric; at most 20 characters.
        kind: Its type.
    """

    def __init__(self, rig: Rig, name: str, kind: str) -> None:
        self.cluster = rig.cluster
        self.name = name
        self.kind = kind
        self.namespace = f"{name}-ns"
        self.resource = f"{_PREFIX.get(kind, 'nvidia.com')}/{name.replace('-', '_')}"
        self.port = _PORTS.get(kind, _PORT)
        infiniband = kind in {"SRIOVInfiniBand", "SharedIPoIB"}
        self._adapter = Adapter(link_type="IB", guid="00:11:22:33:44:55:66:77") if infiniband else Adapter()

    def prepare(self, nodes: int = 2, *, resource: str | None = "8") -> "FabricSpace":
        """Make namespace and nodes; the nodes advertise the resource unless it is None."""
        allocatable = {self.resource: resource} if resource is not None else {}
        machine = Machine(adapter=self._adapter, allocatable=allocatable)
        self.apply(
            {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": self.namespace, "labels": self.cluster.mark}}
        )
        objects: list[dict[str, Any]] = []
        for number in range(nodes):
            node, *told = build_machine(f"{self.name}-{number}", self.name, machine, self.cluster.mark)
            self.cluster.kubectl("create", "-f", "-", stdin=yaml.safe_dump(node))
            objects += told
        states = [item for item in objects if self._is_served(item["kind"])]
        if states:
            text = yaml.safe_dump_all(states)
            for options in ((), ("--subresource=status",)):
                self.cluster.kubectl("apply", "--server-side", "--force-conflicts", *options, "-f", "-", stdin=text)
        return self

    def build(self, mode: str = "Manage", **changes: Any) -> dict[str, Any]:
        """Return the fabric; changes are fields of its spec, and None takes one away."""
        spec: dict[str, Any] = {
            "mode": mode,
            "type": self.kind,
            "resourceName": self.resource,
            "nodeSelector": {"situation": self.name},
            "namespaces": [self.namespace],
            "networks": [{"name": "storage"}],
        }
        if mode == "Manage":
            spec["devices"] = {"interfaces": [self.port]}
            network = spec["networks"][0]
            network["ipam"] = {"type": "Whereabouts", "range": _IPAM["range"]}
            if self.kind in _SHARED:
                network["interface"] = self.port
            if self.kind in _DIVIDED:
                spec["devices"]["virtualFunctions"] = 8
                spec["nodeDrain"] = "Acknowledged"
        for key, value in changes.items():
            if value is None:
                spec.pop(key, None)
            else:
                spec[key] = value
        return {
            "apiVersion": "inferencecache.io/v1alpha1",
            "kind": "InferenceCacheFabric",
            "metadata": {"name": self.name},
            "spec": spec,
        }

    def apply(self, body: Mapping[str, Any]) -> None:
        """Apply an object as its author would."""
        self.cluster.kubectl("apply", "--server-side", "--field-manager=author", "-f", "-", stdin=json.dumps(body))

    def get(self) -> dict[str, Any]:
        """Return the fabric, empty where there is none."""
        found: dict[str, Any] = self.cluster.get("icf", self.name) or {}
        return found

    def condition(self, kind: str) -> dict[str, Any]:
        """Return a condition, empty where it is not there."""
        items = self.get().get("status", {}).get("conditions", [])
        return next((item for item in items if item["type"] == kind), {})

    def wait(self, kind: str, status: str, reason: str = "", seconds: float = 40) -> dict[str, Any]:
        """Wait for a condition that is about the current generation, and return it."""

        def holds() -> dict[str, Any] | None:
            body = self.get()
            found = next((c for c in body.get("status", {}).get("conditions", []) if c["type"] == kind), None)
            if found is None or found["observedGeneration"] != body["metadata"]["generation"]:
                return None
            return found if found["status"] == status and reason in {"", found["reason"]} else None

        try:
            found: dict[str, Any] = wait_for(holds, seconds, "condition", pause=0.2)
        except RuntimeError:
            told = self.get().get("status", {}).get("conditions")
            raise AssertionError(f"{kind} of {self.name} did not become {status} {reason}: {told}") from None
        return found

    def events(self) -> set[str]:
        """Return the reasons of the Events about the fabric; those about objects without a namespace are in default."""
        found = self.cluster.get("events.v1.events.k8s.io", "--namespace", "default")
        return {item["reason"] for item in (found or {}).get("items", []) if item["regarding"]["name"] == self.name}

    def own(self) -> dict[str, dict[str, Any]]:
        """Return the objects that carry the fabric's label, by kind and name."""
        served = [kind for kind in OWN_KINDS if self._is_served(kind.name)]
        listed = ",".join(f"{kind.plural}.{kind.group}" if kind.group else kind.plural for kind in served)
        found = self.cluster.get(listed, "--all-namespaces", "-l", f"{names.LABEL_FABRIC}={self.name}")
        return {f"{item['kind']}/{item['metadata']['name']}": item for item in (found or {}).get("items", [])}

    def wait_own(self, *expected: str, seconds: float = 30) -> dict[str, dict[str, Any]]:
        """Wait until exactly these objects exist, and return them."""
        wait_for(lambda: set(self.own()) == set(expected), seconds, f"not {expected}", pause=0.2)
        return self.own()

    def play_networks(self) -> None:
        """Do what the operators of the networks do: make the NetworkAttachmentDefinitions, and say that all is well."""
        kind = NETWORKS[self.kind]
        for key, item in self.own().items():
            if key.startswith(f"{kind.name}/"):
                self.make_network(item["metadata"]["name"], item["spec"]["networkNamespace"])
                self.tell(kind, item, _build_status(kind))

    def make_network(self, name: str = "storage", namespace: str | None = None) -> None:
        """Make a NetworkAttachmentDefinition as somebody else does."""
        config = {"cniVersion": "1.0.0", "name": name, "type": _CNI[self.kind], "ipam": _IPAM}
        annotations = {} if self.kind in _SHARED else {names.ANNOTATION_NAD_RESOURCE: self.resource}
        metadata = {"name": name, "namespace": namespace or self.namespace, "annotations": annotations}
        api = kinds.NETWORK_ATTACHMENT
        body = {"apiVersion": api.api_version, "kind": api.name, "metadata": metadata}
        self.apply({**body, "spec": {"config": json.dumps(config)}})

    def tell(self, kind: Kind, item: Mapping[str, Any], status: Mapping[str, Any]) -> None:
        """Write a status as the object's controller does."""
        namespace = item["metadata"].get("namespace")
        where = ("--namespace", namespace) if namespace else ()
        self.cluster.kubectl(
            *("patch", f"{kind.plural}.{kind.group}", item["metadata"]["name"], *where, "--subresource=status"),
            *("--type=merge", "--patch", json.dumps({"status": status})),
        )

    def delete(self, seconds: float = 40) -> None:
        """Delete the fabric and wait until it is gone with its objects."""
        self.cluster.kubectl("delete", "icf", self.name, "--wait=false")
        wait_for(lambda: not self.get() and not self.own(), seconds, f"{self.name} did not go", pause=0.2)

    def strike(self) -> None:
        """Take everything away without waiting for the operator."""
        if self.get():
            patch = '{"metadata":{"finalizers":null}}'
            self.cluster.kubectl("patch", "icf", self.name, "--type=merge", "--patch", patch, check=False)
            self.cluster.kubectl("delete", "icf", self.name, "--ignore-not-found", "--wait=false")
        for item in self.own().values():
            metadata = item["metadata"]
            where = ("--namespace", metadata["namespace"]) if "namespace" in metadata else ()
            self.cluster.kubectl("delete", item["kind"], metadata["name"], *where, "--ignore-not-found", check=False)
        self.cluster.kubectl("delete", "namespace", self.namespace, "--ignore-not-found", "--wait=false")
        self.cluster.kubectl("delete", "nodes", "-l", f"situation={self.name}", "--wait=false")

    def _is_served(self, kind: str) -> bool:
        known = {item.name: item for item in (*OWN_KINDS, kinds.SRIOV_NODE_STATE, kinds.NIC_DEVICE)}[kind]
        if known.group in {"", "apps"}:
            return True
        return self.cluster.get("crd", f"{known.plural}.{known.group}") is not None


def _build_status(kind: Kind) -> dict[str, Any]:
    if kind.group == kinds.SRIOV_POLICY.group:
        told = {"type": "Ready", "status": "True", "reason": "NetworkReady", "message": "ready"}
        return {"conditions": [{**told, "lastTransitionTime": "2026-01-01T00:00:00Z"}]}
    return {"state": "ready"}


def find_policy(space: FabricSpace) -> dict[str, Any] | None:
    """Return NicClusterPolicy."""
    found: dict[str, Any] | None = space.cluster.get("nicclusterpolicies.mellanox.com", "nic-cluster-policy")
    return found


__all__ = ["NETWORKS", "OPERATOR_NAMESPACE", "FabricSpace", "find_policy"]
