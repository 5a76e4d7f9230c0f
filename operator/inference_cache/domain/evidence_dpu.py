"""DPU of the DOCA Platform Framework: how far the DPU of a host is provisioned."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from .evidence_fields import read_mapping, read_text
from .node_evidence import DPUState

_HOST: Final = "provisioning.dpu.nvidia.com/host"


@dataclass(frozen=True, slots=True)
class DPUFacts:
    """One DPU and the node that it is in."""

    node: str
    state: DPUState


def project_dpu(body: dict[str, Any]) -> DPUFacts | None:
    """Return the facts of a DPU, or None where it names no host."""
    metadata = body["metadata"]
    node = _read_host(read_mapping(metadata.get("labels")), read_mapping(body.get("spec")))
    if node is None:
        return None
    phase = read_text(read_mapping(body.get("status")).get("phase")) or ""
    return DPUFacts(node, DPUState(metadata["name"], phase))


def _read_host(labels: Mapping[str, Any], spec: Mapping[str, Any]) -> str | None:
    """Return the node: a label and spec.nodeName up to 24.10, labels of the DPU's own node and dpuNodeName after that."""
    node_labels = read_mapping(read_mapping(spec.get("cluster")).get("nodeLabels"))
    places = (labels.get(_HOST), spec.get("nodeName"), node_labels.get(_HOST), spec.get("dpuNodeName"))
    return next((text for place in places if (text := read_text(place))), None)
