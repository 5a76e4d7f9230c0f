"""Facts for tests: the sample's spec with changes, scopes, observed objects, nodes and pods."""

import copy
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import yaml

from inference_cache.api.parsing import parse_spec
from inference_cache.domain import names
from inference_cache.domain.assemble import Platform, assemble
from inference_cache.domain.attachment import Variant
from inference_cache.domain.defaults import Settled, settle
from inference_cache.domain.desired import build_desired
from inference_cache.domain.live import Live, project_live
from inference_cache.domain.manifest import Manifest
from inference_cache.domain.node_facts import NodeFacts, Taint
from inference_cache.domain.pod_facts import PodFacts
from inference_cache.domain.pod_transport import Make
from inference_cache.domain.reasons import Reason
from inference_cache.domain.scope import Identity, Scope

ROOT: Final = Path(__file__).resolve().parents[2]
SAMPLE: Final = ROOT / "manifests" / "samples" / "nemotron-70b.yaml"
FABRIC_SAMPLE: Final = ROOT / "manifests" / "samples" / "fabric-shared-macvlan.yaml"
IDENTITY: Final = Identity("nemotron-70b", "inference", "11111111-2222-3333-4444-555555555555")
PLATFORM: Final = Platform("inference-cache-system", kubernetes=(1, 37))
REMOVED: Final = object()
"""Value of a change that takes the field away."""


def load_sample() -> dict[str, Any]:
    """Return the reference deployment."""
    body: dict[str, Any] = yaml.safe_load(SAMPLE.read_text(encoding="utf-8"))
    return body


def load_fabric() -> dict[str, Any]:
    """Return a fabric that the operator makes."""
    body: dict[str, Any] = yaml.safe_load(FABRIC_SAMPLE.read_text(encoding="utf-8"))
    return body


def load_report() -> dict[str, Any]:
    """Return a report of a node with one adapter."""
    device = {
        "pciAddress": "0000:3f:00.0",
        "vendor": "15b3",
        "device": "1021",
        "interface": "ens3f0np0",
        "rdmaDevice": "mlx5_0",
        "function": "Physical",
        "ports": [{"number": 1, "linkLayer": "Ethernet", "state": "ACTIVE", "rateGbps": 200}],
    }
    return {
        "apiVersion": "inferencecache.io/v1alpha1",
        "kind": "NodeCapabilityReport",
        "metadata": {"name": "node-1"},
        "report": {"probedAt": "2026-01-31T12:00:00Z", "validSeconds": 900, "gpus": 8, "devices": [device]},
    }


def change(body: Any, path: str, value: Any) -> None:
    """Set the field at a dotted path, whose list items are written as numbers; missing objects on the way are made."""
    *parents, last = path.split(".")
    for part in parents:
        body = body[int(part)] if isinstance(body, list) else body.setdefault(part, {})
    key: Any = int(last) if isinstance(body, list) else last
    if value is REMOVED:
        del body[key]
    elif isinstance(body, list) and key == len(body):
        body.append(copy.deepcopy(value))
    else:
        body[key] = copy.deepcopy(value)


def build_spec(changes: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Return the sample's spec with changes by path."""
    spec: dict[str, Any] = load_sample()["spec"]
    for path, value in (changes or {}).items():
        change(spec, path, value)
    return spec


def settle_spec(spec: Mapping[str, Any]) -> Settled:
    """Return the settled form of a valid spec."""
    parsed = parse_spec(IDENTITY.name, spec)
    if isinstance(parsed, list):
        raise TypeError("; ".join(map(str, parsed)))
    return settle(parsed)


def build_settled(changes: Mapping[str, Any] | None = None) -> Settled:
    """Return the sample's settled spec with changes by path."""
    return settle_spec(build_spec(changes))


def build_scope(settled: Settled, identity: Identity = IDENTITY) -> Scope:
    """Return the scope as the reconciler makes it."""
    scope = assemble(identity, settled.spec, PLATFORM).scope
    if scope is None:
        raise TypeError("no versions could be chosen")
    return scope


def build_sample_scope(changes: Mapping[str, Any] | None = None) -> Scope:
    """Return the sample's scope with changes by path."""
    return build_scope(build_settled(changes))


def observe(manifest: Manifest, *, version: int = 1, uid: str = "") -> Live:
    """Return a manifest as it would be observed after it was applied."""
    body = copy.deepcopy(manifest.body)
    body["metadata"] |= {"uid": uid or f"uid-{manifest.kind}-{manifest.name}", "resourceVersion": str(version)}
    return project_live(manifest.kind, body)


def observe_all(scope: Scope) -> list[Live]:
    """Return every desired object as observed."""
    return [observe(manifest) for manifest in build_desired(scope)]


def build_node(name: str = "node-1", **facts: Any) -> NodeFacts:
    """Return a node that can run a replica of the sample, with other facts by name."""
    known: dict[str, Any] = {
        "ready": True,
        "unschedulable": False,
        "labels": {names.GPU_PRODUCT_LABEL: "NVIDIA-H200"},
        "taints": (Taint(names.GPU_RESOURCE, "", "NoSchedule"),),
        "gpus": 8,
        "memory": 2000 * 2**30,
        "milli_cpus": 192_000,
    }
    return NodeFacts(name, **(known | facts))


def build_pod(
    ordinal: int,
    *,
    revision: str = "new",
    ready: bool = True,
    terminating: bool = False,
    problem: tuple[Reason, str] | None = None,
    config_maps: tuple[str, ...] = (),
    variant: Variant | None = None,
    workload_hash: str = "",
    **facts: Any,
) -> PodFacts:
    """Return an engine pod of the sample, with other facts by name."""
    name = f"{IDENTITY.name}-{ordinal}"
    return PodFacts(
        namespace=IDENTITY.namespace,
        name=name,
        uid=facts.pop("uid", f"uid-{name}"),
        resource_version="1",
        deployment=IDENTITY.name,
        make=Make(revision, variant, workload_hash),
        ready=ready,
        terminating=terminating,
        problem=problem,
        config_maps=config_maps,
        **({"node": "node-1"} | facts),
    )
