"""The S3 tier of one cache server: real small objects in the real bucket, and the real adapter's way to fail.

Three connection failures in a row disable the adapter until the process restarts; answers such as 403 never do, and
sizes of known objects are remembered, so that a look-up of them asks nobody and counts as success.
"""

import asyncio
import functools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from .arguments import Adapter
from .behaviours import Behaviour

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

BREAKER_LIMIT: Final = 3
# What stands for the KV of a chunk.
_BODY: Final = b"simulated KV".ljust(64, b".")


class StoreRefusedError(Exception):
    """The store answered, but not with the object (403, 5xx)."""


class StoreUnreachableError(Exception):
    """No connection, or the breaker is open."""


@dataclass(frozen=True)
class Credentials:
    """An access key; its text form does not show it."""

    access_key: str
    secret_key: str

    def __repr__(self) -> str:
        return "Credentials(...)"


@functools.cache
def _client(base_url: str, region: str, credentials: Credentials, style: Literal["virtual", "path"]) -> "S3Client":
    # One client for all pods of a bucket: it is thread-safe, and a client per pod would cost a gigabyte per thousand.
    return boto3.client(
        "s3",
        endpoint_url=base_url,
        region_name=region,
        aws_access_key_id=credentials.access_key,
        aws_secret_access_key=credentials.secret_key,
        config=Config(
            s3={"addressing_style": style},
            request_checksum_calculation="when_required",
            response_checksum_validation="when_required",
            connect_timeout=2,
            read_timeout=10,
            retries={"total_max_attempts": 1},
            max_pool_connections=32,
        ),
    )


class ObjectStore:
    """One adapter of one cache server.

    Args:
        adapter: Where the bucket is.
        credentials: Of the container's environment.
        behaviour: What the pod does at the moment of a call.
    """

    def __init__(self, adapter: Adapter, credentials: Credentials, behaviour: Callable[[], Behaviour]) -> None:
        self.adapter = adapter
        self.failures = 0
        self._credentials = credentials
        self._behaviour = behaviour
        self._known: set[str] = set()
        self._disabled = False

    @property
    def disabled(self) -> bool:
        """The breaker is open; only a new process closes it."""
        if self._behaviour().breaker_open:
            self._disabled, self.failures = True, max(self.failures, BREAKER_LIMIT)
        return self._disabled

    @property
    def known_objects(self) -> int:
        """How many objects this process has stored."""
        return len(self._known)

    async def look_up(self, keys: Sequence[str]) -> int:
        """Return how many keys from the first on exist; failures are none."""
        known = next((index for index, key in enumerate(keys) if key not in self._known), len(keys))
        if self.disabled:
            return 0
        if known:
            self.failures = 0
            return known
        return await self._attempt(self._head, keys)

    async def load(self, keys: Sequence[str]) -> int:
        """Return how many keys from the first on could be read."""
        return await self._attempt(self._get, keys)

    async def save(self, keys: Sequence[str]) -> int:
        """Return how many objects could be written."""
        written = await self._attempt(self._put, keys)
        self._known.update(keys[:written])
        return written

    async def list_keys(self) -> list[str]:
        """Return up to a thousand keys of the bucket.

        Raises:
            StoreRefusedError: The store refuses.
            StoreUnreachableError: No connection, or the breaker is open.
        """
        found: list[str] = []

        def list_once(_key: str) -> bool:
            page = self._s3().list_objects_v2(Bucket=self.adapter.bucket)
            found.extend(item["Key"] for item in page.get("Contents", []))
            return True

        if self.disabled:
            raise StoreUnreachableError("the connection is disabled")
        await asyncio.to_thread(self._guard, list_once, "")
        return found

    async def _attempt(self, call: Callable[[str], bool], keys: Sequence[str]) -> int:
        if self.disabled or not keys:
            return 0
        done, reached = await asyncio.to_thread(self._run, call, keys)
        # One count per batch, not per object, as seen at the real adapter.
        self.failures = 0 if reached else self.failures + 1
        self._disabled = self._disabled or self.failures >= BREAKER_LIMIT
        return done

    def _run(self, call: Callable[[str], bool], keys: Sequence[str]) -> tuple[int, bool]:
        for done, key in enumerate(keys):
            try:
                if not self._guard(call, key):
                    return done, True
            except StoreRefusedError:
                return done, True
            except StoreUnreachableError:
                return done, False
        return len(keys), True

    def _guard(self, call: Callable[[str], bool], key: str) -> bool:
        told = self._behaviour().s3
        if told == "refused":
            raise StoreUnreachableError("the simulator was told that S3 is down")
        if told == "fail403":
            raise StoreRefusedError("the simulator was told that S3 answers 403")
        try:
            return call(key)
        except ClientError as error:
            if error.response["ResponseMetadata"]["HTTPStatusCode"] == 404:
                return False
            raise StoreRefusedError(str(error)) from error
        except BotoCoreError as error:
            raise StoreUnreachableError(str(error)) from error

    def _s3(self) -> "S3Client":
        style: Literal["virtual", "path"] = "path" if self.adapter.by_path else "virtual"
        return _client(self.adapter.base_url, self.adapter.region, self._credentials, style)

    def _head(self, key: str) -> bool:
        self._s3().head_object(Bucket=self.adapter.bucket, Key=self.adapter.name_object(key))
        return True

    def _get(self, key: str) -> bool:
        self._s3().get_object(Bucket=self.adapter.bucket, Key=self.adapter.name_object(key))["Body"].read()
        return True

    def _put(self, key: str) -> bool:
        self._s3().put_object(Bucket=self.adapter.bucket, Key=self.adapter.name_object(key), Body=_BODY)
        return True
