"""A desired object: what the operator wants to exist, with owner, labels and the hash of what it applied."""

import hashlib
import json
from dataclasses import dataclass
from typing import Any

from inference_cache.api import v1alpha1

from . import names
from .kinds import Kind
from .scope import Identity

Body = dict[str, Any]


@dataclass(frozen=True)
class Manifest:
    """One desired object."""

    kind: Kind
    name: str
    namespace: str
    body: Body

    @property
    def hash(self) -> str:
        """Hash of what was applied; an object that carries another one was rendered from another specification."""
        applied: str = self.body["metadata"]["annotations"][names.ANNOTATION_APPLIED_HASH]
        return applied


def build_owner_reference(identity: Identity) -> Body:
    """Return the reference by which the garbage collector deletes children together with their deployment."""
    return {
        "apiVersion": v1alpha1.API_VERSION,
        "kind": v1alpha1.KIND,
        "name": identity.name,
        "uid": identity.uid,
        "controller": True,
        "blockOwnerDeletion": True,
    }


def build_manifest(
    kind: Kind,
    identity: Identity,
    name: str,
    content: Body,
    labels: dict[str, str] | None = None,
    annotations: dict[str, str] | None = None,
) -> Manifest:
    """Return a manifest whose body is the content plus identity, owner, labels and applied hash."""
    metadata: Body = {
        "name": name,
        "namespace": identity.namespace,
        "labels": names.object_labels(identity.name) | (labels or {}),
        "ownerReferences": [build_owner_reference(identity)],
    }
    body: Body = {"apiVersion": kind.api_version, "kind": kind.name, "metadata": metadata, **content}
    metadata["annotations"] = {**(annotations or {}), names.ANNOTATION_APPLIED_HASH: hash_content([body, annotations])}
    return Manifest(kind, name, identity.namespace, body)


def hash_content(content: Any) -> str:
    """Return 16 hexadecimal digits of the canonical JSON of the content."""
    text = json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()[:16]
