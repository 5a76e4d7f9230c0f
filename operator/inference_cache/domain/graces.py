"""The times of a pod's end, which must add up: deregister, finish requests, unregister from the cache server, stop it."""

from dataclasses import dataclass
from typing import Final

# Endpoints and load balancers need a moment to forget a pod; vLLM's port refuses connections 1 s after SIGTERM.
DEREGISTER_SECONDS: Final = 10
# A dead cache server with a look-up pending froze every request of the engine for exactly this long; the default is 300.
MQ_TIMEOUT_SECONDS: Final = 10
HEARTBEAT_SECONDS: Final = 3
# Three missed heartbeats, with room: a slow node must not lose its registration.
WORKER_REAP_SECONDS: Final = 60
_CACHE_SERVER_SECONDS: Final = 15
_MARGIN_SECONDS: Final = 10


@dataclass(frozen=True)
class Graces:
    """Seconds."""

    deregister: int
    drain: int
    termination: int


def compute_graces(drain_seconds: int) -> Graces:
    """Return the times of a pod's end; termination covers all steps with a margin."""
    steps = DEREGISTER_SECONDS + drain_seconds + MQ_TIMEOUT_SECONDS + _CACHE_SERVER_SECONDS
    return Graces(DEREGISTER_SECONDS, drain_seconds, steps + _MARGIN_SECONDS)
