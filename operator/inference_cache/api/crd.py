"""The CustomResourceDefinitions: columns, subresources, names and the rule on object names."""

from collections.abc import Callable
from typing import Any, Final

from .base import ApiModel, Rule
from .fabric import FABRIC_KIND, FABRIC_NAME_RULE, FABRIC_PLURAL, InferenceCacheFabricSpec
from .fabric_status import InferenceCacheFabricStatus
from .node_report import REPORT_KIND, REPORT_PLURAL, InferenceCacheNodeReport
from .schema import build_schema
from .status import InferenceCacheDeploymentStatus
from .v1alpha1 import GROUP, KIND, NAME_RULE, PLURAL, VERSION, InferenceCacheDeploymentSpec

_DESCRIPTION: Final = (
    "InferenceCacheDeployment serves one model with vLLM and LMCache; the KV cache is tiered from HBM to DRAM to an S3 "
    "object store."
)


def _condition(kind: str, field: str) -> str:
    return f'.status.conditions[?(@.type=="{kind}")].{field}'


_COLUMNS: Final[list[dict[str, Any]]] = [
    {"name": "Ready", "type": "string", "jsonPath": _condition("Ready", "status"), "description": "Serving as specified"},
    {"name": "Replicas", "type": "integer", "jsonPath": ".status.readyReplicas", "description": "Pods that answer as ready"},
    {"name": "Updated", "type": "integer", "jsonPath": ".status.updatedReplicas", "description": "Pods that run the current specification"},
    {"name": "Transport", "type": "string", "jsonPath": ".status.transport.effective", "description": "How the object store is reached"},
    {"name": "Cache", "type": "string", "jsonPath": ".status.rendered.tiers", "description": "Cache tiers from fast to slow"},
    {"name": "Reason", "type": "string", "jsonPath": _condition("Ready", "reason"), "description": "Why it is ready or not"},
    {"name": "Age", "type": "date", "jsonPath": ".metadata.creationTimestamp"},
    {"name": "Model", "type": "string", "jsonPath": ".spec.model.name", "priority": 1, "description": "Served model name"},
    {"name": "Fingerprint", "type": "string", "jsonPath": ".status.cacheFingerprint", "priority": 1, "description": "Layout fingerprint"},
    {"name": "Nodes", "type": "integer", "jsonPath": ".status.nodes.eligible", "priority": 1, "description": "Eligible nodes"},
    {"name": "vLLM", "type": "string", "jsonPath": ".status.rendered.vllm", "priority": 1, "description": "vLLM version rendered for"},
    {"name": "PaysOff", "type": "string", "jsonPath": _condition("CachePaysOff", "status"), "priority": 1, "description": "Whether the cache is predicted to pay off"},
    {"name": "Message", "type": "string", "jsonPath": _condition("Ready", "message"), "priority": 1, "description": "What to do next"},
]  # fmt: skip


_FABRIC_DESCRIPTION: Final = (
    "InferenceCacheFabric says which network adapters, device plugin and networks carry the traffic of object stores."
)
_FABRIC_COLUMNS: Final[list[dict[str, Any]]] = [
    {"name": "Ready", "type": "string", "jsonPath": _condition("Ready", "status"), "description": "Usable by deployments"},
    {"name": "Mode", "type": "string", "jsonPath": ".spec.mode", "description": "Reference or Manage"},
    {"name": "Type", "type": "string", "jsonPath": ".spec.type", "description": "How pods get RDMA devices"},
    {"name": "Resource", "type": "string", "jsonPath": ".spec.resourceName", "description": "Extended resource"},
    {"name": "Nodes", "type": "integer", "jsonPath": ".status.nodes.ready", "description": "Nodes that can carry it"},
    {"name": "Reason", "type": "string", "jsonPath": _condition("Ready", "reason"), "description": "Why it is ready or not"},
    {"name": "Age", "type": "date", "jsonPath": ".metadata.creationTimestamp"},
    {"name": "Deployments", "type": "integer", "jsonPath": ".status.deployments", "priority": 1, "description": "Deployments that use it"},
    {"name": "Message", "type": "string", "jsonPath": _condition("Ready", "message"), "priority": 1, "description": "What to do next"},
]  # fmt: skip
_REPORT_DESCRIPTION: Final = "NodeCapabilityReport holds what the node validator probed on the node of the same name. Nobody else should write it."
_REPORT_COLUMNS: Final[list[dict[str, Any]]] = [
    {"name": "Kernel", "type": "string", "jsonPath": ".report.kernel", "description": "Kernel version"},
    {"name": "GPUs", "type": "integer", "jsonPath": ".report.gpus", "description": "NVIDIA GPUs"},
    {"name": "NUMA", "type": "integer", "jsonPath": ".report.numaNodes", "description": "NUMA nodes"},
    {"name": "Probed", "type": "date", "jsonPath": ".report.probedAt", "description": "When it was probed"},
    {"name": "Problems", "type": "string", "jsonPath": ".report.problems", "priority": 1, "description": "What could not be read"},
]  # fmt: skip


