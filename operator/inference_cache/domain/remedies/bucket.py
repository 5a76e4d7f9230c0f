"""Remedies for the bucket: create it, grant rights on it, correct its address."""

import json
import shlex
from collections.abc import Callable
from functools import wraps
from typing import Any, Final
from urllib.parse import urlsplit

from inference_cache.api.parsing import parse_spec

from .fixes import Change, Command, Fix, Path, Situation, Step, apply_change, find_field, look
from .store_facts import Store, describe_store, edit_store, find_store, find_store_secret, patch_secret

_ON_BUCKET: Final = ("s3:ListBucket", "s3:GetBucketLocation")
_ON_OBJECTS: Final = ("s3:GetObject", "s3:PutObject", "s3:DeleteObject", "s3:AbortMultipartUpload")


def _with_store(mend: Callable[[Situation, Store], tuple[Fix, ...]]) -> Callable[[Situation], tuple[Fix, ...]]:
    """Pass the object store tier to a remedy; without a tier there is nothing to mend."""

    @wraps(mend)
    def mend_if_any(situation: Situation) -> tuple[Fix, ...]:
        store = find_store(situation)
        if store is None:
            return (Fix("The spec has no object store any more, so this passes with the operator's next look."),)
        return mend(situation, store)

    return mend_if_any


@_with_store
def mend_absent_bucket(situation: Situation, store: Store) -> tuple[Fix, ...]:
    """The bucket does not exist."""
    bucket, endpoint, region = describe_store(store[1])
    words = ["create-bucket", "--bucket", bucket]
    if region != "us-east-1" and endpoint.endswith("amazonaws.com"):
        words += ["--create-bucket-configuration", f"LocationConstraint={region}"]
    why = f"{endpoint} has no bucket {bucket}. Create it as an administrator of the store, and grant its use; <PRINCIPAL> is the user of the deployment's key as the store writes it."
    create = Fix(why, (_s3api(store[1], *words), _s3api(store[1], *_grant(bucket))))
    return (create, *edit_store(situation, "Name a bucket that exists.", ("bucket", "name"), "<BUCKET>"))


@_with_store
def mend_denied(situation: Situation, store: Store) -> tuple[Fix, ...]:
    """The key has no rights on the bucket."""
    bucket, _, _ = describe_store(store[1])
    name, keys = find_store_secret(situation)
    why = (
        f"The store knows the key but denies it bucket {bucket}. Grant the rights as an administrator of the store; <PRINCIPAL> "
        "is the user of the key as the store writes it. This replaces a bucket policy that is there: see get-bucket-policy first."
    )
    other = f"Write the keys of a user who may use the bucket into Secret {name}."
    return (
        Fix(why, (_s3api(store[1], *_grant(bucket)),)),
        Fix(other, (patch_secret(situation, name, keys),)),
    )


@_with_store
def mend_clock(_situation: Situation, store: Store) -> tuple[Fix, ...]:
    """Clocks differ."""
    _, endpoint, _ = describe_store(store[1])
    why = "Signed requests carry the time, and the store refuses those that are minutes off. Synchronise the clocks (chrony, NTP) of the operator's node and of the store; this shows both."
    return (Fix(why, (look(f"date -u; curl -sSI {shlex.quote(endpoint)} | grep -i '^date:'"),)),)


@_with_store
def mend_region(situation: Situation, store: Store) -> tuple[Fix, ...]:
    """The bucket is in another region."""
    bucket, _, _ = describe_store(store[1])
    why = f"Bucket {bucket} is in another region than the spec says. The store names it:"
    path = (*store[0], "region")
    steps: tuple[Step, ...] = (
        _s3api(store[1], "get-bucket-location", "--bucket", bucket, looks=True),
        situation.edit(path, "<REGION>"),
    )
    return (Fix(why, steps),)


