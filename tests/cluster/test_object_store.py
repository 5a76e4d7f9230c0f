"""What a probe of a bucket says when it cannot even be sent: never the keys, and always an answer."""

import pytest
from botocore import exceptions as aws

from inference_cache.cluster.object_store import S3Keys, _from_failure, probe_bucket
from inference_cache.domain.reasons import Reason
from tests.support.builders import build_settled


def test_failure_that_quotes_the_request_is_not_repeated() -> None:
    failure = aws.HTTPClientError(error=ValueError("Invalid header value b'Credential=TOPSECRET'"))
    facts = _from_failure(failure)
    assert facts.reason is Reason.StoreUnreachable
    assert "TOPSECRET" not in facts.detail
    assert "HTTPClientError" in facts.detail


@pytest.mark.parametrize(
    ("endpoint", "region"),
    [("http://s3.internal:9000", "123"), (f"http://{'a' * 64}.internal", "us-east-1")],
    ids=["region of digits", "label of the host too long"],
)
def test_what_boto3_refuses_is_an_answer_and_no_exception(endpoint: str, region: str) -> None:
    tier = build_settled().object_store
    assert tier is not None
    tier = tier.model_copy(update={"endpoint": endpoint, "region": region})
    facts = probe_bucket(tier, S3Keys("access", "TOPSECRET"))
    assert facts.reason is Reason.StoreError
    assert "TOPSECRET" not in facts.detail