class _FabricRoot(ApiModel):
    __doc__ = _FABRIC_DESCRIPTION

    spec: InferenceCacheFabricSpec
    """Desired state."""
    status: InferenceCacheFabricStatus | None = None
    """Observed state."""


class _ReportRoot(ApiModel):
    __doc__ = _REPORT_DESCRIPTION

    report: InferenceCacheNodeReport
    """What was probed."""


class _Root(ApiModel):
    __doc__ = _DESCRIPTION

    spec: InferenceCacheDeploymentSpec
    """Desired state."""
    status: InferenceCacheDeploymentStatus | None = None
    """Observed state."""


def _definition(
    kind: str,
    plural: str,
    short: str,
    root: type[ApiModel],
    description: str,
    columns: list[dict[str, Any]],
    subresources: dict[str, Any],
    name_rule: Rule | None,
    *,
    namespaced: bool,
) -> dict[str, Any]:
    schema = build_schema(root)
    schema["description"] = description
    schema["properties"] = {
        "apiVersion": {"type": "string"},
        "kind": {"type": "string"},
        "metadata": {"type": "object"},
        **schema["properties"],
    }
    if name_rule is not None:
        schema["x-kubernetes-validations"] = [name_rule.to_schema()]
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{plural}.{GROUP}"},
        "spec": {
            "group": GROUP,
            "scope": "Namespaced" if namespaced else "Cluster",
            "names": {
                "kind": kind,
                "listKind": f"{kind}List",
                "plural": plural,
                "singular": kind.lower(),
                "shortNames": [short],
                "categories": ["inference"],
            },
            "versions": [
                {
                    "name": VERSION,
                    "served": True,
                    "storage": True,
                    "schema": {"openAPIV3Schema": schema},
                    **({"subresources": subresources} if subresources else {}),
                    "additionalPrinterColumns": columns,
                }
            ],
        },
    }


def build_crd() -> dict[str, Any]:
    """Return the CustomResourceDefinition of InferenceCacheDeployment, ready to be written as YAML."""
    scale = {
        "specReplicasPath": ".spec.replicas",
        "statusReplicasPath": ".status.replicas",
        "labelSelectorPath": ".status.selector",
    }
    subresources = {"status": {}, "scale": scale}
    return _definition(KIND, PLURAL, "icd", _Root, _DESCRIPTION, _COLUMNS, subresources, NAME_RULE, namespaced=True)


def build_fabric_crd() -> dict[str, Any]:
    """Return the CustomResourceDefinition of InferenceCacheFabric."""
    return _definition(
        FABRIC_KIND,
        FABRIC_PLURAL,
        "icf",
        _FabricRoot,
        _FABRIC_DESCRIPTION,
        _FABRIC_COLUMNS,
        {"status": {}},
        FABRIC_NAME_RULE,
        namespaced=False,
    )


def build_report_crd() -> dict[str, Any]:
    """Return the CustomResourceDefinition of NodeCapabilityReport. It has no status: the whole object is an observation."""
    return _definition(
        REPORT_KIND, REPORT_PLURAL, "ncr", _ReportRoot, _REPORT_DESCRIPTION, _REPORT_COLUMNS, {}, None, namespaced=False
    )


CRD_BUILDERS: Final[tuple[Callable[[], dict[str, Any]], ...]] = (build_crd, build_fabric_crd, build_report_crd)
"""Every CustomResourceDefinition of the API group."""
