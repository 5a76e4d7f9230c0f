"""Asks a bucket with a signed request, from the operator, before any pod needs it; every failure gets its own reason."""

import asyncio
import logging
import socket
import ssl
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import cache, partial
from typing import Any, Final, Literal

import boto3
from botocore import exceptions as aws
from botocore.config import Config

from inference_cache.api.cache import Addressing, ObjectStoreTier
from inference_cache.domain.preflight import BucketFacts
from inference_cache.domain.reasons import Reason

from .bounded_http import OversizedAnswerError, build_trust, send_bounded

# botocore logs whole requests at DEBUG, signature included.
logging.getLogger("botocore").setLevel(logging.WARNING)

_STYLES: Final[dict[Addressing | None, Literal["virtual", "path"]]] = {
    None: "virtual",
    Addressing.VIRTUAL_HOST: "virtual",
    Addressing.PATH: "path",
}
_WORKERS: Final = 8
_DEADLINE_SECONDS: Final = 15

_BY_CODE: Final[dict[str, Reason]] = {
    "NoSuchBucket": Reason.BucketNotFound,
    "AccessDenied": Reason.AccessDenied,
    "AllAccessDisabled": Reason.AccessDenied,
    "InvalidAccessKeyId": Reason.AccessKeyUnknown,
    "SignatureDoesNotMatch": Reason.SignatureMismatch,
    "RequestTimeTooSkewed": Reason.ClockSkew,
    "RequestExpired": Reason.ClockSkew,
    "AuthorizationHeaderMalformed": Reason.WrongRegion,
    "PermanentRedirect": Reason.WrongRegion,
    "IllegalLocationConstraintException": Reason.WrongRegion,
}


_QUOTABLE: Final = (
    aws.EndpointConnectionError,
    aws.ConnectTimeoutError,
    aws.ReadTimeoutError,
    aws.ConnectionClosedError,
    aws.ProxyConnectionError,
)

# A session costs 100 ms for the service descriptions that it reads; making clients from one is not thread-safe.
_making_clients: Final = threading.Lock()


@cache
def _session() -> boto3.session.Session:
    return boto3.session.Session()


@dataclass(frozen=True)
class S3Keys:
    """Keys of one probe. They are never shown: not in a repr, not in a log, not in an error."""

    access_key: str = field(repr=False)
    secret_key: str = field(repr=False)


class BucketProber:
    """Probes buckets in a small pool of threads, as boto3 blocks."""

    def __init__(self) -> None:
        self._pool = ThreadPoolExecutor(max_workers=_WORKERS, thread_name_prefix="bucket-probe")

    async def probe(self, store: ObjectStoreTier, keys: S3Keys, authorities: str | None = None) -> BucketFacts:
        """Return what a signed request found; never raises, and ends within 15 seconds.

        Args:
            store: The tier.
            keys: To sign with.
            authorities: Certificate authorities in PEM form that take the place of the system's.
        """
        loop = asyncio.get_running_loop()
        try:
            return await asyncio.wait_for(
                loop.run_in_executor(self._pool, probe_bucket, store, keys, authorities), timeout=_DEADLINE_SECONDS
            )
        except TimeoutError:
            return BucketFacts(Reason.StoreUnreachable, f"no answer within {_DEADLINE_SECONDS} s", passing=True)

    def close(self) -> None:
        """Let the threads end."""
        self._pool.shutdown(wait=False, cancel_futures=True)


@cache
def _build_config(style: Literal["virtual", "path"]) -> Config:
    return Config(
        signature_version="s3v4",
        s3={"addressing_style": style},
        retries={"total_max_attempts": 1},
        # Third-party stores reject the checksums that newer SDKs add by default (boto/boto3#4392).
        request_checksum_calculation="when_required",
        response_checksum_validation="when_required",
    )


def probe_bucket(store: ObjectStoreTier, keys: S3Keys, authorities: str | None = None) -> BucketFacts:
    """Ask the bucket: HEAD, and on refusal a GET, whose error has the body that HEAD lacks."""
    try:
        trust = build_trust(authorities)
    except ssl.SSLError as failure:
        return BucketFacts(Reason.CAMalformed, str(failure)[:300])
    try:
        with _making_clients:
            client = _session().client(
                "s3",
                endpoint_url=store.endpoint,
                region_name=store.region,
                aws_access_key_id=keys.access_key,
                aws_secret_access_key=keys.secret_key,
                config=_build_config(_STYLES[store.addressing]),
            )
    except (aws.BotoCoreError, ValueError) as failure:
        # Nothing of the keys is in these: they are about endpoint and region.
        return BucketFacts(Reason.StoreError, f"boto3 refuses endpoint or region: {failure}"[:300])
    # The stubs do not know that what this handler returns is used as the response.
    transport: Any = partial(send_bounded, trust=trust)
    client.meta.events.register("before-send.s3", transport)
    bucket = store.bucket.name
    try:
        try:
            client.head_bucket(Bucket=bucket)
        except aws.ClientError as refusal:
            if _http_code(refusal) not in {400, 403}:
                raise
            client.list_objects_v2(Bucket=bucket, MaxKeys=1)
    except aws.ClientError as refusal:
        return _from_refusal(refusal)
    except (aws.BotoCoreError, OSError, ValueError) as failure:
        return _from_failure(failure)
    finally:
        client.close()
    return BucketFacts(Reason.BucketReachable)


def _http_code(refusal: aws.ClientError) -> int:
    code: int = refusal.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
    return code


def _from_refusal(refusal: aws.ClientError) -> BucketFacts:
    error = refusal.response.get("Error", {})
    code, status = str(error.get("Code", "")), _http_code(refusal)
    if code in _BY_CODE:
        return BucketFacts(_BY_CODE[code], f"{code} (HTTP {status})")
    if status == 404:
        return BucketFacts(Reason.BucketNotFound, f"HTTP {status}")
    if status in {301, 307}:
        return BucketFacts(Reason.WrongRegion, f"HTTP {status}")
    if status == 403:
        return BucketFacts(Reason.AccessDenied, f"{code} (HTTP {status})")
    text = f"HTTP {status}" if code == str(status) else f"{code} (HTTP {status})"
    return BucketFacts(Reason.StoreError, text, passing=status >= 500)


def _from_failure(failure: Exception) -> BucketFacts:
    causes = list(_chain(failure))
    if isinstance(failure, aws.SSLError) or any(isinstance(cause, ssl.SSLError) for cause in causes):
        return BucketFacts(Reason.CertificateUntrusted, str(failure)[:300])
    if any(isinstance(cause, OversizedAnswerError) for cause in causes):
        return BucketFacts(Reason.StoreError, "the answer is too long for an S3 service", passing=True)
    if any(isinstance(cause, socket.gaierror) for cause in causes):
        return BucketFacts(Reason.HostNotFound, str(failure)[:300], passing=True)
    # Other messages may quote the request, whose headers hold the access key and what was pasted beside it.
    text = f": {failure}" if isinstance(failure, _QUOTABLE) else ""
    return BucketFacts(Reason.StoreUnreachable, f"{type(failure).__name__}{text}"[:300], passing=True)


def _chain(error: BaseException) -> Any:
    seen: set[int] = set()
    todo: list[Any] = [error]
    while todo:
        item = todo.pop()
        if not isinstance(item, BaseException) or id(item) in seen:
            continue
        seen.add(id(item))
        yield item
        todo += [item.__cause__, item.__context__, getattr(item, "reason", None), *item.args]
        todo.append(getattr(item, "kwargs", {}).get("error"))
