"""NodeFeature objects that carry eligibility labels to nodes through Node Feature Discovery, which writes them to the Node.

They are owned by their Node, so they go with it.
"""

import hashlib
from collections.abc import Mapping
from typing import Any, Final

from . import names
from .kinds import NODE, NODE_FEATURE

_NODE_LABEL: Final = "nfd.node.kubernetes.io/node-name"
_PREFIX: Final = "inference-cache-"
_MAX_NAME: Final = 253
_DIGITS: Final = 10


def name_node_feature(node: str) -> str:
    """Return the name of the object of a node; a name that would be too long ends in a hash."""
    name = f"{_PREFIX}{node}"
    if len(name) <= _MAX_NAME:
        return name
    return f"{name[: _MAX_NAME - _DIGITS - 1].rstrip('.-')}-{hashlib.sha256(node.encode()).hexdigest()[:_DIGITS]}"


def build_node_feature(node: str, uid: str, labels: Mapping[str, str], namespace: str) -> dict[str, Any]:
    """Return the object.

    Args:
        node: Name of the node.
        uid: Uid of the node.
        labels: What the Node should be labelled with.
        namespace: Where the operator runs.
    """
    owner = {"apiVersion": NODE.api_version, "kind": NODE.name, "name": node, "uid": uid}
    return {
        "apiVersion": NODE_FEATURE.api_version,
        "kind": NODE_FEATURE.name,
        "metadata": {
            "name": name_node_feature(node),
            "namespace": namespace,
            "labels": {_NODE_LABEL: node, names.LABEL_MANAGED_BY: names.FIELD_MANAGER},
            "ownerReferences": [owner],
        },
        # Older versions of the CRD require features.
        "spec": {"features": {}, "labels": dict(sorted(labels.items()))},
    }
