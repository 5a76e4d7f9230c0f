"""Entries of device plugins: one fabric never changes another's, whatever order fabrics come and go in."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from inference_cache.domain.fabric.device_plugin import (
    build_shared_policy,
    find_resource,
    merge_entries,
    parse_entries,
    split_image,
)

_SECTION = "rdmaSharedDevicePlugin"
_NAMES = st.sampled_from(["a", "b", "c", "d"])
_ENTRY = st.builds(lambda name, slots: {"resourceName": name, "rdmaHcaMax": slots}, _NAMES, st.integers(1, 9))
_STEPS = st.lists(st.tuples(st.booleans(), _ENTRY), max_size=12)


@given(_STEPS)
def test_entries_are_those_of_the_fabrics_that_are_there(steps: list[tuple[bool, dict[str, Any]]]) -> None:
    entries: dict[str, list[dict[str, Any]]] = {}
    expected: dict[str, dict[str, Any]] = {}
    for add, entry in steps:
        resource = find_resource(_SECTION, entry)
        before = [item for item in entries.get(_SECTION, []) if find_resource(_SECTION, item) != resource]
        if add:
            entries = merge_entries(entries, _SECTION, entry)
            expected[resource] = entry
        else:
            entries = merge_entries(entries, _SECTION, None, gone=[resource])
            expected.pop(resource, None)
        assert [item for item in entries[_SECTION] if find_resource(_SECTION, item) != resource] == before
    assert {find_resource(_SECTION, item): item for item in entries.get(_SECTION, [])} == expected


@given(st.lists(_ENTRY, max_size=4, unique_by=lambda item: item["resourceName"]), st.randoms())
def test_text_of_the_policy_does_not_depend_on_the_order(items: list[dict[str, Any]], random: Any) -> None:
    def render(order: list[dict[str, Any]]) -> Any:
        entries: dict[str, list[dict[str, Any]]] = {}
        for item in order:
            entries = merge_entries(entries, _SECTION, item)
        return build_shared_policy(entries, None, {})

    shuffled = list(items)
    random.shuffle(shuffled)
    assert render(items) == render(shuffled)
    manifest = render(items)
    if manifest is not None:
        assert len(parse_entries(_SECTION, manifest.body)) == len(items)


def test_image_is_split_as_the_policy_takes_it() -> None:
    assert split_image("registry:5000/a/b/plugin:v1") == {
        "repository": "registry:5000/a/b",
        "image": "plugin",
        "version": "v1",
    }
    assert split_image("plugin") == {"image": "plugin"}
    assert split_image("r/plugin@sha256:00") == {"repository": "r", "image": "plugin", "version": "sha256:00"}
