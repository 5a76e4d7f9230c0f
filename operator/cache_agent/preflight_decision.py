"""What a pod does with what its preflight found: RDMA, TCP, the server without the store, or no start at all.

RDMA that is required needs proof. Without that, the client of the spec decides what an unproven path is good for: NIXL is
used over RDMA only after it has moved bytes so, as it starts nowhere else; a vendor's adapter that could not be tried, or
that works with counters that say nothing, is trusted and reported as unverified.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from .preflight_checks import Examination, Finding, Pin
from .preflight_config import Adapter, Config, Fallback
from .preflight_proof import Trial

RDMA: Final = "RDMA"
TCP: Final = "TCP"
NONE: Final = "None"
PROVEN: Final = "Proven"
UNVERIFIED: Final = "Unverified"
_UNPROVEN: Final = "RDMATransferUnproven"


@dataclass(frozen=True)
class Decision:
    """What the pod does.

    Attributes:
        transport: RDMA, TCP, or None for a server without the store, or for a pod that does not start.
        evidence: Proven, Unverified or None.
        starts: Whether the cache server may start.
        adapter: Its adapter to the store; None where it has none.
        reason: Why it is not RDMA, or why RDMA is not proven; empty where nothing is missing.
        detail: The same in words.
        remedy: What the user can do.
        variables: What the cache server's environment gets.
    """

    transport: str
    evidence: str
    starts: bool
    adapter: Adapter | None
    reason: str = ""
    detail: str = ""
    remedy: str = ""
    variables: Mapping[str, str] = field(default_factory=dict)


def decide(config: Config, examination: Examination, trial: Trial | None, variables: Mapping[str, str]) -> Decision:
    """Return what the pod does.

    Args:
        config: The configuration.
        examination: What checks found.
        trial: What the transfer came to; None where a fault made it pointless.
        variables: What RDMA needs in the cache server's environment.
    """
    if examination.faults:
        first, *others = examination.faults
        more = f"; also {', '.join(sorted({item.reason for item in others} - {first.reason}))}" if others else ""
        return fall_back(Fallback(config.required, config.tcp), first.reason, first.detail + more, first.remedy)
    if trial is None:
        raise ValueError("without a fault there is a trial")
    detail = "; ".join([trial.detail, *(f"{item.reason}: {item.detail}" for item in examination.remarks)])
    if trial.proven:
        return Decision(RDMA, PROVEN, True, config.rdma, detail=detail, variables=variables)
    trusted = trial.works is not False and not trial.over_tcp
    if not config.required and not config.needs_proof and trusted:
        return Decision(RDMA, UNVERIFIED, True, config.rdma, _UNPROVEN, detail, variables=variables)
    reason = "SilentTCPFallback" if trial.over_tcp else _UNPROVEN
    return fall_back(Fallback(config.required, config.tcp), reason, trial.detail, _find_remedy(trial))


def _find_remedy(trial: Trial) -> str:
    if trial.works is None:
        return "Use an image whose LMCache has the client."
    if not trial.works:
        return "Read the client's words in the log of the container preflight."
    if trial.over_tcp:
        return "Use a client and a store that speak RDMA with each other; ask the store's vendor."
    return "Try again on a port that carries nothing else, and ask the store's vendor whether its client speaks RDMA."


def fall_back(fallback: Fallback, reason: str, detail: str, remedy: str) -> Decision:
    """Return what the pod does without RDMA: nothing where it is required, and TCP as far as the client can."""
    if fallback.required:
        return Decision(NONE, NONE, False, None, reason, detail, remedy)
    transport = TCP if fallback.tcp is not None else NONE
    return Decision(transport, NONE, True, fallback.tcp, reason, detail, remedy)


def list_settings(pins: tuple[Pin, ...]) -> dict[str, str]:
    """Return what the cache server's environment gets for RDMA, but for the file of cuObject.

    UCX takes the device nearest to a GPU where it is not told otherwise, which may be that of another network
    (dynamo#12463); its list holds no interface for TCP, so that nothing falls back in silence.
    """
    ports = sorted({pin.name for pin in pins})
    return {"UCX_NET_DEVICES": ",".join(ports)} if ports else {}


def list_addresses(pins: tuple[Pin, ...]) -> list[str]:
    """Return the pod's own addresses on the networks, which cuObject needs to know, in the order of the networks."""
    return list(dict.fromkeys(pin.interface.address for pin in pins if pin.interface is not None))


def describe_faults(examination: Examination) -> list[str]:
    """Return one line for each finding, for the log."""
    return [_describe("fault", item) for item in examination.faults] + [
        _describe("remark", item) for item in examination.remarks
    ]


def _describe(kind: str, finding: Finding) -> str:
    return f"{kind} {finding.reason}: {finding.detail}. {finding.remedy}"
