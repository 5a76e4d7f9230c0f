"""Which versions go together, which must not, and which a deployment gets."""

from dataclasses import replace
from typing import Final

import pytest

from inference_cache.api.engine import Engine, EngineVersions
from inference_cache.domain.option_lists import load_options
from inference_cache.domain.reasons import Reason
from inference_cache.domain.version_choice import choose_versions, read_tag
from inference_cache.domain.versions import (
    BUILT_IN_TABLE,
    DEFAULT_PAIR,
    OLDER_PAIR,
    Feature,
    Span,
    VersionPair,
    parse_version,
)

_TORCH: Final = "LMCache/issues/1712"
_DIGEST: Final = "@sha256:" + "a" * 64


@pytest.mark.parametrize("pair", BUILT_IN_TABLE.pairs, ids=str)
def test_built_in_pair_is_complete_and_not_known_to_be_bad(pair: VersionPair) -> None:
    assert BUILT_IN_TABLE.find(pair.vllm, pair.lmcache) is pair
    assert BUILT_IN_TABLE.find_bad(pair.vllm, pair.lmcache) is None
    assert read_tag(pair.default_image) == (pair.vllm, pair.lmcache)
    assert pair.options == (pair.vllm, pair.lmcache)
    for program, version in (("vllm", pair.vllm), ("lmcache", pair.lmcache), ("lmcache-connector", pair.lmcache)):
        assert load_options(program, version)


def test_newest_pair_is_the_default_and_can_do_everything() -> None:
    assert BUILT_IN_TABLE.default is DEFAULT_PAIR
    assert max(BUILT_IN_TABLE.pairs, key=lambda pair: parse_version(pair.vllm)) is DEFAULT_PAIR
    assert DEFAULT_PAIR.features == frozenset(Feature)


def test_pairs_have_key_formats_of_their_own() -> None:
    formats = [pair.key_format for pair in BUILT_IN_TABLE.pairs]
    assert len(set(formats)) == len(formats)


def test_torch_of_a_pair_is_that_of_its_wheels() -> None:
    assert [(str(pair), pair.torch) for pair in BUILT_IN_TABLE.pairs] == [
        ("vLLM 0.32.0 with LMCache 0.5.6", "2.13.0"),
        ("vLLM 0.26.0 with LMCache 0.5.3", "2.11.0"),
    ]


_SPANS: Final[dict[str, tuple[Span, str, bool]]] = {
    "the low end is in": (Span("0.20.0", "0.27.0"), "0.20.0", True),
    "the high end is out": (Span("0.20.0", "0.27.0"), "0.27.0", False),
    "last below the high end": (Span("0.20.0", "0.27.0"), "0.26.99", True),
    "below": (Span("0.20.0", "0.27.0"), "0.19.9", False),
    "numbers and not text are compared": (Span("0.9.0", "0.10.0"), "0.9.10", True),
    "open at the low end": (Span("", "0.20.0"), "0.0.1", True),
    "open at the high end": (Span("0.20.0", ""), "9.0.0", True),
    "open at both ends": (Span(), "1.2.3", True),
}


@pytest.mark.parametrize(("span", "version", "inside"), _SPANS.values(), ids=_SPANS.keys())
def test_span(span: Span, version: str, inside: bool) -> None:
    assert span.holds(version) is inside


_BAD: Final[dict[str, tuple[str, str, str]]] = {
    "torch 2.11 of vLLM and 2.13 of LMCache": ("0.26.0", "0.5.6", _TORCH),
    "torch 2.13 of vLLM and 2.11 of LMCache": ("0.32.0", "0.5.3", _TORCH),
    "first vLLM of torch 2.13": ("0.27.0", "0.5.3", _TORCH),
    "last LMCache of torch 2.11": ("0.27.0", "0.5.3", _TORCH),
    "first LMCache of torch 2.13": ("0.20.0", "0.5.4", _TORCH),
    "torch 2.14 of vLLM and 2.13 of LMCache": ("0.33.0", "0.5.6", _TORCH),
    "torch 2.14 of vLLM and 2.11 of LMCache": ("0.33.0", "0.5.3", _TORCH),
    "torch 2.10 of vLLM": ("0.19.1", "0.5.6", _TORCH),
    "vLLM that takes no connector from outside": ("0.19.1", "0.4.5", "LMCache/issues/5230"),
    "LMCache without S3 adapter": ("0.20.0", "0.4.4", "LMCache/issues/1961"),
    "engines that do not register again": ("0.26.0", "0.5.2", "LMCache/pull/3208"),
    "the oldest of these": ("0.26.0", "0.4.5", "LMCache/pull/3208"),
    "wrong tokens after a rejected load": ("0.33.0", "0.5.6", "vllm/issues/49250"),
}


