"""The optional manifests grant and label exactly what the operator reads."""

from pathlib import Path
from typing import Any

import yaml

from inference_cache.domain import kinds
from inference_cache.domain.evidence_labels import NIC_PREFIX, see_labels
from inference_cache.domain.nic_models import find_model

ROOT = Path(__file__).resolve().parents[2]


def load(path: str) -> list[dict[str, Any]]:
    return [item for item in yaml.safe_load_all((ROOT / "manifests" / path).read_text(encoding="utf-8")) if item]


def list_grants(documents: list[dict[str, Any]]) -> dict[tuple[str, str], set[str]]:
    """Return the verbs by group and resource of all ClusterRoles."""
    return {
        (group, resource): set(rule["verbs"])
        for document in documents
        if document["kind"] == "ClusterRole"
        for rule in document["rules"]
        for group in rule["apiGroups"]
        for resource in rule["resources"]
    }


def test_there_is_a_role_for_reading_each_optional_kind_and_nothing_else() -> None:
    optional = (kinds.NIC_DEVICE, kinds.SRIOV_NODE_STATE, kinds.NODE_TOPOLOGY, kinds.RESOURCE_SLICE, kinds.DPU)
    expected = {(kind.group, kind.plural): {"list", "watch"} for kind in optional}
    assert list_grants(load("optional/node-evidence.yaml")) == expected


def test_each_optional_role_stands_alone_and_is_bound_to_the_operator() -> None:
    documents = load("optional/node-evidence.yaml")
    roles = [item["metadata"]["name"] for item in documents if item["kind"] == "ClusterRole"]
    bindings = [item for item in documents if item["kind"] == "ClusterRoleBinding"]
    assert [item["roleRef"]["name"] for item in bindings] == roles
    account = {
        "kind": "ServiceAccount",
        "name": "inference-cache-operator",
        "namespace": "inference-cache-system",
    }
    assert all(item["subjects"] == [account] for item in bindings)
    assert all(len(item["rules"]) == 1 for item in documents if item["kind"] == "ClusterRole")


def test_the_base_can_read_nodes_and_reports() -> None:
    grants = list_grants(load("base/rbac.yaml"))
    for kind in (kinds.NODE, kinds.NODE_REPORT):
        assert {"list", "watch"} <= grants[kind.group, kind.plural]


def list_rules() -> dict[str, dict[str, Any]]:
    """Return the expressions of each rule by the word after the prefix of its label."""
    (rule,) = load("optional/node-feature-rule.yaml")
    found = {}
    for item in rule["spec"]["rules"]:
        ((label, value),) = item["labels"].items()
        assert (value, label.removeprefix(NIC_PREFIX)) == ("true", item["name"])
        found[item["name"]] = item["matchFeatures"][0]["matchExpressions"]
    return found


def test_labels_of_the_rule_tell_the_model_of_the_device_that_they_match() -> None:
    devices = {name: found["device"]["value"][0] for name, found in list_rules().items() if "device" in found}
    assert len(devices) == 7
    for name, device in devices.items():
        (sighting,) = see_labels({f"{NIC_PREFIX}{name}": "true"})
        assert (sighting.device_id, sighting.model) == (device, find_model(device))


def test_labels_of_the_rule_tell_link_type_and_speed() -> None:
    rules = list_rules()
    model = {f"{NIC_PREFIX}connectx7": "true"}
    for name in ("ethernet", "infiniband"):
        (sighting,) = see_labels(model | {f"{NIC_PREFIX}{name}": "true"})
        assert sighting.link_type is not None
        assert sighting.link_type.value.lower() == name
        assert rules[name]["class"]["value"] == ["0200" if name == "ethernet" else "0207"]
    speeds = {name: found["speed"]["value"][0] for name, found in rules.items() if "speed" in found}
    assert len(speeds) == 4
    for name, least in speeds.items():
        (sighting,) = see_labels(model | {f"{NIC_PREFIX}{name}": "true"})
        assert sighting.speed_gbps == (int(least) + 1) // 1000
