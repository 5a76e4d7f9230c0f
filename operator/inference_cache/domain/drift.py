"""Whether a live object already has what we want, so that nothing needs to be written."""

from typing import Any

from . import names
from .live import Live
from .manifest import Manifest


def has_fields(live: Any, desired: Any) -> bool:
    """Whether every desired field is present in the live value; `Live.foreign` tells what others have added.

    Lists match by position and length: the API server keeps our order and adds defaults within items, not items.
    """
    if isinstance(desired, dict):
        if not desired:
            return live is None or isinstance(live, dict)
        return isinstance(live, dict) and all(has_fields(live.get(key), value) for key, value in desired.items())
    if isinstance(desired, list):
        if not desired:
            return live in (None, [])
        return (
            isinstance(live, list)
            and len(live) == len(desired)
            and all(has_fields(found, wanted) for found, wanted in zip(live, desired, strict=True))
        )
    return bool(live == desired)


def is_current(live: Live, manifest: Manifest) -> bool:
    """Whether applying the manifest would change nothing.

    The hash tells whether the object was rendered from the same content, which also covers fields that we no longer
    want; the comparison tells whether someone has edited it since, and ownership whether someone has added to it.
    """
    same = live.annotation(names.ANNOTATION_APPLIED_HASH) == manifest.hash
    return same and not live.foreign and has_fields(live.body, manifest.body)