@pytest.mark.parametrize(("vllm", "lmcache", "issue"), _BAD.values(), ids=_BAD.keys())
def test_pair_is_known_to_be_bad(vllm: str, lmcache: str, issue: str) -> None:
    assert BUILT_IN_TABLE.find_bad(vllm, lmcache) is not None
    causes = [bad for bad in BUILT_IN_TABLE.known_bad if bad.matches(vllm, lmcache)]
    assert any(bad.issue.endswith(issue) for bad in causes), causes


@pytest.mark.parametrize(
    ("vllm", "lmcache"),
    [("0.27.0", "0.5.4"), ("0.32.9", "0.5.6"), ("0.20.0", "0.5.3"), ("0.34.0", "0.6.0")],
    ids=["oldest of torch 2.13", "newest of torch 2.13", "oldest with S3 and registration", "newer than what is known"],
)
def test_pair_without_a_known_fault_is_not_called_bad(vllm: str, lmcache: str) -> None:
    assert BUILT_IN_TABLE.find_bad(vllm, lmcache) is None


def test_torch_mismatch_names_both_versions() -> None:
    bad = BUILT_IN_TABLE.find_bad("0.26.0", "0.5.6")
    assert bad is not None
    assert "2.11.0" in bad.effect
    assert "2.13.0" in bad.effect


_TAGS: Final[dict[str, tuple[str, tuple[str, str] | None]]] = {
    "plain": ("engine:vllm-0.32.0-lmcache-0.5.6", ("0.32.0", "0.5.6")),
    "registry with a port": ("registry.example:5000/a/engine:vllm-0.32.0-lmcache-0.5.6", ("0.32.0", "0.5.6")),
    "registry with a port and no tag": ("registry.example:5000/engine", None),
    "versions in the name and not in the tag": ("registry.example/vllm-0.32.0-lmcache-0.5.6:1", None),
    "registry with a port, versions in the name": ("registry.example:5000/vllm-0.32.0-lmcache-0.5.6", None),
    "leading v": ("engine:vllm-v0.32.0-lmcache-v0.5.6", ("0.32.0", "0.5.6")),
    "something around them": ("engine:2026-vllm-0.32.0-x-lmcache-0.5.6-cu129", ("0.32.0", "0.5.6")),
    "several digits": ("engine:vllm-0.32.10-lmcache-0.15.66", ("0.32.10", "0.15.66")),
    "tag and digest": (f"engine:vllm-0.32.0-lmcache-0.5.6{_DIGEST}", ("0.32.0", "0.5.6")),
    "digest alone": (f"registry.example/engine{_DIGEST}", None),
    "vLLM alone": ("vllm/vllm-openai:v0.32.0", None),
    "one of two": ("engine:vllm-0.32.0", None),
    "release candidate": ("engine:vllm-0.32.0rc1-lmcache-0.5.6", None),
    "release candidate as a word": ("engine:vllm-0.32.0-lmcache-0.5.6-rc1", None),
    "release candidate of vLLM as a word": ("engine:vllm-0.32.0-rc.1-lmcache-0.5.6", None),
    "release candidate after an underscore": ("engine:vllm-0.32.0-lmcache-0.5.6_rc1", None),
    "development version as a word": ("engine:vllm-0.32.0-lmcache-0.5.6-dev", None),
    "alpha": ("engine:vllm-0.32.0-lmcache-0.5.6-cu129-Alpha2", None),
    "beta": ("engine:vllm-0.32.0-lmcache-0.5.6-beta", None),
    "post release as a word": ("engine:vllm-0.32.0-lmcache-0.5.6-post1", None),
    "preview": ("engine:vllm-0.32.0-preview-lmcache-0.5.6", None),
    "nightly": ("engine:nightly-vllm-0.32.0-lmcache-0.5.6", None),
    "leading zero": ("engine:vllm-00.32.0-lmcache-0.5.6", None),
    "what else is in the image": ("engine:vllm-0.32.0-lmcache-0.5.6-cuda13-devel-prebuilt", ("0.32.0", "0.5.6")),
    "development version": ("engine:vllm-0.32.0-lmcache-0.5.6.dev3", None),
    "two numbers": ("engine:vllm-0.32-lmcache-0.5", None),
}


@pytest.mark.parametrize(("image", "versions"), _TAGS.values(), ids=_TAGS.keys())
def test_tag_names_versions(image: str, versions: tuple[str, str] | None) -> None:
    assert read_tag(image) == versions


