"""What remedies need to know of the object store tier and of the Secret with its keys."""

import json
import re
from typing import Any, Final

from inference_cache.domain.preflight import S3_KEYS

from .fixes import Command, Fix, Path, Situation, find_field

Store = tuple[Path, dict[str, Any]]
"""Where the object store tier is in the spec, and the tier."""

_PLACEHOLDERS: Final = {
    "AWS_ACCESS_KEY_ID": "<ACCESS_KEY>",
    "AWS_SECRET_ACCESS_KEY": "<SECRET_KEY>",
    "token": "<TOKEN>",
}


def find_store(situation: Situation) -> Store | None:
    """Return where the object store tier is in the spec, and the tier; None where there is none."""
    tiers = find_field(situation.spec, ("cache", "tiers")) or []
    return next(
        (
            (("cache", "tiers", i, "objectStore"), tier["objectStore"])
            for i, tier in enumerate(tiers)
            if "objectStore" in tier
        ),
        None,
    )


def describe_store(store: dict[str, Any]) -> tuple[str, str, str]:
    """Return bucket, endpoint and region."""
    return store["bucket"]["name"], store["endpoint"], store["region"]


def find_store_secret(situation: Situation) -> tuple[str, tuple[str, ...]]:
    """Return the Secret with the keys of the store, and the keys."""
    store = find_store(situation)
    name = find_field(store[1], ("credentials", "secretRef", "name")) if store else None
    return name or "<SECRET>", S3_KEYS


def edit_store(situation: Situation, why: str, path: Path, value: str) -> tuple[Fix, ...]:
    """Return the edit of one field of the tier."""
    store = find_store(situation)
    return () if store is None else (Fix(why, (situation.edit((*store[0], *path), value),)),)


def patch_secret(situation: Situation, name: str, keys: tuple[str, ...] | list[str]) -> Command:
    """Return the command that writes keys of a Secret and leaves its others."""
    patch = json.dumps({"stringData": {key: placeholder(key) for key in keys}}, separators=(",", ":"))
    return Command(situation.target.kubectl("patch", "secret", name, "--type=merge", "-p", patch))


def placeholder(key: str) -> str:
    """Return what stands for the value of a key."""
    return _PLACEHOLDERS.get(key) or "<" + re.sub(r"[^A-Z0-9]+", "_", key.upper()) + ">"
