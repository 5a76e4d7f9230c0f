"""What a pod object tells of its transport: devices, interfaces, the preflight's words, and what is wrong with them."""

import copy
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inference_cache.domain import names
from inference_cache.domain.attachment import Variant
from inference_cache.domain.pod_facts import project_pod
from inference_cache.domain.pod_transport import Make, count_devices, project_pod_transport, read_make
from inference_cache.domain.preflight_report import Evidence
from inference_cache.domain.reasons import Reason

VF = "nvidia.com/storage_vf"
_NETWORKS = [{"name": "rail-a", "namespace": "inference", "interface": "net1"}]
_STATUS = [
    {"name": "cbr0", "interface": "eth0", "ips": ["10.1.2.3"], "default": True},
    {
        "name": "inference/rail-a",
        "interface": "net1",
        "ips": ["192.168.10.7"],
        "device-info": {"type": "pci", "pci": {"pci-address": "0000:17:00.2", "rdma-device": "mlx5_2"}},
    },
]
_REPORT = {
    "version": 1,
    "transport": "RDMA",
    "evidence": "Unverified",
    "reason": "",
    "detail": "",
    "devices": ["mlx5_2 ACTIVE Ethernet 200 Gb/s"],
    "interfaces": ["net1 192.168.10.7 mtu 9000"],
    "memlock": -1,
}


def _pod(**parts: Any) -> dict[str, Any]:
    """Return an RDMA pod that runs, with parts of metadata, spec or status replaced."""
    pod: dict[str, Any] = {
        "metadata": {
            "namespace": "inference",
            "name": "small-0",
            "uid": "u",
            "resourceVersion": "1",
            "creationTimestamp": "2026-01-01T00:00:00Z",
            "labels": {
                names.LABEL_REVISION: "small-1",
                names.LABEL_TRANSPORT: "RDMA",
                names.LABEL_WORKLOAD_HASH: "abc",
            },
            "annotations": {
                names.ANNOTATION_NETWORKS: json.dumps(_NETWORKS),
                names.ANNOTATION_NETWORK_STATUS: json.dumps(_STATUS),
            },
        },
        "spec": {
            "nodeName": "node-1",
            "initContainers": [
                {"name": "weights"},
                {"name": "preflight", "resources": {"limits": {VF: "1"}}},
                {"name": "cache", "restartPolicy": "Always", "resources": {"requests": {VF: "1"}, "limits": {VF: "1"}}},
            ],
            "containers": [{"name": "engine", "resources": {"limits": {names.GPU_RESOURCE: "8", "cpu": "4"}}}],
        },
        "status": {
            "phase": "Running",
            "initContainerStatuses": [
                {"name": "preflight", "state": {"terminated": {"exitCode": 0, "message": json.dumps(_REPORT)}}}
            ],
        },
    }
    for part, changes in parts.items():
        pod[part] = {**pod[part], **changes}
    return pod


def test_healthy_pod_tells_devices_interfaces_and_verdict() -> None:
    found = project_pod_transport(_pod())
    assert dict(found.devices) == {VF: 1, names.GPU_RESOURCE: 8}
    assert found.interfaces == ("net1 192.168.10.7 mlx5_2",)
    assert found.preflight is not None
    assert (found.preflight.transport, found.preflight.evidence) == (Variant.RDMA, Evidence.UNVERIFIED)
    assert found.fault is None


def test_what_others_wrote_reaches_people_without_control_characters() -> None:
    status = [{"name": "n", "interface": "net1\x1b[2J", "ips": ["10.0.0.1\n\u202e"]}]
    networks = [{"name": "rail-a", "interface": "net2\x1b[2J"}]
    annotations = {
        names.ANNOTATION_NETWORKS: json.dumps(networks),
        names.ANNOTATION_NETWORK_STATUS: json.dumps(status),
    }
    pod = _pod()
    pod["metadata"]["annotations"] = annotations
    found = project_pod_transport(pod)
    assert found.interfaces == ("net1 [2J 10.0.0.1",)
    assert found.fault == (Reason.NetworkBypassed, "Pod small-0 runs without net2 [2J.")


