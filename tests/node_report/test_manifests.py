"""What the shipped manifests grant the node validator: to look, and to write one kind of object; nothing more."""

from typing import Any, Final

import pytest
import yaml

from cache_agent import node_agent
from tests.node_report.cases import ROOT

_FOLDER: Final = ROOT / "manifests" / "node-validator"


def _load(name: str) -> list[dict[str, Any]]:
    return [item for item in yaml.safe_load_all((_FOLDER / name).read_text(encoding="utf-8")) if item]


@pytest.fixture
def pod() -> dict[str, Any]:
    (daemon_set,) = _load("daemonset.yaml")
    spec: dict[str, Any] = daemon_set["spec"]["template"]["spec"]
    return spec


def test_every_file_is_installed() -> None:
    (kustomization,) = _load("kustomization.yaml")
    assert sorted(kustomization["resources"]) == sorted(
        path.name for path in _FOLDER.glob("*.yaml") if path.name != "kustomization.yaml"
    )


def test_container_has_no_privilege(pod: dict[str, Any]) -> None:
    assert {"hostNetwork", "hostPID", "hostIPC", "hostUsers", "initContainers"} & pod.keys() == set()
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    (container,) = pod["containers"]
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert "ports" not in container


def test_two_folders_of_the_host_are_mounted_and_none_can_be_written(pod: dict[str, Any]) -> None:
    assert {item["hostPath"]["path"] for item in pod["volumes"]} == {"/sys", "/dev/infiniband"}
    (container,) = pod["containers"]
    assert {item["mountPath"]: item["readOnly"] for item in container["volumeMounts"]} == {
        "/host/sys": True,
        "/host/dev/infiniband": True,
    }


def test_arguments_are_accepted_and_match_the_mounts(pod: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    (container,) = pod["containers"]
    assert container["command"] == ["python", "-m", node_agent.__name__]
    monkeypatch.setenv("NODE_NAME", "gpu-1")
    options = node_agent._read_arguments(container["args"])
    assert (options.node, str(options.root), str(options.proc)) == ("gpu-1", "/host", "/proc")
    assert not options.once
    assert {item["name"] for item in container["env"]} >= {"NODE_NAME"}


def test_it_runs_the_operators_image(pod: dict[str, Any]) -> None:
    operator = yaml.safe_load((ROOT / "manifests" / "base" / "deployment.yaml").read_text(encoding="utf-8"))
    (expected,) = operator["spec"]["template"]["spec"]["containers"]
    (container,) = pod["containers"]
    assert container["image"] == expected["image"]


def test_rights_are_those_of_one_kind() -> None:
    account, role, binding = _load("rbac.yaml")
    assert role["rules"] == [
        {
            "apiGroups": ["inferencecache.io"],
            "resources": ["nodecapabilityreports"],
            "verbs": ["get", "create", "patch"],
        }
    ]
    assert binding["roleRef"]["name"] == role["metadata"]["name"]
    (subject,) = binding["subjects"]
    assert (subject["namespace"], subject["name"]) == (account["metadata"]["namespace"], account["metadata"]["name"])


def test_policy_is_in_force_for_that_account() -> None:
    policy, binding = _load("policy.yaml")
    account, *_ = _load("rbac.yaml")
    (condition,) = policy["spec"]["matchConditions"]
    user = f"system:serviceaccount:{account['metadata']['namespace']}:{account['metadata']['name']}"
    assert condition["expression"] == f"request.userInfo.username == '{user}'"
    assert policy["spec"]["failurePolicy"] == "Fail"
    assert binding["spec"] == {"policyName": policy["metadata"]["name"], "validationActions": ["Deny"]}
