"""Which deployments read each other's KV, and what the status of one says of the others."""

from typing import Any, Final

import pytest

from inference_cache.domain.sharing import (
    MOST_COUNTED,
    Sharer,
    SharingKey,
    build_sharer,
    build_sharing_key,
    summarize_sharing,
)
from tests.support.builders import REMOVED, change, load_sample

_KEY: Final = SharingKey("f" * 16, "http://s3.internal", "kv-nemotron")


def _deployment(**changes: Any) -> dict[str, Any]:
    """Return the sample as the API server has it, with changes by path; two underscores stand for a dot."""
    body = load_sample() | {"status": {"cacheFingerprint": "f" * 16}}
    body["metadata"] = {"namespace": "a", "name": "x", "creationTimestamp": "2026-01-01T00:00:00Z"}
    store = body["spec"]["cache"]["tiers"][1]["objectStore"]
    store |= {"endpoint": "http://s3.internal", "bucket": {"name": "kv-nemotron"}}
    for path, value in changes.items():
        change(body, path.replace("__", "."), value)
    return body


_STORE: Final = "spec__cache__tiers__1__objectStore__"
_KEYS: Final[dict[str, tuple[dict[str, Any], SharingKey | None]]] = {
    "fingerprint, endpoint and bucket": ({}, _KEY),
    "whatever the name and the namespace": ({"metadata__name": "y", "metadata__namespace": "b"}, _KEY),
    "whatever the credentials": ({f"{_STORE}credentials__secretRef__name": "x"}, _KEY),
    "another fingerprint": ({"status__cacheFingerprint": "e" * 16}, _KEY._replace(fingerprint="e" * 16)),
    "another bucket": ({f"{_STORE}bucket__name": "x"}, _KEY._replace(bucket="x")),
    "another endpoint": ({f"{_STORE}endpoint": "https://x"}, _KEY._replace(endpoint="https://x")),
    "no fingerprint yet": ({"status": {}}, None),
    "no status yet": ({"status": REMOVED}, None),
    "a disabled cache": ({"spec__cache__mode": "Disabled"}, None),
    "a required cache": ({"spec__cache__mode": "Required"}, _KEY),
    "memory alone": ({"spec__cache__tiers": [{"memory": {"size": "64Gi"}}]}, None),
    "no tiers": ({"spec__cache__tiers": REMOVED}, None),
    "no cache": ({"spec__cache": REMOVED}, None),
    "a cache that is none": ({"spec__cache": "x"}, None),
    "tiers that are none": ({"spec__cache__tiers": ["x"]}, None),
}


@pytest.mark.parametrize(("changes", "key"), _KEYS.values(), ids=_KEYS.keys())
def test_key_is_made_of(changes: dict[str, Any], key: SharingKey | None) -> None:
    assert build_sharing_key(_deployment(**changes)) == key


def test_sharer_is_named_with_its_age() -> None:
    assert build_sharer(_deployment()) == Sharer("2026-01-01T00:00:00Z", "a", "x")


def test_nobody_shares_with_itself() -> None:
    assert summarize_sharing("a", "x", [Sharer("1", "a", "x")]) is None
    assert summarize_sharing("a", "x", []) is None


def test_names_of_other_namespaces_stay_untold() -> None:
    found = summarize_sharing("a", "x", [Sharer("1", "a", "x"), Sharer("2", "b", "secret"), Sharer("3", "a", "y")])
    assert found is not None
    assert (found.deployments, found.examples) == (2, ["y"])
    alone = summarize_sharing("a", "x", [Sharer("2", "b", "secret")])
    assert alone is not None
    assert (alone.deployments, alone.examples) == (1, None)


def test_same_name_in_another_namespace_is_someone_else() -> None:
    found = summarize_sharing("a", "x", [Sharer("1", "a", "x"), Sharer("1", "b", "x")])
    assert found is not None
    assert found.deployments == 1


def test_oldest_three_are_the_examples_whatever_the_order() -> None:
    sharers = [Sharer(f"2026-01-0{day}", "a", name) for day, name in enumerate("dcbae", start=1)]
    for order in (sharers, sharers[::-1]):
        found = summarize_sharing("a", "x", order)
        assert found is not None
        assert found.examples == ["b", "c", "d"]


def test_newcomer_changes_no_examples() -> None:
    sharers = [Sharer(f"2026-01-0{day}", "a", name) for day, name in enumerate("xyz", start=1)]
    before, after = (
        summarize_sharing("a", "me", items) for items in (sharers, [*sharers, Sharer("2026-02-01", "a", "a")])
    )
    assert before is not None
    assert after is not None
    assert before.examples == after.examples
    assert (before.deployments, after.deployments) == (3, 4)


@pytest.mark.parametrize(("others", "counted"), [(1, 1), (MOST_COUNTED, 10), (MOST_COUNTED + 1, 10), (1000, 10)])
def test_count_stops(others: int, counted: int) -> None:
    found = summarize_sharing("a", "me", [Sharer(f"{number:04}", "a", f"n{number}") for number in range(others)])
    assert found is not None
    assert found.deployments == counted