_COUNTS: dict[str, tuple[dict[str, Any], dict[str, int]]] = {
    "nothing": ({"containers": [{}]}, {}),
    "a plain init container hands its device on": (
        {
            "initContainers": [
                {"resources": {"limits": {VF: "1"}}},
                {"restartPolicy": "Always", "resources": {"limits": {VF: "1"}}},
            ],
            "containers": [{}],
        },
        {VF: 1},
    ),
    "sidecar and container add up": (
        {
            "initContainers": [{"restartPolicy": "Always", "resources": {"limits": {VF: "1"}}}],
            "containers": [{"resources": {"limits": {VF: "2"}}}],
        },
        {VF: 3},
    ),
    "an init container after a sidecar needs its own beside it": (
        {
            "initContainers": [
                {"restartPolicy": "Always", "resources": {"limits": {VF: "1"}}},
                {"resources": {"limits": {VF: "2"}}},
            ],
            "containers": [{}],
        },
        {VF: 3},
    ),
    "what is no count is left out": ({"containers": [{"resources": {"limits": {VF: "many", "memory": "1Gi"}}}]}, {}),
}


@pytest.mark.parametrize(("spec", "expected"), _COUNTS.values(), ids=_COUNTS.keys())
def test_devices_are_counted_as_the_scheduler_does(spec: dict[str, Any], expected: dict[str, int]) -> None:
    assert count_devices(spec) == expected


def _annotate(**annotations: str) -> dict[str, Any]:
    known = _pod()["metadata"]["annotations"]
    return {"metadata": {**_pod()["metadata"], "annotations": {**known, **annotations}}}


_NO_STATUS = _annotate(**{names.ANNOTATION_NETWORK_STATUS: ""})
_FAULTS: dict[str, tuple[dict[str, Any], Reason | None]] = {
    "all is well": ({}, None),
    "a running pod without network-status": (_NO_STATUS, Reason.NetworkBypassed),
    "a running pod with another interface": (
        _annotate(**{names.ANNOTATION_NETWORK_STATUS: json.dumps([{"interface": "net2"}])}),
        Reason.NetworkBypassed,
    ),
    "a pod that still starts": ({**_NO_STATUS, "status": {"phase": "Pending"}}, None),
    "a pod without networks": (_annotate(**{names.ANNOTATION_NETWORKS: ""}), None),
    "networks and no device": ({"spec": {"initContainers": []}}, Reason.ResourceInjectorMissed),
    "networks and a claim": ({"spec": {"initContainers": [], "resourceClaims": [{"name": "rdma"}]}}, None),
}


@pytest.mark.parametrize(("parts", "reason"), _FAULTS.values(), ids=_FAULTS.keys())
def test_fault_when(parts: dict[str, Any], reason: Reason | None) -> None:
    found = project_pod_transport(_pod(**parts)).fault
    assert (found[0] if found else None) is reason
    if found:
        assert "small-0" in found[1]


_JUNK = ["", "no json", "{}", "[]", "[1]", '[{"interface": 5}]', '[{"interface": "net1", "ips": "x"}]', "[" * 100_000]


@pytest.mark.parametrize("text", _JUNK, ids=range(len(_JUNK)))
def test_annotation_of_another_form_counts_as_not_told(text: str) -> None:
    found = project_pod_transport(_pod(**_annotate(**{names.ANNOTATION_NETWORK_STATUS: text})))
    assert found.interfaces in {(), ("net1",), ("net1 x",)}


@given(st.recursive(st.none() | st.integers() | st.text(max_size=5), lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(["interface", "ips", "device-info", "pci", "default", "name"]), inner, max_size=4), max_leaves=20))  # fmt: skip
def test_whatever_stands_in_the_annotations_is_no_error(content: Any) -> None:
    text = json.dumps(content)
    parts = _annotate(**{names.ANNOTATION_NETWORK_STATUS: text, names.ANNOTATION_NETWORKS: text})
    found = project_pod_transport(_pod(**parts))
    assert all(len(line) <= 128 for line in found.interfaces)


def test_preflight_that_failed_tells_by_its_last_run() -> None:
    message = json.dumps(
        _REPORT | {"transport": "None", "evidence": "None", "reason": "NoRDMADevice", "detail": "no uverbs."}
    )
    status = {
        "phase": "Pending",
        "initContainerStatuses": [
            {
                "name": "preflight",
                "restartCount": 3,
                "state": {"waiting": {"reason": "CrashLoopBackOff"}},
                "lastState": {"terminated": {"exitCode": 1, "message": message}},
            }
        ],
    }
    pod = project_pod(_pod(status=status))
    assert pod.problem == (
        Reason.NoRDMADevice,
        "Pod small-0, container preflight: CrashLoopBackOff, 3 restarts, last exit code 1: no uverbs.",
    )
    status["initContainerStatuses"][0]["lastState"]["terminated"]["message"] = "Traceback"  # type: ignore[index]
    crashed = project_pod(_pod(status=copy.deepcopy(status)))
    assert crashed.problem is not None
    assert crashed.problem[0] is Reason.PodsCrashing


