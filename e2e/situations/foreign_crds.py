"""The kinds of other projects in a test cluster: their real CRDs where a folder with them is at hand, else small ones of ours.

The real ones check what the operator writes; the small ones only let objects be stored, with a status of their own where
the real kind has one.
"""

import os
from pathlib import Path
from typing import Any, Final

import yaml

from e2e.cluster import Cluster
from e2e.rig import ROOT
from inference_cache.domain import kinds
from inference_cache.domain.kinds import Kind

_FOLDER_VARIABLE: Final = "INFERENCE_CACHE_UPSTREAM_CRDS"
_FILES: Final = (
    "sriov-network-operator",
    "nic-configuration-operator",
    "node-feature-discovery",
    "network-attachment-definition",
    "network-operator",
)
# The operator never touches it; one of its manifests does.
NODE_FEATURE_RULE: Final = Kind("nfd.k8s-sigs.io/v1alpha1", "NodeFeatureRule", "nodefeaturerules", namespaced=False)
# Kinds of the files above, with whether they have a status of their own.
_KINDS: Final[dict[Kind, bool]] = {
    kinds.SRIOV_NODE_STATE: True,
    kinds.SRIOV_POLICY: True,
    kinds.SRIOV_NETWORK: True,
    kinds.SRIOV_IB_NETWORK: True,
    kinds.SRIOV_POOL_CONFIG: True,
    kinds.NIC_DEVICE: True,
    kinds.NODE_FEATURE: False,
    NODE_FEATURE_RULE: False,
    kinds.NODE_TOPOLOGY: False,
    kinds.NETWORK_ATTACHMENT: False,
    kinds.NIC_CLUSTER_POLICY: True,
    kinds.HOST_DEVICE_NETWORK: True,
    kinds.MACVLAN_NETWORK: True,
    kinds.IPOIB_NETWORK: True,
}


def find_upstream_crds() -> Path | None:
    """Return the folder with the real CRDs, None where there is none."""
    folder = Path(os.environ.get(_FOLDER_VARIABLE) or ROOT.parent / "shared" / "upstream-crds")
    return folder if folder.is_dir() else None


def build_minimal_crd(kind: Kind, *, status: bool) -> dict[str, Any]:
    """Return a CRD that stores whatever it is given."""
    version: dict[str, Any] = {
        "name": kind.version,
        "served": True,
        "storage": True,
        "schema": {"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": True}},
    }
    if status:
        version["subresources"] = {"status": {}}
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        # Groups under k8s.io need a word about their approval.
        "metadata": {
            "name": f"{kind.plural}.{kind.group}",
            "annotations": {"api-approved.kubernetes.io": "unapproved, for tests only"},
        },
        "spec": {
            "group": kind.group,
            "scope": "Namespaced" if kind.namespaced else "Cluster",
            "names": {"kind": kind.name, "plural": kind.plural, "singular": kind.name.lower()},
            "versions": [version],
        },
    }


def load_foreign_crds() -> list[dict[str, Any]]:
    """Return the CRDs."""
    folder = find_upstream_crds()
    if folder is None:
        return [build_minimal_crd(kind, status=status) for kind, status in _KINDS.items()]
    found: list[dict[str, Any]] = []
    for name in _FILES:
        found += (item for item in yaml.safe_load_all((folder / f"{name}.yaml").read_text(encoding="utf-8")) if item)
    return found


def install_foreign_crds(cluster: Cluster, crds: list[dict[str, Any]] | None = None) -> None:
    """Install them and wait until they are served."""
    items = load_foreign_crds() if crds is None else crds
    cluster.apply(*items)
    names = [f"crd/{item['metadata']['name']}" for item in items]
    cluster.kubectl("wait", "--for=condition=Established", *names, "--timeout=60s", timeout=90)


def remove_foreign_crds(cluster: Cluster, crds: list[dict[str, Any]] | None = None) -> None:
    """Take them away, with every object of theirs."""
    names = [f"crd/{item['metadata']['name']}" for item in (load_foreign_crds() if crds is None else crds)]
    # The API server takes some seconds for each kind, one after the other.
    cluster.kubectl("delete", *names, "--wait=true", "--timeout=180s", timeout=200)
