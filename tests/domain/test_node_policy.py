"""Which nodes can run a replica, and the one reason why another cannot."""

from typing import Any

import pytest

from inference_cache.api.quantities import GIB
from inference_cache.domain import names
from inference_cache.domain.desired.placement import build_affinity
from inference_cache.domain.node_facts import NodeFacts, Taint
from inference_cache.domain.node_policy import check_nodes
from inference_cache.domain.reasons import Reason
from inference_cache.domain.verdict import Truth
from tests.support.builders import REMOVED, build_node, build_settled

_GPU = names.GPU_PRODUCT_LABEL
_GPU_NEED = "nodes.requirements.gpu"
_MAJOR = names.COMPUTE_MAJOR_LABEL
_MINOR = names.COMPUTE_MINOR_LABEL
_INELIGIBLE: dict[str, tuple[dict[str, Any], Reason]] = {
    "a lost node, whatever else is wrong": ({"ready": False, "gpus": 0, "memory": 0}, Reason.NodeNotReady),
    "a cordoned node": ({"unschedulable": True}, Reason.NodeUnschedulable),
    "another GPU model, even with too few": ({"labels": {_GPU: "NVIDIA-B200"}, "gpus": 1}, Reason.GPUProductMismatch),
    "GPUs without a model label": ({"labels": {}}, Reason.GPUProductUnknown),
    "no label and no GPUs advertised": ({"labels": {}, "gpus": None}, Reason.GPUNotAdvertised),
    "a label but no GPUs advertised": ({"gpus": None}, Reason.GPUNotAdvertised),
    "one GPU too few": ({"gpus": 7}, Reason.GPUCountTooLow),
    "too little memory": ({"memory": 1200 * 2**30}, Reason.MemoryTooSmall),
}


@pytest.mark.parametrize(("facts", "reason"), _INELIGIBLE.values(), ids=_INELIGIBLE.keys())
def test_node_has_one_precise_reason(facts: dict[str, Any], reason: Reason) -> None:
    verdict, status = check_nodes(build_settled(), [build_node(**facts)])
    assert (verdict.status, verdict.reason) == (Truth.FALSE, Reason.NoEligibleNodes)
    assert status is not None
    assert [(item.reason, item.count, item.examples) for item in status.ineligible or []] == [
        (reason.name, 1, ["node-1"])
    ]
    assert reason.name in verdict.message
    assert verdict.message.endswith(reason.remedy)


_CANDIDATES: dict[str, tuple[dict[str, Any], NodeFacts, bool]] = {
    "every label matches": ({"nodes.selector": {_GPU: "NVIDIA-H200"}}, build_node(), True),
    "a label is missing": ({"nodes.selector": {"pool": "x"}}, build_node(), False),
    "a taint is not tolerated": ({}, build_node(taints=(Taint("other", "", "NoSchedule"),)), False),
    "the effect of the toleration is another": ({}, build_node(taints=(Taint(names.GPU_RESOURCE, "", "NoExecute"),)), False),
    "a state taint has a reason of its own": ({}, build_node(taints=(Taint("node.kubernetes.io/not-ready", "", "NoExecute"),)), True),
    "value and taint are equal": ({"nodes.tolerations": [{"key": "a", "value": "b"}]}, build_node(taints=(Taint("a", "b", "NoSchedule"),)), True),
    "value and taint differ": ({"nodes.tolerations": [{"key": "a", "value": "c"}]}, build_node(taints=(Taint("a", "b", "NoSchedule"),)), False),
    "everything is tolerated": ({"nodes.tolerations": [{"operator": "Exists"}]}, build_node(taints=(Taint("a", "b", "NoExecute"),)), True),
}  # fmt: skip


@pytest.mark.parametrize(("changes", "node", "candidate"), _CANDIDATES.values(), ids=_CANDIDATES.keys())
def test_candidate_when(changes: dict[str, Any], node: NodeFacts, candidate: bool) -> None:
    verdict, status = check_nodes(build_settled(changes), [node])
    assert status is not None
    assert status.candidates == int(candidate)
    assert verdict.reason is (Reason.NodesAvailable if candidate else Reason.NoCandidateNodes)


def test_unread_nodes_are_unknown_and_not_absent() -> None:
    verdict, status = check_nodes(build_settled(), None)
    assert (verdict.status, verdict.reason, status) == (Truth.UNKNOWN, Reason.NodesUnknown, None)
    assert verdict.passing


