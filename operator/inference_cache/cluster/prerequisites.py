"""Reads the Secrets that a spec refers to and asks its bucket, no more often than needed.

Verdicts are kept per deployment: a good one is asked for again on a budget, a bad one with a growing delay, and both at
once when the spec or the Secret changes. Values of Secrets live only for the moment of a probe.
"""

import base64
import binascii
import random
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

from inference_cache.api.cache import ObjectStoreTier
from inference_cache.domain.defaults import Settled
from inference_cache.domain.kinds import CONFIG_MAP, SECRET
from inference_cache.domain.preflight import (
    S3_KEYS,
    BucketFacts,
    CAFacts,
    CAState,
    KeyState,
    SecretFacts,
    check_credentials,
    list_needed_keys,
)
from inference_cache.domain.reasons import Reason
from inference_cache.domain.scope import Identity

from .errors import RefusedError
from .gateway import Gateway
from .object_store import BucketProber, S3Keys

# All deployments together ask again for good answers no more than once in this many seconds.
_BUDGET_SECONDS: Final = 10
_FIRST_RETRY_SECONDS: Final = 2
_LAST_RETRY_SECONDS: Final = 30
# While pods are not ready, a good answer may be the very thing that changed.
_DOUBT_SECONDS: Final = 20
_PEM: Final = "-----BEGIN CERTIFICATE-----"


@dataclass(frozen=True)
class Prerequisites:
    """What was found, when, and when to look again (monotonic seconds)."""

    asked_for: object
    secrets: Mapping[str, SecretFacts]
    bucket: BucketFacts | None
    authorities: CAFacts | None
    good: bool
    looked: float
    look_again: float
    delay: float


class PrerequisiteReader:
    """Observes Secrets and buckets for all deployments.

    Args:
        gateway: For the Secrets.
        prober: For the buckets.
        good_seconds: How long a good answer is trusted at least.
        clock: Monotonic seconds.
    """

    def __init__(
        self,
        gateway: Gateway,
        prober: BucketProber,
        good_seconds: float = 300,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._good_seconds = good_seconds
        self._gateway = gateway
        self._prober = prober
        self._clock = clock
        self._known: dict[str, Prerequisites] = {}

    async def observe(self, identity: Identity, generation: int, settled: Settled, *, healthy: bool) -> Prerequisites:
        """Return what is known, looking again where it is due.

        Args:
            identity: The deployment.
            generation: Of its spec; before pods are replaced for a new one, everything is looked at again.
            settled: What it refers to.
            healthy: Whether its pods are ready; if not, good answers are trusted for a shorter time.
        """
        now = self._clock()
        asked_for = (generation, list_needed_keys(settled), settled.object_store)
        known = self._known.get(identity.uid)
        if known is not None and known.asked_for == asked_for:
            if known.good and not healthy:
                doubt = min(known.look_again, known.looked + _DOUBT_SECONDS)
                known = replace(known, look_again=doubt)
            if now < known.look_again:
                return known
        found = await self._look(identity, settled, asked_for, known)
        self._known[identity.uid] = found
        return found

    def forget(self, uid: str) -> None:
        """Drop what is known of a deleted deployment."""
        self._known.pop(uid, None)

    async def _look(
        self, identity: Identity, settled: Settled, asked_for: object, known: Prerequisites | None
    ) -> Prerequisites:
        secrets: dict[str, SecretFacts] = {}
        keys: S3Keys | None = None
        store = settled.object_store
        for name, wanted in list_needed_keys(settled).items():
            data = await self._read_secret(identity.namespace, name)
            if isinstance(data, SecretFacts):
                secrets[name] = data
                continue
            secrets[name] = SecretFacts(readable=True, keys={key: _state(data.get(key)) for key in wanted})
            if store is not None and store.credentials.secret_ref.name == name:
                keys = _s3_keys(data)
        bucket = None
        authorities = await self._read_authorities(identity.namespace, store)
        trusted = authorities is None or authorities.state is CAState.PRESENT
        if store is not None and keys is not None and trusted:
            bucket = await self._prober.probe(store, keys, authorities.pem if authorities else None)
            if bucket.reason is Reason.CAMalformed:
                authorities = CAFacts(CAState.MALFORMED)
        good = not check_credentials(settled, secrets).blocks and (
            store is None or (bucket is not None and bucket.reason is Reason.BucketReachable)
        )
        delay = self._next_delay(known if known and known.asked_for == asked_for else None, good=good)
        now = self._clock()
        return Prerequisites(asked_for, secrets, bucket, authorities, good, now, now + delay, delay)

    def _next_delay(self, known: Prerequisites | None, *, good: bool) -> float:
        if good:
            return max(self._good_seconds, self._budget()) * random.uniform(0.9, 1.1)  # noqa: S311 - jitter
        if known is None or known.good:
            return _FIRST_RETRY_SECONDS
        return min(known.delay * 2, _LAST_RETRY_SECONDS)

    def _budget(self) -> float:
        return min(_BUDGET_SECONDS, self._good_seconds / 30) * len(self._known)

    async def _read_authorities(self, namespace: str, store: ObjectStoreTier | None) -> CAFacts | None:
        if store is None or store.tls is None:
            return None
        try:
            found = await self._gateway.read(CONFIG_MAP, namespace, store.tls.ca_ref.config_map)
        except RefusedError:
            return CAFacts(CAState.FORBIDDEN)
        if found is None:
            return CAFacts(CAState.NO_CONFIG_MAP)
        text = (found.get("data") or {}).get(store.tls.ca_ref.key)
        if text is None:
            return CAFacts(CAState.NO_KEY)
        return CAFacts(CAState.PRESENT, text) if _PEM in text else CAFacts(CAState.MALFORMED)

    async def _read_secret(self, namespace: str, name: str) -> dict[str, Any] | SecretFacts:
        try:
            secret = await self._gateway.read(SECRET, namespace, name)
        except RefusedError:
            return SecretFacts(readable=False, keys=None)
        if secret is None:
            return SecretFacts(readable=True, keys=None)
        data: dict[str, Any] = secret.get("data") or {}
        return data


def _decode(value: str | None) -> str | None:
    if value is None:
        return None
    try:
        return base64.b64decode(value).decode()
    except (binascii.Error, UnicodeDecodeError):
        return ""


def _state(value: str | None) -> KeyState:
    text = _decode(value)
    if text is None:
        return KeyState.MISSING
    # Keys are printable ASCII without blanks; anything else is a pasted file or a stray newline, and breaks HTTP headers.
    return (
        KeyState.PRESENT if text and text.isascii() and text.isprintable() and " " not in text else KeyState.MALFORMED
    )


def _s3_keys(data: Mapping[str, Any]) -> S3Keys | None:
    if any(_state(data.get(key)) is not KeyState.PRESENT for key in S3_KEYS):
        return None
    access, secret = (_decode(data[key]) or "" for key in S3_KEYS)
    return S3Keys(access, secret)
