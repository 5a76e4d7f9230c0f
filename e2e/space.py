"""A namespace for one test: deployments in it, what the operator made of them, and how their end state is compared."""

import copy
import json
from collections.abc import Mapping
from typing import Any, Final

from e2e.cluster import wait_for
from e2e.rig import Rig, load_sample

CHILD_KINDS: Final = (
    "serviceaccounts",
    "configmaps",
    "services",
    "poddisruptionbudgets",
    "networkpolicies",
    "statefulsets",
)
_LABEL: Final = "inferencecache.io/deployment"
BUCKET: Final = "kv-tests"
SECRET: Final = "kv-tests"


class Space:
    """One namespace.

    Args:
        rig: The surroundings.
        namespace: Its name.
        create: Whether it is created here.
    """

    def __init__(self, rig: Rig, namespace: str, *, create: bool = True) -> None:
        self.rig = rig
        self.cluster = rig.cluster
        self.namespace = namespace
        if not create:
            return
        metadata = {"name": namespace, "labels": self.cluster.mark}
        self.cluster.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": metadata})

    def build(self, name: str = "small", *, replicas: int = 1, **changes: Any) -> dict[str, Any]:
        """Return a deployment small enough that many fit on one fake node; changes are merged into its spec."""
        body = copy.deepcopy(load_sample())
        body["metadata"] = {"name": name, "namespace": self.namespace}
        spec = body["spec"]
        spec["replicas"] = replicas
        spec["engine"]["tensorParallelSize"] = 1
        memory, store = spec["cache"]["tiers"]
        memory["memory"]["size"] = "16Gi"
        store["objectStore"]["bucket"]["name"] = BUCKET
        store["objectStore"]["credentials"]["secretRef"]["name"] = SECRET
        _merge(spec, changes)
        return body

    def apply(self, body: Mapping[str, Any]) -> None:
        """Apply a deployment as its author would."""
        self.cluster.kubectl("apply", "--server-side", "-f", "-", stdin=json.dumps(body))

    def get(self, kind: str, name: str) -> Any:
        """Return an object, None where there is none."""
        return self.cluster.get(kind, name, "--namespace", self.namespace)

    def condition(self, name: str, kind: str) -> dict[str, Any]:
        """Return a condition of a deployment; empty where it is not there."""
        items = (self.get("icd", name) or {}).get("status", {}).get("conditions", [])
        return next((item for item in items if item["type"] == kind), {})

    def wait_condition(
        self, name: str, kind: str, status: str, reason: str = "", seconds: float = 30
    ) -> dict[str, Any]:
        """Wait for a condition that is about the current generation, and return it."""

        def holds() -> dict[str, Any] | None:
            body = self.get("icd", name) or {}
            found = next((c for c in body.get("status", {}).get("conditions", []) if c["type"] == kind), None)
            if found is None or found["observedGeneration"] != body["metadata"]["generation"]:
                return None
            return found if found["status"] == status and reason in {"", found["reason"]} else None

        def describe() -> str:
            body = self.get("icd", name) or {}
            return f"{kind} of {name} did not become {status} {reason}: {body.get('status', {}).get('conditions')}"

        try:
            found: dict[str, Any] = wait_for(holds, seconds, "condition", pause=0.15)
        except RuntimeError:
            raise AssertionError(describe()) from None
        return found

    def wait_ready(self, name: str = "small", seconds: float = 40) -> None:
        """Wait until a deployment is Ready for its current generation."""
        self.wait_condition(name, "Ready", "True", seconds=seconds)

    def children(self, name: str = "small") -> list[dict[str, Any]]:
        """Return every object that carries the deployment's label, except pods."""
        found = self.cluster.get(",".join(CHILD_KINDS), "--namespace", self.namespace, "-l", f"{_LABEL}={name}")
        items: list[dict[str, Any]] = (found or {}).get("items", [])
        return items

    def pods(self, name: str = "small") -> list[dict[str, Any]]:
        """Return the deployment's pods."""
        found = self.cluster.get("pods", "--namespace", self.namespace, "-l", f"{_LABEL}={name}")
        items: list[dict[str, Any]] = (found or {}).get("items", [])
        return items

    def events(self, reason: str) -> list[dict[str, Any]]:
        """Return the events with a reason."""
        found = self.cluster.get("events.v1.events.k8s.io", "--namespace", self.namespace)
        return [item for item in (found or {}).get("items", []) if item.get("reason") == reason]

    def delete(self, name: str = "small") -> None:
        """Delete a deployment and wait until nothing is left of it."""
        self.cluster.kubectl("delete", "icd", name, "--namespace", self.namespace, "--wait=false")
        self.wait_gone(name)

    def wait_gone(self, name: str = "small", seconds: float = 75) -> None:
        """Wait until neither the deployment nor any of its objects exists.

        The garbage collector looks for new kinds every 30 seconds only, so the first deletion after an installation of
        the CRD takes that long.
        """
        wait_for(
            lambda: not (self.get("icd", name) or self.children(name) or self.pods(name)),
            seconds,
            f"something of {name} is left",
            pause=0.2,
        )

    def end_state(self, name: str = "small") -> dict[str, Any]:
        """Return what exists now, without what differs from run to run."""
        items = [*self.children(name), *self.pods(name)]
        state = {f"{item['kind']}/{item['metadata']['name']}": self._mask(item) for item in items}
        icd = self.get("icd", name)
        conditions = icd["status"]["conditions"]
        state["conditions"] = {item["type"]: (item["status"], item["reason"], item["message"]) for item in conditions}
        state["counts"] = {key: icd["status"].get(key) for key in ("replicas", "readyReplicas", "updatedReplicas")}
        return state

    def _mask(self, item: dict[str, Any]) -> dict[str, Any]:
        metadata = item["metadata"]
        labels = {key: value for key, value in metadata.get("labels", {}).items() if "revision" not in key}
        owners = [{**owner, "uid": ""} for owner in metadata.get("ownerReferences", [])]
        # The hash covers namespace and uid of the owner.
        annotations = {
            key: value for key, value in metadata.get("annotations", {}).items() if "applied-hash" not in key
        }
        masked: dict[str, Any] = {"labels": labels, "owners": owners, "annotations": annotations}
        if item["kind"] != "Pod":
            masked["spec"] = {
                key: value for key, value in item.get("spec", {}).items() if key not in {"clusterIP", "clusterIPs"}
            }
            masked["data"] = item.get("data")
        return masked


def _merge(target: dict[str, Any], changes: Mapping[str, Any]) -> None:
    for key, value in changes.items():
        if isinstance(value, Mapping) and isinstance(target.get(key), dict):
            _merge(target[key], value)
        else:
            target[key] = value