def test_one_good_node_is_enough_and_the_rest_is_counted_with_three_examples() -> None:
    nodes = [build_node(f"node-{number}", ready=number == 0) for number in range(6)]
    verdict, status = check_nodes(build_settled(), reversed(nodes))
    assert verdict.status is Truth.TRUE
    assert status is not None
    assert (status.candidates, status.eligible) == (6, 1)
    assert [(item.count, item.examples) for item in status.ineligible or []] == [(5, ["node-1", "node-2", "node-3"])]


def test_scaled_to_zero_needs_no_eligible_node() -> None:
    verdict, _ = check_nodes(build_settled({"replicas": 0}), [build_node(ready=False)])
    assert verdict.status is Truth.TRUE


def _label(**numbers: str) -> dict[str, Any]:
    """Return facts of an H200 node with labels for GPU memory and driver."""
    known = {"memory": names.GPU_MEMORY_LABEL, "driver": names.DRIVER_MAJOR_LABEL}
    return {"labels": {_GPU: "NVIDIA-H200"} | {known[key]: value for key, value in numbers.items()}}


_MEMORY = {f"{_GPU_NEED}.minMemoryPerGPU": "140Gi"}
_DRIVER = {f"{_GPU_NEED}.driverMajorAtLeast": 570}
_PAGES = {"cache.tiers.0.memory.pages": "Huge2Mi"}
_MORE: dict[str, tuple[dict[str, Any], dict[str, Any], Reason | None]] = {
    "GPU memory without a label": (_MEMORY, {}, Reason.GPUMemoryUnknown),
    "GPU memory that is no number": (_MEMORY, _label(memory="141GB"), Reason.GPUMemoryUnknown),
    "GPU memory in foreign digits": (_MEMORY, _label(memory="١٤٣٧٧١"), Reason.GPUMemoryUnknown),
    "GPU memory below zero": (_MEMORY, _label(memory="-1"), Reason.GPUMemoryUnknown),
    "GPU memory one MiB too small": (_MEMORY, _label(memory="143359"), Reason.GPUMemoryTooSmall),
    "GPU memory just enough": (_MEMORY, _label(memory="143360"), None),
    "GPU memory as a vendor counts it": ({f"{_GPU_NEED}.minMemoryPerGPU": "150G"}, _label(memory="143051"), None),
    "GPU memory that nobody asks for": ({}, _label(memory="1"), None),
    "a driver without a label": (_DRIVER, {}, Reason.DriverUnknown),
    "a driver that is no number": (_DRIVER, _label(driver="570.86"), Reason.DriverUnknown),
    "a driver too old": (_DRIVER, _label(driver="569"), Reason.DriverTooOld),
    "a driver of fewer digits": (_DRIVER, _label(driver="99"), Reason.DriverTooOld),
    "a driver just new enough": (_DRIVER, _label(driver="570"), None),
    "a driver that nobody asks for": ({}, _label(driver="1"), None),
    "a thousandth of a CPU too few": ({}, {"milli_cpus": 19_999}, Reason.CPUsTooFew),
    "CPUs just enough": ({}, {"milli_cpus": 20_000}, None),
    "CPUs of an override": ({"engine.resources": {"requests": {"cpu": "60"}}}, {"milli_cpus": 63_999}, Reason.CPUsTooFew),
    "CPUs that only the download of the weights needs": ({"engine.resources": {"requests": {"cpu": "100m"}}, "cache.resources": {"requests": {"cpu": "100m"}}}, {"milli_cpus": 1999}, Reason.CPUsTooFew),
    "no huge pages": (_PAGES, {}, Reason.HugePagesTooFew),
    "huge pages one page too few": (_PAGES, {"huge_pages": 1200 * GIB - 2**21}, Reason.HugePagesTooFew),
    "huge pages just enough, and memory for the rest": (_PAGES, {"huge_pages": 1200 * GIB, "memory": 88 * GIB}, None),
    "huge pages and too little memory beside them": (_PAGES, {"huge_pages": 1200 * GIB, "memory": 88 * GIB - 1}, Reason.MemoryTooSmall),
    "memory just enough": ({}, {"memory": 1288 * GIB}, None),
    "one byte too little memory": ({}, {"memory": 1288 * GIB - 1}, Reason.MemoryTooSmall),
    "less memory than the spec asks for": ({"nodes.requirements.memory": "1900Gi"}, {"memory": 1800 * GIB}, Reason.MemoryTooSmall),
    "as much memory as the spec asks for": ({"nodes.requirements.memory": "1900Gi"}, {"memory": 1900 * GIB}, None),
    "less memory than needed, though the spec asks for less": ({"nodes.requirements.memory": "1Gi"}, {"memory": 1000 * GIB}, Reason.MemoryTooSmall),
    "a wrong model before its memory": (_MEMORY, {"labels": {_GPU: "NVIDIA-B200"}}, Reason.GPUProductMismatch),
    "GPU memory before the driver": (_MEMORY | _DRIVER, _label(memory="1", driver="1"), Reason.GPUMemoryTooSmall),
    "the driver before the count": (_DRIVER, _label(driver="1") | {"gpus": 1}, Reason.DriverTooOld),
    "the count before the CPUs": ({}, {"gpus": 1, "milli_cpus": 1}, Reason.GPUCountTooLow),
    "the CPUs before the memory": ({}, {"milli_cpus": 1, "memory": 1}, Reason.CPUsTooFew),
    "any model, where none is asked for": ({f"{_GPU_NEED}.products": REMOVED}, {"labels": {}}, None),
}  # fmt: skip


