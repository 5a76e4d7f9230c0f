"""The cache never goes back in time, whatever order events and lists arrive in."""

from typing import Any

import pytest

from inference_cache.cluster.cache import ObjectCache
from inference_cache.domain import names
from inference_cache.domain.kinds import DEPLOYMENT, POD, SERVICE, Kind

_KEY = ("ns", "one")


def _body(version: int, *, uid: str = "u1", deployment: str | None = "one") -> dict[str, Any]:
    labels = {names.LABEL_DEPLOYMENT: deployment} if deployment else {}
    metadata = {"namespace": "ns", "name": "one", "uid": uid, "resourceVersion": str(version), "labels": labels}
    return {"metadata": metadata}


def _version(cache: ObjectCache, kind: Kind) -> str | None:
    if kind is DEPLOYMENT:
        found = cache.deployment(_KEY)
        return found["metadata"]["resourceVersion"] if found else None
    items = cache.pods(_KEY) if kind is POD else cache.children(_KEY)
    return items[0].resource_version if items else None


pytestmark = pytest.mark.parametrize("kind", [DEPLOYMENT, POD, SERVICE], ids=str)


@pytest.mark.parametrize(("version", "kept"), [(9, "10"), (10, "10"), (11, "11")], ids=["older", "same", "newer"])
def test_event_is_news_only_if_it_is_newer(kind: Kind, version: int, kept: str) -> None:
    cache = ObjectCache()
    assert cache.upsert(kind, _body(10)) == _KEY
    assert cache.upsert(kind, _body(version)) == (_KEY if version > 10 else None)
    assert _version(cache, kind) == kept


def test_late_event_does_not_bring_a_deleted_object_back(kind: Kind) -> None:
    cache = ObjectCache()
    cache.upsert(kind, _body(10))
    assert cache.remove(kind, "ns", "one", "u1", "12") == _KEY
    assert cache.upsert(kind, _body(11)) is None
    assert _version(cache, kind) is None


def test_object_that_only_lost_its_label_for_a_while_comes_back(kind: Kind) -> None:
    cache = ObjectCache()
    cache.upsert(kind, _body(10))
    assert cache.remove(kind, "ns", "one", "u1", "11") == _KEY
    assert cache.upsert(kind, _body(12)) == _KEY
    assert _version(cache, kind) == "12"


def test_late_report_of_a_lost_label_does_not_undo_its_repair(kind: Kind) -> None:
    cache = ObjectCache()
    cache.upsert(kind, _body(12))
    assert cache.remove(kind, "ns", "one", "u1", "11") is None
    assert _version(cache, kind) == "12"


def test_late_deletion_of_a_predecessor_leaves_the_new_object(kind: Kind) -> None:
    cache = ObjectCache()
    cache.upsert(kind, _body(20, uid="u2"))
    assert cache.remove(kind, "ns", "one", "u1") is None
    assert _version(cache, kind) == "20"


def test_list_finds_a_missed_deletion(kind: Kind) -> None:
    cache = ObjectCache()
    cache.upsert(kind, _body(10))
    assert list(cache.take_list(kind, [], cache.uids(kind))) == [_KEY]
    assert _version(cache, kind) is None


def test_list_finds_a_missed_creation_and_says_nothing_of_what_is_known(kind: Kind) -> None:
    cache = ObjectCache()
    assert list(cache.take_list(kind, [_body(10)], set())) == [_KEY]
    assert list(cache.take_list(kind, [_body(10)], cache.uids(kind))) == []


def test_list_that_began_before_a_creation_does_not_remove_it(kind: Kind) -> None:
    cache = ObjectCache()
    before = cache.uids(kind)
    cache.upsert(kind, _body(10))
    assert list(cache.take_list(kind, [], before)) == []
    assert _version(cache, kind) == "10"


def test_relabelled_object_moves_to_its_new_deployment(kind: Kind) -> None:
    if kind is DEPLOYMENT:
        kind = SERVICE
    cache = ObjectCache()
    cache.upsert(kind, _body(10))
    assert cache.upsert(kind, _body(11, deployment="two")) == ("ns", "two")
    assert _version(cache, kind) is None
    assert len(cache.pods(("ns", "two")) + cache.children(("ns", "two"))) == 1
