"""An object as it was observed, reduced to what decisions need."""

import sys
from dataclasses import dataclass
from typing import Any

from . import names
from .field_ownership import is_ours, list_foreign_fields
from .kinds import Kind


@dataclass(frozen=True, slots=True)
class Live:
    """An observed child object.

    Attributes:
        body: The object without managedFields.
        created_by_update: Whether our fields are recorded as written by create rather than by apply, so that an apply
            could not remove them yet.
        foreign: Fields of our specification that others have added.
    """

    kind: Kind
    namespace: str
    name: str
    uid: str
    resource_version: str
    body: dict[str, Any]
    created_by_update: bool
    foreign: tuple[str, ...] = ()

    @property
    def metadata(self) -> dict[str, Any]:
        """The object's metadata."""
        found: dict[str, Any] = self.body["metadata"]
        return found

    @property
    def controller_uid(self) -> str | None:
        """Uid of the controlling owner, if any."""
        owners = self.metadata.get("ownerReferences", [])
        return next((owner["uid"] for owner in owners if owner.get("controller")), None)

    @property
    def deployment(self) -> str | None:
        """Name of the deployment that the object's label names."""
        label: str | None = self.metadata.get("labels", {}).get(names.LABEL_DEPLOYMENT)
        return label

    @property
    def terminating(self) -> bool:
        """Whether deletion has begun."""
        return "deletionTimestamp" in self.metadata

    def annotation(self, key: str) -> str | None:
        """Return an annotation's value."""
        value: str | None = self.metadata.get("annotations", {}).get(key)
        return value


def project_live(kind: Kind, body: dict[str, Any]) -> Live:
    """Return the object in the form that is kept in memory; the argument is not changed."""
    metadata = dict(body["metadata"])
    managed = metadata.pop("managedFields", None) or []
    return Live(
        kind=kind,
        namespace=metadata.get("namespace", ""),
        name=metadata["name"],
        uid=metadata["uid"],
        resource_version=metadata["resourceVersion"],
        body={**_share_data(body), "apiVersion": kind.api_version, "kind": kind.name, "metadata": metadata},
        created_by_update=any(is_ours(entry) and entry.get("operation") == "Update" for entry in managed),
        foreign=list_foreign_fields(managed),
    )


def _share_data(body: dict[str, Any]) -> dict[str, Any]:
    """Keep one copy of texts that the ConfigMaps of all deployments have in common, such as the agent's program."""
    data = body.get("data")
    if not isinstance(data, dict):
        return body
    return {**body, "data": {key: sys.intern(text) if isinstance(text, str) else text for key, text in data.items()}}
