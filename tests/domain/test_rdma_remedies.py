"""Remedies for RDMA, networks and fabrics: the edits lead to valid specs, and commands name the objects that are meant."""

import re
from typing import Any, Final

import pytest

from inference_cache.api.networks import LinkType
from inference_cache.api.parsing import parse_spec
from inference_cache.api.status import NodeReasonCount
from inference_cache.domain import names
from inference_cache.domain.explain_transport import find_attachment
from inference_cache.domain.node_evidence import NIC, NICSighting, NodeEvidence, Source
from inference_cache.domain.node_matrix import Matrix
from inference_cache.domain.reasons import Reason
from inference_cache.domain.remedies import Command, Edit, Fix, Situation, Target, find_fixes
from inference_cache.domain.remedies.placement import plan_placement
from tests.support.builders import build_node, build_spec, load_fabric
from tests.support.patches import patch_spec

_TARGET: Final = Target("inference", "nemotron-70b", "inference-cache-system")
_PLACEHOLDER: Final = re.compile(r"<[A-Z_]+>")
_FILLED: Final = {
    "<MODEL>": "ConnectX-7",
    "<BLUEFIELD>": "BlueField-2",
    "<NETWORK>": "storage-net",
    "<FABRIC>": "storage",
    "<RESOURCE>": "rdma/other",
    "<CLASS>": "rdma.example.com",
    "<IMAGE>": "registry.example/engine:vllm-0.32.0-lmcache-0.5.6",
    "<REGION>": "us-east-1",
    "<BUCKET>": "kv",
}
_REQUIREMENTS: Final[dict[str, Any]] = {
    "nodes.requirements.rdma": {
        "linkType": "Ethernet",
        "minSpeedGbps": 200,
        "nicModels": ["BlueField-3"],
        "firmwareAtLeast": "32.39.1002",
        "gpuDirect": "Require",
    },
    "nodes.requirements.dpu": {"models": ["BlueField-3"], "mode": "NIC"},
    "nodes.requirements.numa": {"alignment": "SingleZone"},
    "nodes.requirements.kernelAtLeast": "6.1",
    "nodes.requirements.gpu.computeCapabilityAtLeast": "9.0",
}
_INLINE: Final[dict[str, Any]] = {
    "cache.tiers.1.objectStore.rdmaDialect": "Dell",
    "transport": {
        "policy": "RequireRDMA",
        "rdma": {
            "resourceName": "nvidia.com/storage_vf",
            "count": 2,
            "networks": [{"name": "storage-a"}, {"name": "storage-b", "namespace": "fabrics"}],
        },
        "lockedMemory": "NodeUnlimited",
    },
}
SPECS: Final[dict[str, dict[str, Any]]] = {
    "devices of a plugin": {**_REQUIREMENTS, **_INLINE},
    "devices of a driver": {
        **_REQUIREMENTS,
        "transport": {"policy": "Auto", "rdma": {"deviceClassName": "rdma.example.com"}},
    },
    "a fabric": {**_REQUIREMENTS, "transport": {"policy": "Auto", "fabricRef": {"name": "storage"}}},
    "no transport": {},
}
RDMA_REASONS: Final = [
    reason
    for reason in Reason
    if list(Reason).index(reason) >= list(Reason).index(Reason.ComputeCapabilityUnknown)
    and list(Reason).index(reason) < list(Reason).index(Reason.CredentialsFound)
]


def _situation(changes: dict[str, Any], message: str = "", **facts: Any) -> Situation:
    return Situation(_TARGET, build_spec(changes), message, **facts)


def _commands(fixes: tuple[Fix, ...]) -> list[str]:
    texts = [step.text if isinstance(step, Command) else step.command for fix in fixes for step in fix.steps]
    return [text for text in texts if text]


@pytest.mark.parametrize("case", SPECS)
@pytest.mark.parametrize("reason", RDMA_REASONS, ids=lambda reason: reason.name)
def test_edits_of_each_fix_lead_to_a_valid_spec(reason: Reason, case: str) -> None:
    changes = SPECS[case]
    for fix in find_fixes(reason.name, _situation(changes, fabric=load_fabric())):
        spec = build_spec(changes)
        for step in fix.steps:
            if not isinstance(step, Edit) or (case == "no transport" and "remove" in step.command):
                continue
            command = step.command
            for placeholder, value in _FILLED.items():
                command = command.replace(placeholder, value)
            if not _PLACEHOLDER.search(command):
                spec = patch_spec(spec, command)
        if case == "no transport":
            # A reason that the spec has left behind; the patch must still be one.
            continue
        assert not isinstance(parse_spec("nemotron-70b", spec), list), (fix, parse_spec("nemotron-70b", spec))


