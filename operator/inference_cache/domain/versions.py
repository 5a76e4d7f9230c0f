"""Which vLLM and LMCache versions belong together, and what is fixed by that choice.

A pair is data: vLLM and LMCache are built against the same torch ABI or the connector cannot load (LMCache#1712,
LMCache#1294), and object keys and bytes written by one pair may only be read by a pair of the same key format.
"""

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True)
class VersionPair:
    """A vLLM and an LMCache version that work together.

    Attributes:
        vllm: vLLM version.
        lmcache: LMCache version.
        torch: torch version that both are built against.
        key_format: Name of the object key format and of the bytes behind it; part of the layout fingerprint.
        default_image: Image that holds both, with boto3, which LMCache's S3 adapter needs and does not depend on.
    """

    vllm: str
    lmcache: str
    torch: str
    key_format: str
    default_image: str


DEFAULT_PAIR: Final = VersionPair(
    vllm="0.32.0",
    lmcache="0.5.6",
    torch="2.13.0",
    key_format="lmcache-mp-s3/0.5+vllm/0.32",
    default_image="docker.io/inferencecache/engine:vllm-0.32.0-lmcache-0.5.6",
)