_RDMA = Make("r1", Variant.RDMA, "abc", "")
_CURRENT: dict[str, tuple[Make, bool]] = {
    "the same revision": (Make("r1"), True),
    "an older revision without a transport": (Make("r0"), False),
    "the other transport of the same specification": (Make("r0", Variant.TCP, "abc"), True),
    "the other transport of another specification": (Make("r0", Variant.TCP, "xyz"), False),
    "the same transport with other devices": (Make("r0", Variant.RDMA, "abc"), False),
    "the other transport from before a restart was asked for": (Make("r0", Variant.TCP, "abc", "then"), False),
}


@pytest.mark.parametrize(("make", "current"), _CURRENT.values(), ids=_CURRENT.keys())
def test_pod_is_current_when_made_from(make: Make, current: bool) -> None:
    assert make.is_current(_RDMA) is current


def test_make_is_read_from_labels_and_annotations() -> None:
    assert read_make(_pod()["metadata"]) == Make("small-1", Variant.RDMA, "abc", "")
    assert read_make({"labels": {names.LABEL_TRANSPORT: "Smoke"}}) == Make("")
    assert read_make({}) == Make("")
    assert read_make({"annotations": {"kubectl.kubernetes.io/restartedAt": "t"}}).restarted == "t"


_WAITS: dict[str, tuple[dict[str, Any], str, float | None]] = {
    "no node": ({"conditions": [{"type": "PodScheduled", "status": "False", "lastTransitionTime": "2026-01-01T00:00:09Z"}]}, "", 9.0),
    "no network": ({"conditions": [{"type": "PodReadyToStartContainers", "status": "False", "lastTransitionTime": "2026-01-01T00:00:05Z"}]}, "node-1", 5.0),
    "containers start": ({"conditions": [{"type": "PodReadyToStartContainers", "status": "True", "lastTransitionTime": "2026-01-01T00:00:05Z"}]}, "node-1", None),
    "it runs": ({"phase": "Running", "conditions": [{"type": "PodReadyToStartContainers", "status": "False", "lastTransitionTime": "2026-01-01T00:00:05Z"}]}, "node-1", None),
    "nobody tells": ({}, "node-1", None),
    "a time that is none": ({"conditions": [{"type": "PodScheduled", "status": "False", "lastTransitionTime": "soon"}]}, "", None),
}  # fmt: skip


@pytest.mark.parametrize(("status", "node", "seconds"), _WAITS.values(), ids=_WAITS.keys())
def test_waiting_begins_when(status: dict[str, Any], node: str, seconds: float | None) -> None:
    pod = _pod(spec={"nodeName": node})
    pod["status"] = status
    facts = project_pod(pod)
    assert facts.waits_since == (None if seconds is None else facts.created + seconds)


_REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "NUMA zones": ({"phase": "Failed", "reason": "TopologyAffinityError", "message": "no"}, "TopologyAffinityError"),
    "a device plugin that is not ready": ({"phase": "Failed", "reason": "UnexpectedAdmissionError"}, "UnexpectedAdmissionError"),
    "a device that is taken": ({"phase": "Failed", "reason": "OutOfnvidia.com/gpu"}, "OutOfnvidia.com/gpu"),
    "containers that have waited": ({"phase": "Failed", "reason": "NodeAffinity", "containerStatuses": [{"name": "engine", "state": {"waiting": {}}}]}, "NodeAffinity"),
    "a pod that has run": ({"phase": "Failed", "reason": "Evicted", "containerStatuses": [{"name": "engine", "containerID": "x"}]}, ""),
    "a pod that was evicted early": ({"phase": "Failed", "reason": "Evicted", "conditions": [{"type": "DisruptionTarget", "status": "True"}]}, ""),
    "a pod that runs": ({"phase": "Running"}, ""),
}  # fmt: skip


@pytest.mark.parametrize(("status", "reason"), _REFUSED.values(), ids=_REFUSED.keys())
def test_kubelet_refused_a_pod_for(status: dict[str, Any], reason: str) -> None:
    pod = _pod()
    pod["status"] = status
    facts = project_pod(pod)
    assert facts.refused == reason
    if reason:
        assert facts.problem is not None
        assert facts.problem[0] is Reason.PodAdmissionFailed
        assert reason in facts.problem[1]