_MESSAGES: dict[str, tuple[Reason, dict[str, Any], str, str]] = {
    "network of the message": (
        Reason.NADResourceMismatch,
        _INLINE,
        "NetworkAttachmentDefinition fabrics/storage-b is bound to nvidia.com/other.",
        "kubectl -n fabrics annotate net-attach-def storage-b k8s.v1.cni.cncf.io/resourceName=nvidia.com/storage_vf --overwrite",
    ),
    "first network where the message names none": (
        Reason.NetworkConfigMalformed,
        _INLINE,
        "It is no JSON.",
        "kubectl -n inference get net-attach-def storage-a -o 'jsonpath={.spec.config}'",
    ),
    "label of the namespace": (
        Reason.PodSecurityBlocked,
        _INLINE,
        "Namespace inference enforces baseline.",
        "kubectl label namespace inference pod-security.kubernetes.io/enforce=privileged --overwrite",
    ),
    "fabric by name": (
        Reason.FabricNotReady,
        {"transport": {"fabricRef": {"name": "storage"}}},
        "",
        "kubectl describe icf storage",
    ),
    "fabric lets the namespace in": (
        Reason.FabricForbidden,
        {"transport": {"fabricRef": {"name": "storage"}}},
        "",
        'kubectl patch icf storage --type=json -p \'[{"op":"add","path":"/spec/namespaces/-","value":"inference"}]\'',
    ),
    "drain is acknowledged": (
        Reason.NodeDrainNotAcknowledged,
        {"transport": {"fabricRef": {"name": "storage"}}},
        "",
        'kubectl patch icf storage --type=merge -p \'{"spec":{"nodeDrain":"Acknowledged"}}\'',
    ),
    "preflight of the pod of the message": (
        Reason.MemlockTooLow,
        _INLINE,
        "1 of 3 pods do not use RDMA: 1 MemlockTooLow (for instance nemotron-70b-2: 64 KiB).",
        "kubectl -n inference logs nemotron-70b-2 -c preflight",
    ),
    "pods are told by transport": (
        Reason.RDMARecovered,
        _INLINE,
        "",
        "kubectl -n inference get pods -L inferencecache.io/transport -l inferencecache.io/deployment=nemotron-70b",
    ),
    "resource in columns": (
        Reason.RDMAResourceNotAdvertised,
        _INLINE,
        "",
        "kubectl get nodes -o 'custom-columns=NODE:.metadata.name,DEVICES:.status.allocatable.nvidia\\.com/storage_vf'",
    ),
    "DPU mode in the firmware": (
        Reason.DPUModeMismatch,
        {"nodes.requirements.dpu": {"mode": "NIC"}},
        "",
        "kubectl debug 'node/<NODE>' --profile=sysadmin --image=busybox:1 -it -- chroot /host mlxconfig -d '<PCI>' set INTERNAL_CPU_OFFLOAD_ENGINE=1",
    ),
}


@pytest.mark.parametrize("case", _MESSAGES)
def test_command_names_what_is_meant(case: str) -> None:
    reason, changes, message, command = _MESSAGES[case]
    fabric = {"metadata": {"name": "storage"}, "spec": {"namespaces": ["other"]}}
    assert command in _commands(find_fixes(reason.name, _situation(changes, message, fabric=fabric)))


def test_fabric_that_makes_its_networks_is_looked_at_rather_than_others() -> None:
    managed = {"metadata": {"name": "storage"}, "spec": {"mode": "Manage", "networks": [{"name": "rail"}]}}
    situation = _situation({"transport": {"fabricRef": {"name": "storage"}}}, fabric=managed)
    found = _commands(find_fixes("NetworkNotFound", situation))
    assert "kubectl describe icf storage" in found
    assert not any("macvlannetworks" in command for command in found)
    assert "kubectl -n inference get net-attach-def rail-inference -o yaml" in _commands(
        find_fixes("MacvlanOnInfiniBand", situation)
    )


@pytest.mark.parametrize(
    ("message", "words"),
    [
        ("Pod x-0 was refused: TopologyAffinityError: no alignment.", ["SingleZone"]),
        ("Pod x-0 was refused: UnexpectedAdmissionError: no device.", ["spec.nodeName"]),
        ("Pod x-0 was refused: NodeAffinity.", ["SingleZone", "spec.nodeName"]),
    ],
)
def test_refused_pod_is_mended_by_its_cause(message: str, words: list[str]) -> None:
    text = "\n".join(_commands(find_fixes("PodAdmissionFailed", _situation({}, message))))
    assert [word for word in ("SingleZone", "spec.nodeName") if word in text] == words


def test_only_the_variables_that_mislead_are_taken_out() -> None:
    variables = [{"name": "UCX_TLS", "value": "tcp"}, {"name": "NCCL_DEBUG", "value": "WARN"}]
    (fix,) = find_fixes("SilentTCPFallback", _situation({"engine.extraEnv": variables}))
    edit = next(step for step in fix.steps if isinstance(step, Edit))
    assert edit.value == [{"name": "NCCL_DEBUG", "value": "WARN"}]


