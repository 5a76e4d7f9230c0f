"""Facts for tests of fabrics: fabrics by type with changes, objects as they would be observed, and what is served."""

import copy
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

import yaml

from inference_cache.api.fabric import InferenceCacheFabricSpec
from inference_cache.domain import kinds
from inference_cache.domain.fabric.facts import FabricFacts, project_fabric
from inference_cache.domain.fabric.form import Form, choose_form
from inference_cache.domain.kinds import Kind
from inference_cache.domain.live import Live, project_live
from inference_cache.domain.manifest import Manifest

FOLDER: Final = Path(__file__).resolve().parent / "golden"
CASES: Final = sorted(path.parent.name for path in FOLDER.glob("*/fabric.yaml"))
PLAIN: Final = "-plain"
_OPERATORS: Final = ("sriovnetwork.openshift.io", "mellanox.com", "nv-ipam.nvidia.com")

TYPES: Final = ("sriov-ethernet", "sriov-infiniband", "shared-macvlan", "shared-ipoib", "host-device")


def load_body(case: str, name: str = "storage", **changes: Any) -> dict[str, Any]:
    """Return the fabric of a golden case as the API server would give it; changes are fields of its spec."""
    body: dict[str, Any] = copy.deepcopy(yaml.safe_load((FOLDER / case / "fabric.yaml").read_text(encoding="utf-8")))
    body["metadata"] = {
        "name": name,
        "uid": f"uid-{name}",
        "resourceVersion": "7",
        "generation": 1,
        "creationTimestamp": "2026-01-01T00:00:00Z",
    }
    for key, value in changes.items():
        if value is None:
            body["spec"].pop(key, None)
        else:
            body["spec"][key] = value
    return body


def build_fabric(case: str = "shared-macvlan", name: str = "storage", **changes: Any) -> FabricFacts:
    """Return the facts of a golden case's fabric."""
    metadata = {
        key: changes.pop(key) for key in ("creationTimestamp", "deletionTimestamp", "finalizers") if key in changes
    }
    body = load_body(case, name, **changes)
    body["metadata"] |= metadata
    facts = project_fabric(body)
    assert facts.spec is not None, facts.violations
    return facts


def read_spec(fabric: FabricFacts) -> InferenceCacheFabricSpec:
    """Return the spec of a fabric that has one."""
    assert fabric.spec is not None
    return fabric.spec


def serve(*without: Kind, plain: bool = False) -> Callable[[Kind], bool | None]:
    """Return an API server that serves all kinds but some; a plain one has Multus and no operator."""
    return lambda kind: kind not in without and not (plain and kind.group in _OPERATORS)


def find_form(fabric: FabricFacts, *, plain: bool = False, live: tuple[Live, ...] = ()) -> Form:
    """Return the form of a managed fabric."""
    assert fabric.spec is not None
    form = choose_form(fabric.spec, serve(plain=plain), live, {"default"})
    assert isinstance(form, Form), form
    return form


def observe(manifest: Manifest, status: Mapping[str, Any] | None = None, **metadata: Any) -> Live:
    """Return a manifest as the API server would give it after the operator created it."""
    body = copy.deepcopy(manifest.body)
    body["metadata"] |= {"uid": f"uid-{manifest.kind}-{manifest.name}", "resourceVersion": "11", **metadata}
    if status is not None:
        body["status"] = dict(status)
    return project_live(manifest.kind, body)


def build_live(kind: Kind, name: str, spec: Mapping[str, Any], namespace: str = "", **metadata: Any) -> Live:
    """Return an object that somebody else made."""
    where = {"namespace": namespace} if namespace else {}
    known = {"name": name, "uid": f"uid-{name}", "resourceVersion": "3", **where, **metadata}
    return project_live(kind, {"metadata": known, "spec": dict(spec)})


def build_policy(name: str, resource: str = "other", namespace: str = "nvidia-network-operator", **nic: Any) -> Live:
    """Return a SriovNetworkNodePolicy that somebody else made."""
    spec = {"resourceName": resource, "numVfs": 4, "nodeSelector": {}, "nicSelector": {"vendor": "15b3", **nic}}
    return build_live(kinds.SRIOV_POLICY, name, spec, namespace)


def own(fields: Mapping[str, Any], manager: str = "inference-cache-operator") -> dict[str, Any]:
    """Return an entry of managedFields."""
    return {"manager": manager, "operation": "Apply", "fieldsV1": dict(fields)}