@_with_store
def mend_host(situation: Situation, store: Store) -> tuple[Fix, ...]:
    """The host name does not resolve."""
    bucket, endpoint, _ = describe_store(store[1])
    host = urlsplit(endpoint).hostname or ""
    why = f"{bucket}.{host} does not resolve. If the endpoint is mistyped, correct it; if not, add the wildcard record *.{host} to the DNS of the cluster."
    fixes = [
        Fix(why, (look(f"getent hosts {shlex.quote(host)}"), situation.edit((*store[0], "endpoint"), "<ENDPOINT>")))
    ]
    path: Path = (*store[0], "addressing")
    if find_field(store[1], ("addressing",)) is None and _is_accepted(situation, Change(path, "Path")):
        text = f"If {host} resolves and only the bucket's own name does not: address the bucket by path. The image must hold LMCache with NIXL."
        fixes.append(Fix(text, (situation.edit(path, "Path"),)))
    return tuple(fixes)


@_with_store
def mend_certificate(situation: Situation, store: Store) -> tuple[Fix, ...]:
    """The certificate is not trusted."""
    bucket, endpoint, _ = describe_store(store[1])
    parts = urlsplit(endpoint)
    host = f"{bucket}.{parts.hostname}"
    show = f"openssl s_client -connect {host}:{parts.port or 443} -servername {host} </dev/null 2>/dev/null | openssl x509 -noout -issuer -dates -ext subjectAltName"
    why = f"The certificate of {host} is expired, of another name, or of an unknown authority. It must be valid for *.{parts.hostname}; this shows it."
    fixes = [Fix(why, (look(show),))]
    path: Path = (*store[0], "tls")
    trust = {"caRef": {"configMap": "storage-ca", "key": "ca.crt"}}
    if find_field(store[1], ("tls",)) is None and _is_accepted(situation, Change(path, trust)):
        create = situation.target.kubectl("create", "configmap", "storage-ca", "--from-file=ca.crt=<CA_FILE>")
        text = "If a private authority signed it: trust that one. The image must hold LMCache with NIXL."
        fixes.append(Fix(text, (Command(create), situation.edit(path, trust))))
    return tuple(fixes)


@_with_store
def mend_unreachable(situation: Situation, store: Store) -> tuple[Fix, ...]:
    """The store does not answer."""
    _, endpoint, _ = describe_store(store[1])
    why = f"Nothing answers at {endpoint}. If host, port and http or https are right, the store is down or a firewall or NetworkPolicy stands between."
    check = look(f"curl -sSI -m 5 {shlex.quote(endpoint)}")
    return (Fix(why, (check, situation.edit((*store[0], "endpoint"), "<ENDPOINT>"))),)


@_with_store
def mend_store_error(situation: Situation, store: Store) -> tuple[Fix, ...]:
    """The store fails, or it is no S3 service."""
    _, endpoint, _ = describe_store(store[1])
    why = f"{endpoint} answers, but not as an S3 service should. If another service listens there, correct the endpoint; else see the store's own log."
    check = look(f"curl -sSi -m 5 {shlex.quote(endpoint)}")
    return (Fix(why, (check, situation.edit((*store[0], "endpoint"), "<ENDPOINT>"))),)


def _is_accepted(situation: Situation, change: Change) -> bool:
    """Whether the spec would still be valid: what newer versions of the API offer must not be printed for older ones."""
    return not isinstance(parse_spec(situation.target.name, apply_change(situation.spec, change)), list)


def _s3api(store: dict[str, Any], *words: str, looks: bool = False) -> Command:
    _, endpoint, region = describe_store(store)
    return Command(shlex.join(["aws", "--endpoint-url", endpoint, "--region", region, "s3api", *words]), looks)


def _grant(bucket: str) -> tuple[str, ...]:
    who = {"AWS": ["<PRINCIPAL>"]}
    statements = [
        {"Effect": "Allow", "Principal": who, "Action": list(_ON_BUCKET), "Resource": f"arn:aws:s3:::{bucket}"},
        {"Effect": "Allow", "Principal": who, "Action": list(_ON_OBJECTS), "Resource": f"arn:aws:s3:::{bucket}/*"},
    ]
    policy = json.dumps({"Version": "2012-10-17", "Statement": statements}, separators=(",", ":"))
    return "put-bucket-policy", "--bucket", bucket, "--policy", policy