def test_node_outside_the_fabric_gets_its_labels() -> None:
    fabric = {"metadata": {"name": "storage"}, "spec": {"nodeSelector": {"pool": "rdma"}}}
    counts = (NodeReasonCount(reason="NodeNotInFabric", count=1, examples=["node-7"]),)
    found = _commands(find_fixes("NodeNotInFabric", _situation({}, fabric=fabric, without_rdma=counts)))
    assert "kubectl label node node-7 pool=rdma" in found


@pytest.mark.parametrize(("level", "named"), [("baseline", True), ("restricted", False)])
def test_unlimited_nodes_help_against_baseline_alone(level: str, named: bool) -> None:
    message = f"The namespace enforces the Pod Security level {level}, which refuses it."
    text = "\n".join(_commands(find_fixes("PodSecurityBlocked", _situation(_INLINE, message))))
    assert ("NodeUnlimited" in text) is named


@pytest.mark.parametrize(("recovery", "advised"), [("Immediate", False), ("NextRestart", True)])
def test_recovery_is_advised_only_where_it_is_not_set(recovery: str, advised: bool) -> None:
    changes = {"transport": {"fabricRef": {"name": "storage"}, "recovery": recovery}}
    text = "\n".join(_commands(find_fixes("RDMARecovered", _situation(changes))))
    assert ("Immediate" in text) is advised


def test_too_few_nodes_with_rdma_are_mended_by_what_these_miss() -> None:
    counts = tuple(
        NodeReasonCount(reason=reason.name, count=2, examples=[f"node-{number}"])
        for number, reason in enumerate((Reason.RDMAModulesMissing, Reason.NICModelUnknown, Reason.LinkTypeUnknown))
    )
    fixes = find_fixes("RDMAUnavailable", _situation(_INLINE, without_rdma=counts))
    commands = _commands(fixes)
    assert commands[0] == (
        "kubectl debug node/node-0 --profile=sysadmin --image=busybox:1 -it -- chroot /host modprobe -a ib_uverbs rdma_ucm mlx5_ib"
    )
    assert sum("manifests/node-validator" in command for command in commands) == 1, "one remedy for both is told once"
    assert commands[-1].startswith("kubectl -n inference patch icd nemotron-70b"), "serving over TCP is the last resort"


_ADAPTER: Final = NICSighting(
    Source.REPORT,
    pci="0000:17:00.0",
    vendor="15b3",
    model="ConnectX-7",
    rdma_device="mlx5_0",
    link_type=LinkType.ETHERNET,
    speed_gbps=100,
    link_up=True,
    firmware="28.30.1000",
    virtual=False,
)
_NODES: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "an old kernel": ({"nodes.requirements.kernelAtLeast": "6.8"}, {"kernel": "5.14.0-427.el9"}),
    "an older generation": ({"nodes.requirements.gpu.computeCapabilityAtLeast": "10.0"}, {}),
    "cut GPUs": ({}, {"labels": {"nvidia.com/gpu.sharing-strategy": "time-slicing"}}),
    "a slow adapter": ({"nodes.requirements.rdma": {"minSpeedGbps": 200}}, {}),
    "old firmware": ({"nodes.requirements.rdma": {"firmwareAtLeast": "28.39.1002"}}, {}),
    "several faults": (
        {"nodes.requirements.rdma": {"minSpeedGbps": 200, "firmwareAtLeast": "28.39.1002"}, "nodes.requirements.kernelAtLeast": "6.8"},
        {"kernel": "5.14.0", "unschedulable": True},
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", _NODES)
def test_plan_makes_a_node_eligible_for_required_rdma(case: str) -> None:
    changes, facts = _NODES[case]
    labels = {
        names.GPU_PRODUCT_LABEL: "NVIDIA-H200",
        "nvidia.com/gpu.compute.major": "9",
        "nvidia.com/gpu.compute.minor": "0",
    }
    node = build_node(
        **{
            "kernel": "6.8.0",
            "resources": {"rdma/storage": 8},
            **facts,
            "labels": {**labels, **facts.get("labels", {})},
        }
    )
    transport = {"policy": "RequireRDMA", "rdma": {"resourceName": "rdma/storage"}}
    changes = {"transport": transport, "cache.tiers.1.objectStore.rdmaDialect": "Dell", **changes}
    spec = build_spec(changes)
    attachment = find_attachment("inference", "nemotron-70b", spec, None)
    matrix = Matrix("nemotron-70b", attachment)
    evidence = NodeEvidence(node, nics=(NIC((_ADAPTER,)),))
    before = matrix.judge(spec, evidence)
    assert before is not None
    assert not before.eligible
    fixes = plan_placement(Situation(_TARGET, spec, nodes=(evidence,), attachment=attachment))
    assert fixes
    for step in fixes[0].steps:
        if isinstance(step, Edit):
            spec = patch_spec(spec, step.command)
    after = matrix.judge(spec, evidence)
    assert after is not None
    assert set(after.violations) <= {Reason.NodeUnschedulable}, "uncordoning is a command on the node"
