"""The index of deployments that share KV: the same answer as a look at all of them, and nobody's change goes unnoticed."""

from typing import Any, Final

from hypothesis import given, settings
from hypothesis import strategies as st

from inference_cache.api.status import CacheSharing
from inference_cache.cluster.sharing_index import NamespacedName, SharingIndex
from inference_cache.domain.sharing import (
    MOST_COUNTED,
    build_sharer,
    build_sharing_key,
    summarize_sharing,
)


def _deployment(
    name: str, bucket: str | None = "kv", *, namespace: str = "a", fingerprint: str = "f"
) -> dict[str, Any]:
    tiers: list[Any] = [{"memory": {"size": "64Gi"}}]
    if bucket is not None:
        tiers.append({"objectStore": {"endpoint": "http://s3", "bucket": {"name": bucket}}})
    return {
        "metadata": {"namespace": namespace, "name": name, "creationTimestamp": f"2026-01-01T00:00:00Z {name}"},
        "spec": {"cache": {"tiers": tiers}},
        "status": {"cacheFingerprint": fingerprint},
    }


def _fill(index: SharingIndex, count: int) -> list[NamespacedName]:
    for number in range(count):
        index.put(_deployment(f"n{number:03}"))
    return [("a", f"n{number:03}") for number in range(count)]


def test_first_one_touches_nobody_and_shares_with_itself_alone() -> None:
    index = SharingIndex()
    assert index.put(_deployment("x")) == set()
    assert [item.name for item in index.sharers(("a", "x"))] == ["x"]


def test_second_one_touches_the_first() -> None:
    index = SharingIndex()
    index.put(_deployment("x"))
    assert index.put(_deployment("y", namespace="b")) == {("a", "x")}
    assert {item.name for item in index.sharers(("a", "x"))} == {"x", "y"}


def test_same_again_touches_nobody() -> None:
    index = SharingIndex()
    _fill(index, 3)
    assert index.put(_deployment("n001")) == set()


def test_other_bucket_or_fingerprint_is_another_group() -> None:
    index = SharingIndex()
    index.put(_deployment("x"))
    assert index.put(_deployment("y", "other")) == set()
    assert index.put(_deployment("z", fingerprint="e")) == set()
    assert [len(index.sharers(("a", name))) for name in "xyz"] == [1, 1, 1]


def test_move_touches_those_left_and_those_joined() -> None:
    index = SharingIndex()
    for name, bucket in (("x", "one"), ("y", "one"), ("z", "two")):
        index.put(_deployment(name, bucket))
    assert index.put(_deployment("y", "two")) == {("a", "x"), ("a", "z")}


def test_one_that_gives_up_its_store_is_forgotten() -> None:
    index = SharingIndex()
    names = _fill(index, 2)
    assert index.put(_deployment("n000", None)) == {names[1]}
    assert index.sharers(names[0]) == []


def test_drop_touches_the_others_once() -> None:
    index = SharingIndex()
    names = _fill(index, 3)
    assert index.drop(names[0]) == set(names[1:])
    assert index.drop(names[0]) == set()
    assert index.drop(("a", "never seen")) == set()


def test_nobody_is_touched_beyond_the_most_that_is_counted() -> None:
    index = SharingIndex()
    names = _fill(index, MOST_COUNTED)
    assert index.put(_deployment("z-last counted")) == set(names)
    assert index.put(_deployment("z-one more")) == set()
    assert index.drop(("a", "z-one more")) == set()
    assert len(index.drop(("a", "z-last counted"))) == MOST_COUNTED


_NAMES: Final = [(namespace, f"n{number:02}") for namespace in "ab" for number in range(12)]
_STEPS: Final = st.lists(
    st.tuples(st.sampled_from(_NAMES), st.sampled_from(["kv"] * 6 + ["other", None, "drop"])), max_size=30
)


def test_loss_of_an_example_touches_those_that_show_it_however_many_there_are() -> None:
    index = SharingIndex()
    names = _fill(index, 2 * MOST_COUNTED)
    index.put(_deployment("elsewhere", namespace="b"))
    assert index.drop(names[-1]) == set()
    assert index.drop(names[0]) == set(names[1:-1])


def test_older_one_that_comes_late_touches_its_namespace_as_it_becomes_an_example() -> None:
    index = SharingIndex()
    names = _fill(index, MOST_COUNTED + 5)
    index.put(_deployment("elsewhere", namespace="b"))
    assert index.put(_deployment("a-older")) == set(names)
    assert index.drop(("a", "a-older")) == set(names)


@settings(max_examples=100, derandomize=True, deadline=None)
@given(_STEPS)
def test_index_is_what_a_look_at_all_would_find_and_tells_whose_status_changes(
    steps: list[tuple[NamespacedName, str | None]],
) -> None:
    index = SharingIndex()
    known: dict[NamespacedName, dict[str, Any]] = {}
    shown: dict[NamespacedName, CacheSharing | None] = {}
    # All share at first, so that there are more than are counted.
    everyone: list[tuple[NamespacedName, str | None]] = [(name, "kv") for name in reversed(_NAMES)]
    for name, bucket in [*everyone, *steps]:
        if bucket == "drop":
            known.pop(name, None)
            touched = index.drop(name)
        else:
            known[name] = _deployment(name[1], bucket, namespace=name[0])
            touched = index.put(known[name])
        assert name not in touched
        groups = {other: build_sharing_key(body) for other, body in known.items()}
        for other in _NAMES:
            key = groups.get(other)
            peers = [
                build_sharer(body) for body in known.values() if key is not None and build_sharing_key(body) == key
            ]
            assert sorted(index.sharers(other)) == sorted(peers)
            now = summarize_sharing(*other, peers)
            assert other == name or other in touched or now == shown.get(other), (name, bucket, other)
            shown[other] = now
