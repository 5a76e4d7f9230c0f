"""The only reader of the environment: what can be set about the operator, with bounds and defaults."""

import os
import socket
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TypeVar

_PREFIX: Final = "INFERENCE_CACHE_"
_NAMESPACE_FILE: Final = Path("/var/run/secrets/kubernetes.io/serviceaccount/namespace")
_DEFAULT_NAMESPACE: Final = "inference-cache-system"

T = TypeVar("T")


class SettingError(ValueError):
    """A setting has a value that cannot be used; the text names the variable, the value and the remedy."""


@dataclass(frozen=True)
class Settings:
    """Settings of one operator process.

    Attributes:
        namespace: Where the Lease lives and where engine pods accept the operator's probes from.
        identity: Name of this replica in the Lease; never the same twice, so a restarted process waits its turn.
        engine_image: Engine image for deployments that name none; None takes the one of the version pair.
        health_address: Where /healthz, /readyz and /metrics are served.
        lease_seconds: How long the Lease holds without renewal; bounds the time of a failover.
        resync_seconds: How often everything is listed and every deployment looked at again.
        discovery_seconds: How often it is asked which kinds of other projects are served.
        workers: Most passes at a time.
    """

    namespace: str
    identity: str
    engine_image: str | None
    kubeconfig: Path | None
    health_address: tuple[str, int]
    lease_seconds: int
    resync_seconds: int
    discovery_seconds: int
    workers: int
    log_level: str


def read_settings(environment: Mapping[str, str] | None = None) -> Settings:
    """Return the settings of this process.

    Raises:
        SettingError: A variable has a value that cannot be used.
    """
    env = os.environ if environment is None else environment
    kubeconfig = env.get("KUBECONFIG")
    return Settings(
        namespace=env.get(f"{_PREFIX}NAMESPACE") or _own_namespace(),
        identity=f"{env.get('POD_NAME') or socket.gethostname()}_{uuid.uuid4().hex[:8]}",
        engine_image=env.get(f"{_PREFIX}ENGINE_IMAGE") or None,
        kubeconfig=Path(kubeconfig) if kubeconfig else None,
        health_address=_read(
            env, "HEALTH_ADDRESS", "0.0.0.0:8080", _address, "write HOST:PORT, for instance 0.0.0.0:8080"
        ),
        lease_seconds=_read(env, "LEASE_SECONDS", "12", _between(3, 60), "write a whole number from 3 to 60"),
        resync_seconds=_read(env, "RESYNC_SECONDS", "300", _between(5, 3600), "write a whole number from 5 to 3600"),
        discovery_seconds=_read(
            env, "DISCOVERY_SECONDS", "60", _between(1, 3600), "write a whole number from 1 to 3600"
        ),
        workers=_read(env, "WORKERS", "16", _between(1, 64), "write a whole number from 1 to 64"),
        log_level=_read(env, "LOG_LEVEL", "INFO", _level, "write DEBUG, INFO, WARNING or ERROR"),
    )


def _read(env: Mapping[str, str], name: str, default: str, parse: Callable[[str], T], remedy: str) -> T:
    text = env.get(f"{_PREFIX}{name}") or default
    try:
        return parse(text)
    except ValueError as error:
        raise SettingError(f"{_PREFIX}{name} is {text!r}: {remedy}") from error


def _between(lowest: int, highest: int) -> Callable[[str], int]:
    def parse(text: str) -> int:
        value = int(text)
        if not lowest <= value <= highest:
            raise ValueError(text)
        return value

    return parse


def _address(text: str) -> tuple[str, int]:
    host, _, port = text.rpartition(":")
    if not host:
        raise ValueError(text)
    return host, _between(1, 65535)(port)


def _level(text: str) -> str:
    if text.upper() not in {"DEBUG", "INFO", "WARNING", "ERROR"}:
        raise ValueError(text)
    return text.upper()


def _own_namespace() -> str:
    try:
        return _NAMESPACE_FILE.read_text(encoding="utf-8").strip()
    except OSError:
        return _DEFAULT_NAMESPACE
