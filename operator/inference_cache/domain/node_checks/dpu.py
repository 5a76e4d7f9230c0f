"""The DPU of a node: present, in the wanted mode, and brought up by the DOCA Platform Framework where that runs.

A BlueField-3 in NIC mode is a plain adapter, not a DPU, and its PCI id does not tell the two apart.
"""

from typing import Final

from inference_cache.api.node_requirements import DPUMode
from inference_cache.domain.nic_models import is_bluefield
from inference_cache.domain.node_evidence import NIC, NodeEvidence, Source
from inference_cache.domain.node_need import DPUNeed, Need
from inference_cache.domain.reasons import Reason

from .adapters import find_witness, list_adapters, name_adapter
from .finding import Finding, fault, gap

_DETECTED: Final = "feature.node.kubernetes.io/dpu-enabled"
_READY: Final = "Ready"


def check_dpu(evidence: NodeEvidence, need: Need) -> Finding | None:
    """The node must have a DPU of an accepted model in the wanted mode."""
    wanted = need.rdma.dpu if need.rdma else None
    if wanted is None:
        return None
    adapters = list_adapters(evidence)
    known = [nic for nic in adapters if _is_known(nic)]
    candidates = [nic for nic in known if _is_accepted(nic, wanted)]
    if not candidates:
        return _judge_none(evidence, wanted, known, unclear=len(known) < len(adapters))
    findings = [_check_mode(nic, wanted, evidence) for nic in candidates]
    if None in findings:
        return _check_platform(evidence, wanted)
    # A BlueField whose mode nobody tells may be the right one.
    return next((item for item in findings if item is not None and item.unknown), findings[0])


def _is_known(nic: NIC) -> bool:
    return any(sighting.model or sighting.device_id for sighting in nic.sightings)


def _is_accepted(nic: NIC, wanted: DPUNeed) -> bool:
    model, device = nic.find(lambda sighting: sighting.model), nic.find(lambda sighting: sighting.device_id)
    if wanted.models:
        return bool((model and model[0] in wanted.models) or (device and device[0] in wanted.models))
    return bool(model and is_bluefield(model[0]))


def _judge_none(evidence: NodeEvidence, wanted: DPUNeed, known: list[NIC], *, unclear: bool) -> Finding | None:
    """Judge a node of which no source lists an accepted DPU."""
    if known and not unclear:
        nic = known[0]
        source = nic.sightings[0].source
        more = f" and {len(known) - 1} more" if len(known) > 1 else ""
        return fault(Reason.NoDPU, f"{name_adapter(nic)}{more} by {source}", source)
    witness = find_witness(evidence)
    if witness is not None:
        return fault(Reason.NoDPU, f"no adapter at all by {witness}", witness)
    if evidence.facts.labels.get(_DETECTED) != "true":
        return gap(Reason.NICModelUnknown, "no source tells the models of the node's adapters")
    if wanted.mode is DPUMode.DPU and not wanted.models and evidence.dpus:
        return _check_platform(evidence, wanted)
    # The label goes by PCI id, which is the same in both modes and for several models.
    return gap(Reason.DPUModeUnknown, f"label {_DETECTED} alone", Source.LABEL)


def _check_mode(nic: NIC, wanted: DPUNeed, evidence: NodeEvidence) -> Finding | None:
    found = nic.find(lambda sighting: sighting.dpu_mode)
    if found is not None:
        if found[0] is wanted.mode:
            return None
        detail = f"{name_adapter(nic)} in mode {found[0]} by {found[1]}, {wanted.mode} wanted"
        return fault(Reason.DPUModeMismatch, detail, found[1])
    if evidence.dpus:
        # The platform framework manages only BlueFields in DPU mode.
        if wanted.mode is DPUMode.DPU:
            return None
        detail = f"{name_adapter(nic)} in mode {DPUMode.DPU} by {Source.DPU}, {wanted.mode} wanted"
        return fault(Reason.DPUModeMismatch, detail, Source.DPU)
    return gap(Reason.DPUModeUnknown, name_adapter(nic))


def _check_platform(evidence: NodeEvidence, wanted: DPUNeed) -> Finding | None:
    if wanted.mode is not DPUMode.DPU or not evidence.dpus:
        return None
    if any(dpu.phase == _READY for dpu in evidence.dpus):
        return None
    dpu = evidence.dpus[0]
    return fault(Reason.DPUNotReady, f"{dpu.name} in phase {dpu.phase or 'unknown'} by {Source.DPU}", Source.DPU)
