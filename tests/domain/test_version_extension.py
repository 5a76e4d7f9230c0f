"""The ConfigMap that extends the table of versions: what it adds, what is wrong with it, and that it harms nobody."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any, Final

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from inference_cache.api.engine import Engine, EngineVersions
from inference_cache.domain.fingerprint import compute_fingerprint
from inference_cache.domain.reasons import Reason
from inference_cache.domain.version_choice import choose_versions
from inference_cache.domain.version_extension import extend_table
from inference_cache.domain.versions import BUILT_IN_TABLE, DEFAULT_PAIR, OLDER_PAIR, VersionTable
from tests.support.builders import build_settled

_OPTIONS: Final = {"vllm": "0.32.0", "lmcache": "0.5.6"}
_PAIR: Final = {"vllm": "0.32.1", "lmcache": "0.5.6", "optionsOf": _OPTIONS}
_BUILT_IN: Final = {**_PAIR, "vllm": "0.32.0"}
_BAD: Final[dict[str, Any]] = {
    "vllm": {"from": "0.32.0", "before": "0.33.0"},
    "effect": "It is slow.",
    "issue": "https://issues.example/1",
}


def _extend(**document: Any) -> tuple[VersionTable, list[str]]:
    return extend_table(BUILT_IN_TABLE, yaml.safe_dump(document))


@pytest.mark.parametrize("text", ["", "\n# nothing yet\n", "{}", "pairs: []", "pairs: []\nknownBad: []"])
def test_text_without_entries_changes_nothing(text: str) -> None:
    assert extend_table(BUILT_IN_TABLE, text) == (BUILT_IN_TABLE, [])


def test_pair_takes_options_and_features_of_the_one_it_names() -> None:
    table, faults = _extend(pairs=[_PAIR])
    assert faults == []
    pair = table.find("0.32.1", "0.5.6")
    assert pair is not None
    assert (pair.options, pair.features) == (DEFAULT_PAIR.options, DEFAULT_PAIR.features)
    assert pair.default_image.endswith(":vllm-0.32.1-lmcache-0.5.6")
    assert table.default is DEFAULT_PAIR
    assert table.pairs[: len(BUILT_IN_TABLE.pairs)] == BUILT_IN_TABLE.pairs


def test_pair_of_older_options_lacks_what_these_lack() -> None:
    table, _ = _extend(
        pairs=[{"vllm": "0.26.1", "lmcache": "0.5.3", "optionsOf": {"vllm": "0.26.0", "lmcache": "0.5.3"}}]
    )
    pair = table.find("0.26.1", "0.5.3")
    assert pair is not None
    assert (pair.options, pair.features) == (OLDER_PAIR.options, OLDER_PAIR.features)


def test_pair_begins_with_a_cache_of_its_own() -> None:
    table, _ = _extend(pairs=[_PAIR, {**_PAIR, "vllm": "0.32.2"}])
    pairs = [pair for pair in table.pairs if pair.options == DEFAULT_PAIR.options]
    assert len({compute_fingerprint(build_settled(), pair, "inference") for pair in pairs}) == 3


def test_pair_shares_the_cache_only_of_whom_it_claims_to() -> None:
    table, _ = _extend(pairs=[{**_PAIR, "keyFormat": DEFAULT_PAIR.key_format, "image": "mirror.example/engine:7"}])
    choice = choose_versions(Engine(versions=EngineVersions(vllm="0.32.1", lmcache="0.5.6")), None, table)
    assert choice.pair is not None
    assert choice.image == "mirror.example/engine:7"
    one, other = (compute_fingerprint(build_settled(), pair, "inference") for pair in (choice.pair, DEFAULT_PAIR))
    assert one == other


def test_known_bad_of_a_user_bars_a_built_in_pair() -> None:
    table, faults = _extend(knownBad=[_BAD])
    assert faults == []
    assert table.find(DEFAULT_PAIR.vllm, DEFAULT_PAIR.lmcache) is DEFAULT_PAIR
    reason, text = choose_versions(None, None, table).problem or (None, "")
    assert reason is Reason.KnownBadVersions
    assert "It is slow. (https://issues.example/1)" in text
    assert choose_versions(Engine(versions=EngineVersions(vllm="0.26.0", lmcache="0.5.3")), None, table).problem is None


def test_pair_of_a_user_does_not_lift_what_is_known_to_be_bad() -> None:
    mixed = {"vllm": "0.26.0", "lmcache": "0.5.6", "optionsOf": _OPTIONS}
    table, faults = _extend(pairs=[mixed])
    assert faults == []
    choice = choose_versions(Engine(versions=EngineVersions(vllm="0.26.0", lmcache="0.5.6")), None, table)
    assert choice.problem is not None
    assert choice.problem[0] is Reason.KnownBadVersions


_FAULTS: Final[dict[str, tuple[Any, str]]] = {
    "options of nobody": ({"pairs": [{**_PAIR, "optionsOf": {"vllm": "0.1.0", "lmcache": "0.5.6"}}]}, "pairs[0].optionsOf: vLLM 0.1.0 with LMCache 0.5.6 is not supported; name one of: vLLM 0.32.0"),
    "no options": ({"pairs": [{"vllm": "0.32.1", "lmcache": "0.5.6"}]}, "pairs[0].optionsOf: "),
    "the same built-in pair twice": ({"pairs": [_BUILT_IN, _BUILT_IN]}, "pairs[1]: vLLM 0.32.0 with LMCache 0.5.6 is listed twice"),
    "leading zero": ({"pairs": [{**_PAIR, "vllm": "00.32.0"}]}, "pairs[0].vllm: "),
    "leading zero of a bound": ({"knownBad": [{**_BAD, "vllm": {"before": "0.033.0"}}]}, "knownBad[0].vllm.before: "),
    "image without a tag": ({"pairs": [{**_PAIR, "image": "registry.example/engine"}]}, "pairs[0].image: must name a fixed version"),
    "image of the tag latest": ({"pairs": [{**_PAIR, "image": "engine:latest"}]}, "pairs[0].image: "),
    "image with half a digest": ({"pairs": [{**_PAIR, "image": "engine@sha256:0123"}]}, "pairs[0].image: "),
    "image with blanks": ({"pairs": [{**_PAIR, "image": "engine :1"}]}, "pairs[0].image: "),
    "the same pair twice": ({"pairs": [_PAIR, {**_PAIR, "image": "x:1"}]}, "pairs[1]: vLLM 0.32.1 with LMCache 0.5.6 is listed twice"),
    "leading v": ({"pairs": [{**_PAIR, "vllm": "v0.32.1"}]}, "pairs[0].vllm: "),
    "a number for a version": ({"pairs": [{**_PAIR, "vllm": 0.32}]}, "pairs[0].vllm: "),
    "release candidate": ({"pairs": [{**_PAIR, "lmcache": "0.5.6rc1"}]}, "pairs[0].lmcache: "),
    "unknown field of a pair": ({"pairs": [{**_PAIR, "torch": "2.13.0"}]}, "pairs[0].torch: "),
    "name as Python writes it": ({"pairs": [{**_PAIR, "key_format": "x"}]}, "pairs[0].key_format: "),
    "unknown section": ({"pair": [_PAIR]}, "pair: "),
    "key format with blanks": ({"pairs": [{**_PAIR, "keyFormat": "a b"}]}, "pairs[0].keyFormat: "),
    "empty image": ({"pairs": [{**_PAIR, "image": ""}]}, "pairs[0].image: "),
    "known-bad entry without issue": ({"knownBad": [{"effect": "x"}]}, "knownBad[0].issue: "),
    "known-bad entry without effect": ({"knownBad": [{"issue": "x"}]}, "knownBad[0].effect: "),
    "half a version as bound": ({"knownBad": [{**_BAD, "vllm": {"from": "0.32"}}]}, "knownBad[0].vllm.from: "),
    "pairs that are no list": ({"pairs": _PAIR}, "pairs: "),
    "too many pairs": ({"pairs": [_PAIR] * 65}, "pairs: "),
    "a list": ([_PAIR], "versions.yaml: "),
    "a word": ("pairs", "versions.yaml: "),
    "false": (False, "versions.yaml: "),
}  # fmt: skip


@pytest.mark.parametrize(("document", "fault"), _FAULTS.values(), ids=_FAULTS.keys())
def test_fault_is_named_and_nothing_is_added(document: Any, fault: str) -> None:
    table, faults = extend_table(BUILT_IN_TABLE, yaml.safe_dump(document))
    assert table is BUILT_IN_TABLE
    assert any(text.startswith(fault) for text in faults), faults
    assert all(len(text) <= 400 for text in faults)


def test_half_a_fault_adds_nothing_and_every_fault_is_told() -> None:
    table, faults = _extend(
        pairs=[_PAIR, _PAIR, {**_PAIR, "optionsOf": {"vllm": "1.0.0", "lmcache": "1.0.0"}}, _BUILT_IN],
    )
    assert table is BUILT_IN_TABLE
    assert [text.partition(":")[0] for text in faults] == ["pairs[1]", "pairs[2].optionsOf"]


@pytest.mark.parametrize(
    "document",
    [
        {"pairs": [_PAIR, _PAIR], "knownBad": [_BAD]},
        {"pairs": [{**_PAIR, "vllm": "v1"}], "knownBad": [_BAD]},
        {"pairs": "x", "knownBad": [_BAD, {"effect": "without issue"}, "x"]},
        {"knownBad": [_BAD] * 100},
    ],
    ids=["a pair twice", "a pair that is none", "no list and another bad entry", "too many"],
)
def test_known_bad_versions_are_barred_whatever_else_is_wrong(document: Any) -> None:
    table, faults = extend_table(BUILT_IN_TABLE, yaml.safe_dump(document))
    assert faults
    assert table.pairs == BUILT_IN_TABLE.pairs
    assert set(BUILT_IN_TABLE.known_bad) < set(table.known_bad)
    reason, text = choose_versions(None, None, table).problem or (None, "")
    assert reason is Reason.KnownBadVersions
    assert _BAD["effect"] in text


def test_password_in_an_image_is_not_told() -> None:
    _, faults = _extend(pairs=[{**_PAIR, "image": "u:SUPERSECRET@registry.example/engine:1"}])
    assert len(faults) == 1
    assert "SUPERSECRET" not in faults[0]
    assert "not shown" in faults[0]


def test_pair_that_came_with_an_upgrade_stays_as_the_user_has_it() -> None:
    own = {**_PAIR, "image": "mirror.example/engine:7"}
    before, _ = _extend(pairs=[own])
    mine = before.find("0.32.1", "0.5.6")
    assert mine is not None
    new = replace(DEFAULT_PAIR, vllm="0.32.1", key_format="new", default_image="new:1", options=("0.32.1", "0.5.6"))
    upgraded = VersionTable((new, *BUILT_IN_TABLE.pairs), BUILT_IN_TABLE.known_bad)
    after, faults = extend_table(upgraded, yaml.safe_dump({"pairs": [own]}))
    assert faults == []
    assert [str(pair) for pair in after.pairs] == [str(pair) for pair in upgraded.pairs]
    pair = after.default
    assert (pair.default_image, pair.key_format) == ("mirror.example/engine:7", mine.key_format)
    assert pair.options == new.options
    one, other = (compute_fingerprint(build_settled(), item, "inference") for item in (mine, pair))
    assert one == other


def test_override_of_a_built_in_pair_may_keep_its_cache() -> None:
    table, faults = _extend(pairs=[{**_BUILT_IN, "image": "mirror.example/e:1", "keyFormat": DEFAULT_PAIR.key_format}])
    assert faults == []
    assert table.pairs == (replace(DEFAULT_PAIR, default_image="mirror.example/e:1"), *BUILT_IN_TABLE.pairs[1:])


def test_override_needs_no_pair_for_its_options() -> None:
    table, faults = _extend(pairs=[{**_BUILT_IN, "optionsOf": {"vllm": "0.1.0", "lmcache": "0.1.0"}}])
    assert faults == []
    assert table.default.options == DEFAULT_PAIR.options


def _nest(levels: int, first: str, following: str) -> str:
    """Return a document of a few lines that stands for a huge one; REST is where ten of the level before go."""
    lines = [f"a0: &a0 {first}"]
    for level in range(levels):
        text = following.replace("REST", ", ".join([f"*a{level}"] * 10))
        lines.append(f"a{level + 1}: &a{level + 1} {text}")
    return "\n".join([*lines, f"pairs: [*a{levels}]"])


_HOSTILE: Final[dict[str, str]] = {
    "no YAML": "pairs: [",
    "tabs": "pairs:\n\t- x",
    "two documents": "pairs: []\n---\nknownBad: []",
    "a call": '!!python/object/apply:os.system ["false"]',
    "a call in a field": 'pairs: !!python/object/apply:builtins.list [["x"]]',
    "a tag that the loader would convert": "pairs: !!int x",
    "a tag that its converter cannot take": "pairs: !!timestamp x",
    "a month that does not exist": "pairs: 2026-13-45",
    "a number of five thousand digits": "pairs: " + "9" * 5000,
    "lists in lists": "pairs: " + "[" * 20_000,
    "maps in maps": "pairs: " + "{a: " * 20_000,
    "blocks in blocks": "\n".join(" " * level + "a:" for level in range(300)),
    "aliases of aliases": _nest(12, "[x]", "[REST]"),
    "merged aliases of aliases": _nest(9, "{x: y}", "{<<: [REST]}"),
    "an alias of itself": "pairs: &a [*a]",
    "an alias that is nowhere": "pairs: *a",
    "a NUL": "pairs: \0",
    "a key that is a list": "[pairs]: []",
    "a key twice": "pairs: []\npairs: []",
    "a key twice in a pair": "pairs:\n- {vllm: 0.32.1, vllm: 0.32.2, lmcache: 0.5.6, optionsOf: {vllm: 0.32.0, lmcache: 0.5.6}}",
    "a whole ConfigMap full": "pairs:\n" + "- {vllm: 0.32.1, lmcache: 0.5.6, optionsOf: {vllm: 0.32.0, lmcache: 0.5.6}}\n" * 12_000,
}  # fmt: skip


@contextmanager
def _at_most(seconds: float) -> Iterator[None]:
    """End what takes more CPU time than it ever should: the operator's event loop would stand still meanwhile."""

    def stop(*_: object) -> None:
        raise AssertionError(f"more than {seconds} s")

    before = signal.signal(signal.SIGVTALRM, stop)
    signal.setitimer(signal.ITIMER_VIRTUAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        signal.signal(signal.SIGVTALRM, before)


@pytest.mark.parametrize("text", _HOSTILE.values(), ids=_HOSTILE.keys())
def test_hostile_text_is_a_fault_that_costs_little(text: str) -> None:
    with _at_most(seconds=3):
        table, faults = extend_table(BUILT_IN_TABLE, text)
    assert table is BUILT_IN_TABLE
    assert faults
    assert sum(map(len, faults)) < 30_000


def test_tag_executes_nothing(tmp_path: Any) -> None:
    target = tmp_path / "touched"
    extend_table(
        BUILT_IN_TABLE, f'!!python/object/apply:pathlib.Path.touch [!!python/object/apply:pathlib.Path ["{target}"]]'
    )
    extend_table(BUILT_IN_TABLE, f'pairs: !!python/object/new:os.system ["touch {target}"]')
    assert not target.exists()


@given(st.text(max_size=60) | st.text("pairsknowBd:[]{}&*!-<>|'\"# \n\t0.,~", max_size=60))
def test_no_text_makes_the_reader_fail(text: str) -> None:
    table, faults = extend_table(BUILT_IN_TABLE, text)
    assert table == BUILT_IN_TABLE or not faults
