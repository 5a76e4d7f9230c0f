"""The checks of what lies outside the cluster's own objects: Secrets and the bucket. Facts in, conditions out."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum, auto
from typing import Final

from inference_cache.api.cache import ObjectStoreTier

from .defaults import Settled
from .reasons import Reason
from .verdict import ConditionType, Verdict, bad, ok, unknown

S3_KEYS: Final = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")


class KeyState(Enum):
    """What is known of one key of a Secret, without its value."""

    PRESENT = auto()
    MISSING = auto()
    MALFORMED = auto()


@dataclass(frozen=True)
class SecretFacts:
    """A Secret as far as checks need it; values never get here.

    Attributes:
        readable: False where the API server denied reading.
        keys: State of each needed key; None where the Secret does not exist.
    """

    readable: bool
    keys: Mapping[str, KeyState] | None


class CAState(Enum):
    """What is known of a store's certificate authorities."""

    PRESENT = auto()
    FORBIDDEN = auto()
    NO_CONFIG_MAP = auto()
    NO_KEY = auto()
    MALFORMED = auto()


@dataclass(frozen=True)
class CAFacts:
    """The certificate authorities that a store's tier names, and their PEM text where there is one."""

    state: CAState
    pem: str = ""


@dataclass(frozen=True)
class BucketFacts:
    """What a signed request to the bucket found: a reason, details, and whether the cause may pass by itself."""

    reason: Reason
    detail: str = ""
    passing: bool = False


def list_needed_keys(settled: Settled) -> dict[str, tuple[str, ...]]:
    """Return the Secrets that the spec refers to, with the keys that pods will read from each."""
    needed: dict[str, tuple[str, ...]] = {}
    hub = settled.spec.model.source.hugging_face
    if hub is not None and hub.token_secret_ref is not None:
        needed[hub.token_secret_ref.name] = (hub.token_secret_ref.key,)
    engine = settled.spec.engine
    for item in (engine.extra_env if engine else None) or []:
        if item.secret_key_ref is not None:
            name, key = item.secret_key_ref.name, item.secret_key_ref.key
            needed[name] = tuple(dict.fromkeys((*needed.get(name, ()), key)))
    if settled.object_store is not None:
        name = settled.object_store.credentials.secret_ref.name
        needed[name] = tuple(dict.fromkeys((*needed.get(name, ()), *S3_KEYS)))
    return needed


def check_credentials(settled: Settled, secrets: Mapping[str, SecretFacts]) -> Verdict:
    """Return the condition CredentialsReady."""
    condition = ConditionType.CREDENTIALS_READY
    needed = list_needed_keys(settled)
    if not needed:
        return ok(condition, Reason.CredentialsNotNeeded)
    for name, keys in sorted(needed.items()):
        facts = secrets[name]
        if not facts.readable:
            return bad(condition, Reason.SecretForbidden, f"Secret {name} may not be read.")
        if facts.keys is None:
            return bad(condition, Reason.SecretNotFound, f"Secret {name} does not exist.")
        for key in keys:
            state = facts.keys.get(key, KeyState.MISSING)
            if state is KeyState.MISSING:
                return bad(condition, Reason.SecretKeyMissing, f"Secret {name} has no key {key}.")
            if state is KeyState.MALFORMED:
                message = f"Key {key} of Secret {name} is empty or has white space around its value."
                return bad(condition, Reason.SecretKeyMalformed, message)
    return ok(condition, Reason.CredentialsFound)


def check_object_store(settled: Settled, bucket: BucketFacts | None, authorities: CAFacts | None = None) -> Verdict:
    """Return the condition ObjectStoreReady; None as bucket means that it was not asked."""
    condition = ConditionType.OBJECT_STORE_READY
    store = settled.object_store
    if store is None:
        return ok(condition, Reason.NoObjectStore)
    if fault := _find_ca_fault(store, authorities):
        return bad(condition, *fault)
    if bucket is None:
        return unknown(condition, Reason.NotChecked)
    where = f"bucket {store.bucket.name} at {store.endpoint}"
    if bucket.reason is Reason.BucketReachable:
        return ok(condition, Reason.BucketReachable, f"The {where} answered a signed request.")
    detail = f": {bucket.detail}" if bucket.detail else ""
    return bad(condition, bucket.reason, f"The {where} failed{detail}.", passing=bucket.passing)


def _find_ca_fault(store: ObjectStoreTier, authorities: CAFacts | None) -> tuple[Reason, str] | None:
    if store.tls is None or authorities is None:
        return None
    name, key = store.tls.ca_ref.config_map, store.tls.ca_ref.key
    faults: dict[CAState, tuple[Reason, str]] = {
        CAState.FORBIDDEN: (Reason.Forbidden, f"ConfigMap {name} may not be read."),
        CAState.NO_CONFIG_MAP: (Reason.CANotFound, f"ConfigMap {name} does not exist."),
        CAState.NO_KEY: (Reason.CAKeyMissing, f"ConfigMap {name} has no key {key}."),
        CAState.MALFORMED: (Reason.CAMalformed, f"Key {key} of ConfigMap {name} holds no certificate."),
    }
    return faults.get(authorities.state)
