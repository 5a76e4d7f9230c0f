"""Probes of a store behind TLS with a private certificate authority, and with the bucket in the path."""

import datetime as dt
import http.server
import ipaddress
import ssl
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from inference_cache.api.cache import Addressing, ObjectStoreTier
from inference_cache.cluster.object_store import S3Keys, probe_bucket
from inference_cache.domain.reasons import Reason
from tests.support.builders import build_settled

_KEYS = S3Keys("access", "secret")


@dataclass
class Store:
    """A server that answers every HEAD with 200 and remembers what it was asked."""

    port: int
    authority: str
    seen: list[tuple[str, str]] = field(default_factory=list)


def _write_certificate(folder: Path) -> tuple[Path, str]:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "storage")])
    now = dt.datetime.now(dt.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=1))
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False)
        .sign(key, hashes.SHA256())
    )
    pem = certificate.public_bytes(serialization.Encoding.PEM).decode()
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    chain = folder / "chain.pem"
    chain.write_text(pem + private.decode())
    return chain, pem


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    chain, authority = _write_certificate(tmp_path)
    found = Store(0, authority)

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_HEAD(self) -> None:
            found.seen.append((self.path, self.headers["Host"]))
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Stay silent."""

    server = http.server.HTTPServer(("127.0.0.1", 0), Handler)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(chain)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    found.port = server.server_port
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    yield found
    server.shutdown()
    thread.join(5)
    server.server_close()


def _tier(store: Store) -> ObjectStoreTier:
    tier = build_settled().object_store
    assert tier is not None
    return tier.model_copy(update={"endpoint": f"https://127.0.0.1:{store.port}", "addressing": Addressing.PATH})


def test_private_authority_is_trusted_where_it_is_named(store: Store) -> None:
    assert probe_bucket(_tier(store), _KEYS, store.authority).reason is Reason.BucketReachable


def test_private_authority_is_not_trusted_where_it_is_not_named(store: Store) -> None:
    assert probe_bucket(_tier(store), _KEYS).reason is Reason.CertificateUntrusted
    assert store.seen == []


def test_another_authority_is_not_enough(store: Store, tmp_path: Path) -> None:
    _, other = _write_certificate(tmp_path)
    assert probe_bucket(_tier(store), _KEYS, other).reason is Reason.CertificateUntrusted


def test_authority_that_is_no_certificate_has_a_reason_of_its_own(store: Store) -> None:
    text = "-----BEGIN CERTIFICATE-----\nbm90IGEgY2VydGlmaWNhdGU=\n-----END CERTIFICATE-----\n"
    assert probe_bucket(_tier(store), _KEYS, text).reason is Reason.CAMalformed


def test_path_addressing_puts_the_bucket_into_the_path(store: Store) -> None:
    probe_bucket(_tier(store), _KEYS, store.authority)
    assert store.seen == [("/kv-nemotron", f"127.0.0.1:{store.port}")]