@pytest.mark.parametrize(("changes", "facts", "reason"), _MORE.values(), ids=_MORE.keys())
def test_requirement(changes: dict[str, Any], facts: dict[str, Any], reason: Reason | None) -> None:
    verdict, status = check_nodes(build_settled(changes), [build_node(**facts)])
    assert status is not None
    assert [item.reason for item in status.ineligible or []] == ([reason.name] if reason else [])
    assert (verdict.status is Truth.TRUE) is (reason is None)


def _list_terms(changes: dict[str, Any]) -> list[list[dict[str, Any]]]:
    affinity = build_affinity(build_settled(changes).spec.nodes)
    if affinity is None:
        return []
    required = affinity["nodeAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"]
    return [term["matchExpressions"] for term in required["nodeSelectorTerms"]]


def _terms(changes: dict[str, Any]) -> list[dict[str, Any]]:
    return [item for term in _list_terms(changes) for item in term]


_NO_PRODUCTS = {f"{_GPU_NEED}.products": REMOVED}
_PLACEMENTS: dict[str, tuple[dict[str, Any], list[tuple[str, str, list[str]]]]] = {
    "nothing": (_NO_PRODUCTS, []),
    "an empty selector": (_NO_PRODUCTS | {"nodes.selector": {}}, []),
    "memory of the node, which no label tells": (_NO_PRODUCTS | {"nodes.requirements.memory": "64Gi"}, []),
    "a selector, sorted": (_NO_PRODUCTS | {"nodes.selector": {"b": "", "a": "1"}}, [("a", "In", ["1"]), ("b", "In", [""])]),
    "GPU memory": (_NO_PRODUCTS | _MEMORY, [(names.GPU_MEMORY_LABEL, "Gt", ["143359"])]),
    "GPU memory as a vendor counts it": (_NO_PRODUCTS | {f"{_GPU_NEED}.minMemoryPerGPU": "80G"}, [(names.GPU_MEMORY_LABEL, "Gt", ["76292"])]),
    "a driver": (_NO_PRODUCTS | _DRIVER, [(names.DRIVER_MAJOR_LABEL, "Gt", ["569"])]),
    "shared GPUs, by both names": ({f"{_GPU_NEED}.products": ["B200"], f"{_GPU_NEED}.partitioning": "Accept"}, [(_GPU, "In", ["NVIDIA-B200", "NVIDIA-B200-SHARED"])]),
    "whole GPUs, which is the default": (_NO_PRODUCTS | {f"{_GPU_NEED}.partitioning": "Refuse"}, []),
    "a whole compute capability": (_NO_PRODUCTS | {f"{_GPU_NEED}.computeCapabilityAtLeast": "9.0"}, [(_MAJOR, "Gt", ["8"])]),
    "a family of GPUs": ({f"{_GPU_NEED}.products": ["B200"]}, [(_GPU, "In", ["NVIDIA-B200"])]),
    "everything": (
        {f"{_GPU_NEED}.products": ["GB200", "X"], "nodes.selector": {"a": "1"}} | _MEMORY | _DRIVER,
        [("a", "In", ["1"]), (_GPU, "In", ["NVIDIA-GB200", "X"]), (names.GPU_MEMORY_LABEL, "Gt", ["143359"]), (names.DRIVER_MAJOR_LABEL, "Gt", ["569"])],
    ),
}  # fmt: skip


