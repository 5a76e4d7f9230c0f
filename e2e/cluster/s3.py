"""The S3 server of a cluster, seen by its administrator."""

import json
import subprocess
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import boto3
from botocore.config import Config

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client


@dataclass(frozen=True)
class ObjectStore:
    """Address and root keys.

    Attributes:
        endpoint_url: Where it listens; buckets are then part of the path.
        domain: Buckets answer as BUCKET.DOMAIN as well, whichever way the request arrives.
    """

    endpoint_url: str
    domain: str
    access_key: str
    secret_key: str = field(repr=False)
    program: Path

    def client(self, access_key: str = "", secret_key: str = "") -> "S3Client":
        """Return a client, with the root keys unless others are given."""
        return boto3.session.Session().client(
            "s3",
            endpoint_url=self.endpoint_url,
            region_name="us-east-1",
            aws_access_key_id=access_key or self.access_key,
            aws_secret_access_key=secret_key or self.secret_key,
            config=Config(
                s3={"addressing_style": "path"},
                proxies={},
                retries={"total_max_attempts": 2},
                request_checksum_calculation="when_required",
                response_checksum_validation="when_required",
            ),
        )

    def make_bucket(self, name: str) -> None:
        """Create a bucket."""
        self.client().create_bucket(Bucket=name)

    def make_user(self, access_key: str, secret_key: str) -> None:
        """Create a user without rights on any bucket."""
        command = [
            str(self.program),
            "admin",
            "--access",
            self.access_key,
            "--secret",
            self.secret_key,
            "--endpoint-url",
            self.endpoint_url,
            "create-user",
            "--access",
            access_key,
            "--secret",
            secret_key,
            "--role",
            "user",
        ]
        out = subprocess.run(command, capture_output=True, text=True, check=False)
        if out.returncode != 0:
            raise RuntimeError(f"the S3 server refused the user: {out.stderr}{out.stdout}")

    def grant(self, bucket: str, access_key: str) -> None:
        """Give a user every right on a bucket."""
        policy = {
            "Version": "2012-10-17",
            "Statement": [
                {
                    "Effect": "Allow",
                    "Principal": {"AWS": [access_key]},
                    "Action": "s3:*",
                    "Resource": [f"arn:aws:s3:::{bucket}", f"arn:aws:s3:::{bucket}/*"],
                }
            ],
        }
        self.client().put_bucket_policy(Bucket=bucket, Policy=json.dumps(policy))
