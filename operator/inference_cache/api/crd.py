"""The CustomResourceDefinition: columns, subresources, names and the rule on object names."""

from typing import Any, Final

from .base import ApiModel
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
    {"name": "Transport", "type": "string", "jsonPath": ".status.rendered.transport", "description": "How the object store is reached"},
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


class _Root(ApiModel):
    __doc__ = _DESCRIPTION

    spec: InferenceCacheDeploymentSpec
    """Desired state."""
    status: InferenceCacheDeploymentStatus | None = None
    """Observed state."""


def build_crd() -> dict[str, Any]:
    """Return the CustomResourceDefinition of InferenceCacheDeployment, ready to be written as YAML."""
    schema = build_schema(_Root)
    schema["description"] = _DESCRIPTION
    schema["properties"] = {
        "apiVersion": {"type": "string"},
        "kind": {"type": "string"},
        "metadata": {"type": "object"},
        **schema["properties"],
    }
    schema["x-kubernetes-validations"] = [NAME_RULE.to_schema()]
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{PLURAL}.{GROUP}"},
        "spec": {
            "group": GROUP,
            "scope": "Namespaced",
            "names": {
                "kind": KIND,
                "listKind": f"{KIND}List",
                "plural": PLURAL,
                "singular": KIND.lower(),
                "shortNames": ["icd"],
                "categories": ["inference"],
            },
            "versions": [
                {
                    "name": VERSION,
                    "served": True,
                    "storage": True,
                    "schema": {"openAPIV3Schema": schema},
                    "subresources": {
                        "status": {},
                        "scale": {
                            "specReplicasPath": ".spec.replicas",
                            "statusReplicasPath": ".status.replicas",
                            "labelSelectorPath": ".status.selector",
                        },
                    },
                    "additionalPrinterColumns": _COLUMNS,
                }
            ],
        },
    }