@pytest.mark.parametrize(("changes", "terms"), _PLACEMENTS.values(), ids=_PLACEMENTS.keys())
def test_scheduler_is_asked_for(changes: dict[str, Any], terms: list[tuple[str, str, list[str]]]) -> None:
    assert [(item["key"], item["operator"], item["values"]) for item in _terms(changes)] == terms


def test_scheduler_is_asked_for_either_of_two_compute_capabilities() -> None:
    changes = {f"{_GPU_NEED}.computeCapabilityAtLeast": "8.9", "nodes.selector": {"a": "1"}}
    found = [[(item["key"], item["operator"], item["values"]) for item in term] for term in _list_terms(changes)]
    common = [("a", "In", ["1"]), (_GPU, "In", ["NVIDIA-H200", "NVIDIA-H200-NVL", "NVIDIA-H200-SXM5-141GB"])]
    assert found == [
        [*common, (_MAJOR, "Gt", ["8"])],
        [*common, (_MAJOR, "In", ["8"]), (_MINOR, "Gt", ["8"])],
    ]


def test_scheduler_keeps_off_nodes_whose_eligibility_label_says_so() -> None:
    affinity = build_affinity(None, ["eligible.inferencecache.io/b", "eligible.inferencecache.io/a"])
    assert affinity is not None
    (term,) = affinity["nodeAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"]["nodeSelectorTerms"]
    assert term["matchExpressions"] == [
        {"key": f"eligible.inferencecache.io/{name}", "operator": "NotIn", "values": ["false"]} for name in "ab"
    ]


def test_scheduler_keeps_to_the_nodes_of_the_fabric() -> None:
    nodes = build_settled(_NO_PRODUCTS | {"nodes.selector": {"a": "1"}}).spec.nodes
    affinity = build_affinity(nodes, fabric=(("a", "1"), ("pool", "rdma")))
    assert affinity is not None
    (term,) = affinity["nodeAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"]["nodeSelectorTerms"]
    assert [(item["key"], item["values"]) for item in term["matchExpressions"]] == [("a", ["1"]), ("pool", ["rdma"])]


def _matches(expression: dict[str, Any], labels: dict[str, str]) -> bool:
    """Whether the scheduler takes a node: Gt compares whole numbers and never matches a label that is absent."""
    found = labels.get(expression["key"])
    if expression["operator"] == "Gt":
        return found is not None and found.isdecimal() and int(found) > int(expression["values"][0])
    return found in expression["values"]


@pytest.mark.parametrize("driver", ["", "99", "569", "570", "571", "1000"])
@pytest.mark.parametrize("memory", ["", "81559", "143359", "143360", "143771"])
def test_scheduler_and_node_check_agree(memory: str, driver: str) -> None:
    numbers = {key: value for key, value in (("memory", memory), ("driver", driver)) if value}
    changes = _MEMORY | _DRIVER
    node = build_node(**_label(**numbers))
    verdict, _ = check_nodes(build_settled(changes), [node])
    assert all(_matches(item, node.labels) for item in _terms(changes)) is (verdict.status is Truth.TRUE)


@pytest.mark.parametrize("minor", ["", "0", "6", "8", "9", "10"])
@pytest.mark.parametrize("major", ["", "7", "8", "9", "12"])
@pytest.mark.parametrize("wanted", ["8.9", "9.0", "8.0"])
def test_scheduler_and_node_check_agree_on_compute_capability(wanted: str, major: str, minor: str) -> None:
    changes = {f"{_GPU_NEED}.computeCapabilityAtLeast": wanted}
    numbers = {key: value for key, value in ((_MAJOR, major), (_MINOR, minor)) if value}
    node = build_node(labels={_GPU: "NVIDIA-H200"} | numbers)
    verdict, _ = check_nodes(build_settled(changes), [node])
    scheduled = any(all(_matches(item, node.labels) for item in term) for term in _list_terms(changes))
    assert scheduled is (verdict.status is Truth.TRUE)
