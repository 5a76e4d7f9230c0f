"""Secrets and the bucket: every finding gives one precise reason, and messages name the object and the remedy."""

import pytest

from inference_cache.domain.preflight import (
    S3_KEYS,
    BucketFacts,
    KeyState,
    SecretFacts,
    check_credentials,
    check_object_store,
    list_needed_keys,
)
from inference_cache.domain.reasons import Reason
from inference_cache.domain.verdict import Truth
from tests.support.builders import REMOVED, build_settled

_GOOD = dict.fromkeys(S3_KEYS, KeyState.PRESENT)
_SECRETS = {
    "every key is present": (SecretFacts(readable=True, keys=_GOOD), Reason.CredentialsFound),
    "the Secret may not be read": (SecretFacts(readable=False, keys=None), Reason.SecretForbidden),
    "the Secret does not exist": (SecretFacts(readable=True, keys=None), Reason.SecretNotFound),
    "a key is missing": (SecretFacts(readable=True, keys={S3_KEYS[0]: KeyState.PRESENT}), Reason.SecretKeyMissing),
    "a key is malformed": (
        SecretFacts(readable=True, keys=_GOOD | {S3_KEYS[1]: KeyState.MALFORMED}),
        Reason.SecretKeyMalformed,
    ),
}


@pytest.mark.parametrize(("facts", "reason"), _SECRETS.values(), ids=_SECRETS.keys())
def test_credentials_when(facts: SecretFacts, reason: Reason) -> None:
    verdict = check_credentials(build_settled(), {"kv-nemotron": facts})
    assert verdict.reason is reason
    assert verdict.blocks is (reason is not Reason.CredentialsFound)
    if verdict.blocks:
        assert "kv-nemotron" in verdict.message
        assert verdict.message.endswith(reason.remedy)


def test_one_secret_for_hub_and_store_needs_the_keys_of_both() -> None:
    changes = {"model.source.huggingFace.tokenSecretRef": {"name": "kv-nemotron"}}
    assert list_needed_keys(build_settled(changes)) == {"kv-nemotron": ("token", *S3_KEYS)}


def test_memory_alone_needs_neither_secret_nor_bucket() -> None:
    settled = build_settled({"cache.tiers.1": REMOVED})
    assert check_credentials(settled, {}).reason is Reason.CredentialsNotNeeded
    assert check_object_store(settled, None).reason is Reason.NoObjectStore


_FINDINGS = [
    *(Reason.BucketNotFound, Reason.AccessDenied, Reason.AccessKeyUnknown, Reason.SignatureMismatch),
    *(Reason.ClockSkew, Reason.WrongRegion, Reason.HostNotFound, Reason.CertificateUntrusted),
    *(Reason.StoreUnreachable, Reason.StoreError),
]


@pytest.mark.parametrize("passing", [True, False], ids=["cause may pass", "cause lasts"])
@pytest.mark.parametrize("reason", _FINDINGS, ids=lambda reason: reason.name)
def test_failed_bucket_keeps_its_reason_and_names_bucket_and_endpoint(reason: Reason, passing: bool) -> None:
    verdict = check_object_store(build_settled(), BucketFacts(reason, "HTTP 500", passing=passing))
    assert (verdict.status, verdict.reason, verdict.passing) == (Truth.FALSE, reason, passing)
    assert "kv-nemotron at http://s3.internal failed: HTTP 500" in verdict.message
    assert verdict.message.endswith(reason.remedy)


def test_reachable_bucket_holds() -> None:
    verdict = check_object_store(build_settled(), BucketFacts(Reason.BucketReachable))
    assert (verdict.status, verdict.reason) == (Truth.TRUE, Reason.BucketReachable)


def test_bucket_that_was_not_asked_is_unknown() -> None:
    verdict = check_object_store(build_settled(), None)
    assert (verdict.status, verdict.reason) == (Truth.UNKNOWN, Reason.NotChecked)