_OLDER: Final = EngineVersions(vllm="0.26.0", lmcache="0.5.3")
_NEWER: Final = EngineVersions(vllm="0.32.0", lmcache="0.5.6")
_OLDER_IMAGE: Final = "registry.example:5000/engine:vllm-0.26.0-lmcache-0.5.3"
_CHOICES: Final[dict[str, tuple[Engine | None, str | None, VersionPair, str]]] = {
    "nothing is said": (None, None, DEFAULT_PAIR, DEFAULT_PAIR.default_image),
    "an engine without a word about it": (Engine(), None, DEFAULT_PAIR, DEFAULT_PAIR.default_image),
    "declared": (Engine(versions=_OLDER), None, OLDER_PAIR, OLDER_PAIR.default_image),
    "tag of the image": (Engine(image=_OLDER_IMAGE), None, OLDER_PAIR, _OLDER_IMAGE),
    "digest with declared versions": (Engine(image=f"e{_DIGEST}", versions=_OLDER), None, OLDER_PAIR, f"e{_DIGEST}"),
    "tag that says nothing with declared versions": (Engine(image="e:1", versions=_OLDER), None, OLDER_PAIR, "e:1"),
    "tag and declared versions agree": (Engine(image=_OLDER_IMAGE, versions=_OLDER), None, OLDER_PAIR, _OLDER_IMAGE),
    "tag of the operator's image": (None, _OLDER_IMAGE, OLDER_PAIR, _OLDER_IMAGE),
    "operator's image without a word": (None, "mirror.example/engine:1", DEFAULT_PAIR, "mirror.example/engine:1"),
    "declared, and the operator's image is another": (Engine(versions=_NEWER), _OLDER_IMAGE, DEFAULT_PAIR, DEFAULT_PAIR.default_image),
    "declared, and the operator's image is that": (Engine(versions=_OLDER), _OLDER_IMAGE, OLDER_PAIR, _OLDER_IMAGE),
    "the deployment's image comes before the operator's": (Engine(image=_OLDER_IMAGE), "e:vllm-0.32.0-lmcache-0.5.6", OLDER_PAIR, _OLDER_IMAGE),
}  # fmt: skip


@pytest.mark.parametrize(("engine", "preset", "pair", "image"), _CHOICES.values(), ids=_CHOICES.keys())
def test_choice(engine: Engine | None, preset: str | None, pair: VersionPair, image: str) -> None:
    choice = choose_versions(engine, preset, BUILT_IN_TABLE)
    assert (choice.pair, choice.image, choice.problem) == (pair, image, None)


_REFUSED: Final[dict[str, tuple[Engine | None, str | None, Reason, tuple[str, ...]]]] = {
    "tag and declared versions differ": (Engine(image=_OLDER_IMAGE, versions=_NEWER), None, Reason.EngineVersionsContradict, ("0.32.0", "0.5.6", "0.26.0", "0.5.3", _OLDER_IMAGE)),
    "digest alone": (Engine(image=f"e{_DIGEST}"), None, Reason.EngineVersionsUnknown, (_DIGEST, "engine.versions")),
    "digest alone, whatever the operator's image is": (Engine(image=f"e{_DIGEST}"), _OLDER_IMAGE, Reason.EngineVersionsUnknown, (_DIGEST,)),
    "tag that says nothing": (Engine(image="r.example:5000/e:1.0"), None, Reason.EngineVersionsUnknown, ("r.example:5000/e:1.0",)),
    "release candidate": (Engine(image="e:vllm-0.32.0rc1-lmcache-0.5.6"), None, Reason.EngineVersionsUnknown, ("0.32.0rc1",)),
    "torch mismatch": (Engine(versions=EngineVersions(vllm="0.26.0", lmcache="0.5.6")), None, Reason.KnownBadVersions, ("0.26.0", "0.5.6", "issues/1712", "vLLM 0.32.0 with LMCache 0.5.6")),
    "torch mismatch in the operator's image": (None, "e:vllm-0.32.0-lmcache-0.5.3", Reason.KnownBadVersions, ("0.5.3", "issues/1712")),
    "not in the table": (Engine(versions=EngineVersions(vllm="0.32.1", lmcache="0.5.6")), None, Reason.UnsupportedVersions, ("0.32.1", "0.5.6", "vLLM 0.26.0 with LMCache 0.5.3")),
}  # fmt: skip


@pytest.mark.parametrize(("engine", "preset", "reason", "words"), _REFUSED.values(), ids=_REFUSED.keys())
def test_refusal_names_the_versions(
    engine: Engine | None, preset: str | None, reason: Reason, words: tuple[str, ...]
) -> None:
    choice = choose_versions(engine, preset, BUILT_IN_TABLE)
    assert choice.pair is None
    assert choice.problem is not None
    assert choice.problem[0] is reason
    assert [word for word in words if word not in choice.problem[1]] == []


def test_default_follows_the_table() -> None:
    table = replace(BUILT_IN_TABLE, pairs=(OLDER_PAIR, DEFAULT_PAIR))
    assert choose_versions(None, None, table).pair is OLDER_PAIR
    assert choose_versions(None, "mirror.example/engine:1", table).pair is OLDER_PAIR
