"""Which version pair and image a deployment gets, from what it declares, what its image's tag says and the operator's default."""

import re
from dataclasses import dataclass
from typing import Final

from inference_cache.api.engine import Engine

from .reasons import Reason
from .versions import VersionPair, VersionTable

# 0.32.0rc1 and 0.32.0.dev7 are not 0.32.0: other options, and maybe other keys.
_NUMBER: Final = "(?:0|[1-9][0-9]*)"
_RELEASE: Final = rf"v?({_NUMBER}\.{_NUMBER}\.{_NUMBER})(?![0-9A-Za-z]|\.[0-9A-Za-z])"
_TAG: Final = re.compile(f"vllm-{_RELEASE}.*lmcache-{_RELEASE}")
# The same as a word of its own: 0.32.0-rc1, 0.32.0_dev. Suffixes such as -cu129 or -devel say what else is in the image.
_UNRELEASED: Final = re.compile(
    "(?:^|[-_.])(?:rc|dev|alpha|beta|nightly|pre|preview|post)[0-9]*(?:[-_.]|$)", re.IGNORECASE
)


@dataclass(frozen=True)
class VersionChoice:
    """A pair with its image, or why there is none.

    Attributes:
        problem: Reason and sentence; None where there is a pair.
    """

    pair: VersionPair | None
    image: str = ""
    problem: tuple[Reason, str] | None = None


def read_tag(image: str) -> tuple[str, str] | None:
    """Return the vLLM and LMCache releases that the tag of an image names, or None."""
    tag = image.partition("@")[0].rpartition("/")[2].partition(":")[2]
    found = _TAG.search(tag)
    return None if found is None or _UNRELEASED.search(tag) else (found[1], found[2])


def choose_versions(engine: Engine | None, operator_image: str | None, table: VersionTable) -> VersionChoice:
    """Return the pair and the image.

    Declared versions come first, then the tag of the deployment's image, then the tag of the operator's image, then the
    newest pair. An operator's image whose tag says nothing is taken at its administrator's word for the newest pair; a
    deployment's image whose versions nobody knows is refused, as wrong options or a wrong key format may follow.
    """
    declared = (engine.versions.vllm, engine.versions.lmcache) if engine and engine.versions else None
    image = engine.image if engine else None
    named = read_tag(image) if image else None
    if declared and named and declared != named:
        text = f"engine.versions says vLLM {declared[0]} with LMCache {declared[1]}, but the tag of {image} says vLLM {named[0]} with LMCache {named[1]}."
        return VersionChoice(None, problem=(Reason.EngineVersionsContradict, text))
    wanted = declared or named
    if image and wanted is None:
        return VersionChoice(
            None,
            problem=(
                Reason.EngineVersionsUnknown,
                f"Nothing says which vLLM and LMCache versions {image} holds: engine.versions is not set and its tag names no releases.",
            ),
        )
    preset = (read_tag(operator_image) or _versions(table.default)) if operator_image else None
    wanted = wanted or preset or _versions(table.default)
    if bad := table.find_bad(*wanted):
        text = f"vLLM {wanted[0]} with LMCache {wanted[1]}: {bad.effect} ({bad.issue}). Supported: {table.list_supported()}."
        return VersionChoice(None, problem=(Reason.KnownBadVersions, text))
    pair = table.find(*wanted)
    if pair is None:
        text = f"vLLM {wanted[0]} with LMCache {wanted[1]} is not in the table. Supported: {table.list_supported()}."
        return VersionChoice(None, problem=(Reason.UnsupportedVersions, text))
    fallback = operator_image if operator_image and preset == wanted else pair.default_image
    return VersionChoice(pair, image or fallback)


def _versions(pair: VersionPair) -> tuple[str, str]:
    return pair.vllm, pair.lmcache
