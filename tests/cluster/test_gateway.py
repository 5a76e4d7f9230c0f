"""How requests are named in messages."""

import pytest

from inference_cache.cluster.gateway import describe_place


@pytest.mark.parametrize(
    ("namespace", "name", "expected"),
    [
        ("inference", "a", "inference/a"),
        ("", "nic-cluster-policy", "nic-cluster-policy"),
        (None, "node-1", "node-1"),
        ("inference", None, "in inference"),
        (None, None, "in all namespaces"),
    ],
)
def test_objects_of_the_cluster_are_named_without_a_slash(
    namespace: str | None, name: str | None, expected: str
) -> None:
    assert describe_place(namespace, name) == expected
