"""Which vLLM and LMCache versions belong together, and what is fixed by that choice. The table is data; users extend it.

A pair must be built against the same torch ABI or the connector cannot load (LMCache#1712, LMCache#1294), and object
keys and bytes written by one pair may only be read by a pair of the same key format.
"""

from dataclasses import dataclass, field
from enum import Enum, auto, unique
from typing import Final


@unique
class Feature(Enum):
    """What not every version of LMCache or vLLM can do."""

    ISOLATED_IPC = auto()
    HUGE_PAGES = auto()
    ARC_EVICTION = auto()
    NIXL_CLIENT = auto()


@dataclass(frozen=True)
class VersionPair:
    """A vLLM and an LMCache version that work together.

    Attributes:
        vllm: vLLM version.
        lmcache: LMCache version.
        torch: torch version that both are built against.
        cuda: Major version of CUDA that both are built for.
        key_format: Name of the object key format and of the bytes behind it; part of the layout fingerprint.
        default_image: Image that holds both, with boto3, which LMCache's S3 adapter needs and does not depend on.
        features: What this pair can do beside what all can.
        options: Versions of vLLM and LMCache whose lists of options hold for this pair.
    """

    vllm: str
    lmcache: str
    torch: str
    cuda: str
    key_format: str
    default_image: str
    features: frozenset[Feature]
    options: tuple[str, str]

    def __str__(self) -> str:
        return f"vLLM {self.vllm} with LMCache {self.lmcache}"


@dataclass(frozen=True)
class Span:
    """Versions from `low` up to, but without, `high`; an empty end is open."""

    low: str = ""
    high: str = ""

    def holds(self, version: str) -> bool:
        """Whether the version lies in the span."""
        number = parse_version(version)
        return (not self.low or parse_version(self.low) <= number) and (
            not self.high or number < parse_version(self.high)
        )


@dataclass(frozen=True)
class KnownBad:
    """Versions that must not be used, or not together.

    Attributes:
        effect: What happens, in a sentence.
        issue: Where upstream says so.
    """

    vllm: Span
    lmcache: Span
    effect: str
    issue: str

    def matches(self, vllm: str, lmcache: str) -> bool:
        """Whether the pair is meant."""
        return self.vllm.holds(vllm) and self.lmcache.holds(lmcache)


@dataclass(frozen=True)
class VersionTable:
    """Supported pairs, the preferred one first, and combinations that are known to be bad."""

    pairs: tuple[VersionPair, ...]
    known_bad: tuple[KnownBad, ...] = field(default=())

    @property
    def default(self) -> VersionPair:
        """The pair for deployments that ask for none."""
        return self.pairs[0]

    def find(self, vllm: str, lmcache: str) -> VersionPair | None:
        """Return the supported pair of these versions."""
        return next((pair for pair in self.pairs if (pair.vllm, pair.lmcache) == (vllm, lmcache)), None)

    def find_bad(self, vllm: str, lmcache: str) -> KnownBad | None:
        """Return why these versions must not be used together."""
        return next((bad for bad in self.known_bad if bad.matches(vllm, lmcache)), None)

    def list_supported(self) -> str:
        """Return the supported pairs as words."""
        return "; ".join(str(pair) for pair in self.pairs)


def parse_version(text: str) -> tuple[int, int, int]:
    """Return the numbers of MAJOR.MINOR.PATCH.

    Raises:
        ValueError: It is not of that form.
    """
    major, minor, patch = (int(part) for part in text.split("."))
    return major, minor, patch


DEFAULT_PAIR: Final = VersionPair(
    vllm="0.32.0",
    lmcache="0.5.6",
    torch="2.13.0",
    cuda="13",
    key_format="lmcache-mp/0.5+vllm/0.32",
    default_image="docker.io/inferencecache/engine:vllm-0.32.0-lmcache-0.5.6",
    features=frozenset(Feature),
    options=("0.32.0", "0.5.6"),
)
OLDER_PAIR: Final = VersionPair(
    vllm="0.26.0",
    lmcache="0.5.3",
    torch="2.11.0",
    cuda="13",
    key_format="lmcache-mp/0.5+vllm/0.26",
    default_image="docker.io/inferencecache/engine:vllm-0.26.0-lmcache-0.5.3",
    features=frozenset(),
    options=("0.26.0", "0.5.3"),
)

# torch that the published wheels are built against, read from their metadata.
_VLLM_BY_TORCH: Final = {
    "2.10.0": Span("0.17.1", "0.20.0"),
    "2.11.0": Span("0.20.0", "0.27.0"),
    "2.13.0": Span("0.27.0", "0.33.0"),
    "2.14.0": Span("0.33.0", "0.34.0"),
}
_LMCACHE_BY_TORCH: Final = {
    "2.10.0": Span("0.4.2", "0.4.7"),
    "2.11.0": Span("0.4.7", "0.5.4"),
    "2.13.0": Span("0.5.4", "0.5.7"),
}

_TORCH_MISMATCHES: Final = tuple(
    KnownBad(
        vllm,
        lmcache,
        f"the vLLM wheel is built against torch {one}, the LMCache wheel against torch {other}: LMCache's GPU code does not load, or loads and copies wrong bytes",
        "https://github.com/LMCache/LMCache/issues/1712",
    )
    for one, vllm in _VLLM_BY_TORCH.items()
    for other, lmcache in _LMCACHE_BY_TORCH.items()
    if one != other
)
_FLOORS: Final = (
    KnownBad(
        Span("", "0.20.0"),
        Span(),
        "vLLM before 0.20 takes no connector from outside, so its vendored one stores decoded tokens too and fills the tiers",
        "https://github.com/LMCache/LMCache/issues/5230",
    ),
    KnownBad(
        Span(),
        Span("", "0.4.5"),
        "LMCache before 0.4.5 has no S3 adapter in its server",
        "https://github.com/LMCache/LMCache/issues/1961",
    ),
    KnownBad(
        Span(),
        Span("0.4.5", "0.5.3"),
        "engines do not register again after LMCache before 0.5.3 restarted: every look-up is a miss until they restart too",
        "https://github.com/LMCache/LMCache/pull/3208",
    ),
    KnownBad(
        Span("0.33.0", "0.34.0"),
        Span(),
        "vLLM 0.33 answers wrong tokens when it recomputes after a rejected synchronous load",
        "https://github.com/vllm-project/vllm/issues/49250",
    ),
)

BUILT_IN_TABLE: Final = VersionTable((DEFAULT_PAIR, OLDER_PAIR), (*_FLOORS, *_TORCH_MISMATCHES))
