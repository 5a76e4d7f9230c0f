"""Whose child an object is when somebody edits its label: its owner tells, and nobody loses sight of it."""

from typing import Any

import pytest

from inference_cache.cluster.cache import ObjectCache
from inference_cache.domain import names
from inference_cache.domain.kinds import DEPLOYMENT, SERVICE

_KEY = ("ns", "one")


def _version(cache: ObjectCache) -> str | None:
    items = cache.children(_KEY)
    return items[0].resource_version if items else None


def _body(version: int, label: str | None, *, owned: bool = True) -> dict[str, Any]:
    owner = {
        "apiVersion": DEPLOYMENT.api_version,
        "kind": DEPLOYMENT.name,
        "name": "one",
        "uid": "o",
        "controller": True,
    }
    metadata = {"namespace": "ns", "name": "one", "uid": "u1", "resourceVersion": str(version)}
    return {
        "metadata": {
            **metadata,
            "labels": {names.LABEL_DEPLOYMENT: label} if label else {},
            "ownerReferences": [owner] if owned else [],
        }
    }


@pytest.mark.parametrize("label", [None, "two"], ids=["removed", "changed"])
def test_edited_label_does_not_hide_an_owned_object(label: str | None) -> None:
    cache = ObjectCache()
    cache.upsert(SERVICE, _body(10, "one"))
    assert cache.upsert(SERVICE, _body(11, label)) == _KEY
    assert _version(cache) == "11"


def test_loss_of_label_and_owner_still_concerns_the_former_deployment() -> None:
    cache = ObjectCache()
    cache.upsert(SERVICE, _body(10, "one", owned=False))
    assert cache.upsert(SERVICE, _body(11, None, owned=False)) == _KEY
    assert _version(cache) is None
