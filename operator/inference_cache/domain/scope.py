"""What one reconcile pass knows: the deployment's identity, its settled spec and the operator's own facts."""

from dataclasses import dataclass

from .attachment import TCP_ONLY, TransportChoice
from .defaults import Settled
from .versions import VersionPair


@dataclass(frozen=True)
class Identity:
    """Which deployment this is; the uid tells it from an earlier one of the same name."""

    name: str
    namespace: str
    uid: str


@dataclass(frozen=True)
class Scope:
    """Everything that desired objects are computed from. The same scope always gives the same bytes."""

    identity: Identity
    settled: Settled
    pair: VersionPair
    fingerprint: str
    image: str
    operator_namespace: str
    transport: TransportChoice = TCP_ONLY
