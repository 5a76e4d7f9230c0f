"""What a user sees: apply, scale, change, delete, and objects that others touched."""

import json
from http import HTTPStatus
from typing import Any

import pytest

from e2e.cluster import wait_for
from e2e.rig import Operator, Rig, fetch
from e2e.space import BUCKET, CHILD_KINDS, SECRET, Space

pytestmark = pytest.mark.usefixtures("operator")

_SECRET_TEXT = "tests-secret-0123456789"


def test_reference_deployment_becomes_ready_serves_and_leaves_nothing_behind(space: Space) -> None:
    body = space.build("nemotron", replicas=2, engine={"tensorParallelSize": 8})
    body["spec"]["cache"]["tiers"][0]["memory"]["size"] = "1200Gi"
    space.apply(body)
    space.wait_ready("nemotron")
    pods = space.pods("nemotron")
    assert len({pod["spec"]["nodeName"] for pod in pods}) == 2
    status, answer = fetch(
        f"http://{pods[0]['status']['podIP']}:8000/v1/completions",
        body={"model": body["spec"]["model"]["name"], "prompt": "tiered " * 600, "max_tokens": 4},
        timeout=20,
    )
    assert (status, answer["object"]) == (HTTPStatus.OK, "text_completion")
    s3 = space.cluster.s3.client()
    wait_for(lambda: s3.list_objects_v2(Bucket=BUCKET).get("KeyCount"), 15, "no KV object reached the bucket")
    assert {item["kind"] for item in space.children("nemotron")} == {
        "ServiceAccount",
        "ConfigMap",
        "Service",
        "PodDisruptionBudget",
        "NetworkPolicy",
        "StatefulSet",
    }
    space.delete("nemotron")
    left = space.cluster.get(",".join((*CHILD_KINDS, "pods")), "--namespace", space.namespace)["items"]
    kept = {"default", "kube-root-ca.crt"}
    assert [item["metadata"]["name"] for item in left if item["metadata"]["name"] not in kept] == []


def test_kubectl_scale_changes_pods_and_status(space: Space) -> None:
    space.apply(space.build())
    space.wait_ready()
    for replicas in (3, 0, 1):
        space.cluster.kubectl("scale", "icd/small", f"--replicas={replicas}", "--namespace", space.namespace)
        space.wait_ready()
        wait_for(lambda n=replicas: len(space.pods()) == n, 20, f"not {replicas} pods")  # type: ignore[misc] # default binds the loop variable
        assert space.get("icd", "small")["status"]["replicas"] == replicas


def test_changed_specification_replaces_pods_one_at_a_time(space: Space) -> None:
    space.apply(space.build(replicas=3))
    space.wait_ready()
    before = {pod["metadata"]["uid"] for pod in space.pods()}
    space.apply(space.build(replicas=3, model={"maxModelLen": 32768}))
    lowest = 3

    def replaced() -> bool:
        nonlocal lowest
        pods = space.pods()
        ready = sum(
            any(item["type"] == "Ready" and item["status"] == "True" for item in pod["status"].get("conditions", []))
            for pod in pods
        )
        lowest = min(lowest, ready)
        return len(pods) == 3 and not before & {pod["metadata"]["uid"] for pod in pods}

    wait_for(replaced, 40, "pods were not replaced", pause=0.05)
    space.wait_ready()
    assert lowest >= 2
    configs = [item["metadata"]["name"] for item in space.children() if item["kind"] == "ConfigMap"]
    assert len([name for name in configs if name != "small-agent"]) == 1
    arguments = space.pods()[0]["spec"]["containers"][0]["args"]
    assert "--max-model-len=32768" in arguments


DRIFTS: dict[str, tuple[str, str, dict[str, Any]]] = {
    "a port of a Service": ("service", "small", {"spec": {"ports": [{"port": 8000, "targetPort": 1}]}}),
    "the label of a ConfigMap": ("configmap", "", {"metadata": {"labels": {"inferencecache.io/deployment": "small", "app.kubernetes.io/name": "other"}}}),
    "the replicas of a StatefulSet": ("statefulset", "small", {"spec": {"replicas": 3}}),
    "the budget of a PodDisruptionBudget": ("poddisruptionbudget", "small", {"spec": {"maxUnavailable": 5}}),
    "the image of the engine": (
        "statefulset",
        "small",
        {"spec": {"template": {"spec": {"containers": [{"name": "engine", "image": "evil:1"}]}}}},
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", DRIFTS, ids=list(DRIFTS))
def test_edit_of_a_child_is_repaired(space: Space, case: str) -> None:
    kind, name, patch = DRIFTS[case]
    space.apply(space.build())
    space.wait_ready()
    name = name or next(item["metadata"]["name"] for item in space.children() if item["kind"] == "ConfigMap")
    state = space.end_state()
    space.cluster.kubectl("patch", kind, name, "--namespace", space.namespace, "--patch", json.dumps(patch))
    wait_for(lambda: space.events("DriftCorrected"), 20, "no event tells of the repair")

    def restored() -> bool:
        return space.end_state() == state

    wait_for(restored, 30, f"{case} was not restored")


ADDITIONS: dict[str, tuple[str, str, list[dict[str, Any]]]] = {
    "a label in the selector of the headless Service": ("service", "small-pods", [{"op": "add", "path": "/spec/selector/evil", "value": "yes"}]),
    "a port range in the NetworkPolicy": ("networkpolicy", "small", [{"op": "add", "path": "/spec/ingress/0/ports/0/endPort", "value": 65535}]),
    "a label in the selector of the NetworkPolicy": ("networkpolicy", "small", [{"op": "add", "path": "/spec/podSelector/matchLabels/evil", "value": "yes"}]),
    "the host network and a root user": (
        "statefulset",
        "small",
        [
            {"op": "add", "path": "/spec/template/spec/hostNetwork", "value": True},
            {"op": "add", "path": "/spec/template/spec/containers/0/securityContext/runAsUser", "value": 0},
        ],
    ),
    "a container": ("statefulset", "small", [{"op": "add", "path": "/spec/template/spec/containers/-", "value": {"name": "evil", "image": "evil:1"}}]),
}  # fmt: skip


@pytest.mark.parametrize("case", ADDITIONS, ids=list(ADDITIONS))
def test_addition_to_a_child_is_removed(space: Space, case: str) -> None:
    kind, name, patch = ADDITIONS[case]
    space.apply(space.build())
    space.wait_ready()
    state = space.end_state()
    space.cluster.kubectl(
        "patch", kind, name, "--namespace", space.namespace, "--type", "json", "--patch", json.dumps(patch)
    )
    wait_for(lambda: space.events("DriftCorrected"), 20, "no event tells of the repair")
    wait_for(lambda: space.end_state() == state, 30, f"{case} was not removed")
    space.wait_ready()
    (pod,) = space.pods()
    assert not pod["spec"].get("hostNetwork")


def test_restart_by_kubectl_rollout_is_carried_out_and_not_undone(space: Space) -> None:
    space.apply(space.build())
    space.wait_ready()
    (pod,) = space.pods()
    path = "/spec/template/metadata/annotations"
    annotations = space.get("statefulset", "small")["spec"]["template"]["metadata"].get("annotations", {})
    annotations["kubectl.kubernetes.io/restartedAt"] = "2026-01-01T00:00:00Z"
    patch = [{"op": "add", "path": path, "value": annotations}]
    space.cluster.kubectl(
        "patch", "statefulset", "small", "--namespace", space.namespace, "--type", "json", "--patch", json.dumps(patch)
    )
    wait_for(
        lambda: (space.get("pod", "small-0") or pod)["metadata"]["uid"] != pod["metadata"]["uid"], 40, "no new pod"
    )
    space.wait_ready()
    assert not space.events("DriftCorrected")


@pytest.mark.parametrize(
    "label",
    ["app.kubernetes.io/managed-by-", "inferencecache.io/deployment-", "inferencecache.io/deployment=other"],
)
def test_child_that_lost_its_label_is_repaired_at_once(space: Space, label: str) -> None:
    space.apply(space.build())
    space.wait_ready()
    state = space.end_state()
    for kind in ("service", "pdb"):
        space.cluster.kubectl("label", kind, "small", label, "--overwrite", "--namespace", space.namespace)
    wait_for(lambda: space.end_state() == state, 20, "the labels were not restored", pause=0.2)
    wait_for(lambda: space.events("DriftCorrected"), 20, "no event tells of the repair")


def test_foreign_pod_with_the_same_labels_is_neither_counted_nor_deleted(space: Space) -> None:
    space.apply(space.build())
    space.wait_ready()
    (pod,) = space.pods()
    labels = {key: value for key, value in pod["metadata"]["labels"].items() if "revision" not in key}
    for name in ("helper-x", "helper-0"):
        container = {"name": "main", "image": "busybox:1"}
        spec = {"containers": [container], "nodeSelector": {"nowhere": "true"}}
        metadata = {"name": name, "namespace": space.namespace, "labels": labels}
        space.cluster.apply({"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec})
    space.apply(space.build(rollout={"drainSeconds": 45}))
    wait_for(
        lambda: (space.get("pod", "small-0") or pod)["metadata"]["uid"] != pod["metadata"]["uid"], 40, "no new pod"
    )
    space.wait_ready()
    assert {item["metadata"]["name"] for item in space.pods()} == {"small-0", "helper-x", "helper-0"}
    assert space.get("icd", "small")["status"]["replicas"] == 1


@pytest.mark.parametrize("kind", CHILD_KINDS)
def test_child_deleted_by_hand_comes_back(space: Space, kind: str) -> None:
    space.apply(space.build())
    space.wait_ready()
    state = space.end_state()
    uids = {item["metadata"]["uid"] for item in space.children()}
    found = space.cluster.get(kind, "--namespace", space.namespace, "-l", "inferencecache.io/deployment=small")
    names = [item["metadata"]["name"] for item in found["items"]]
    space.cluster.kubectl("delete", kind, *names, "--namespace", space.namespace)
    wait_for(
        lambda: len({item["metadata"]["uid"] for item in space.children()} - uids) == len(names)
        and space.end_state() == state,
        30,
        f"deleted {kind} did not come back as before",
        pause=0.2,
    )  # fmt: skip


def test_foreign_object_of_the_same_name_is_a_conflict_and_stays_untouched(space: Space) -> None:
    foreign = {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": "small", "namespace": space.namespace, "labels": {"team": "other"}},
        "spec": {"ports": [{"port": 1234}], "selector": {"app": "other"}},
    }
    space.cluster.apply(foreign)
    before = space.get("service", "small")
    space.apply(space.build())
    found = space.wait_condition("small", "Ready", "False", "NameConflict")
    assert f"Service {space.namespace}/small" in found["message"]
    assert space.condition("small", "Stalled")["status"] == "True"
    assert space.get("service", "small") == before
    space.delete()
    assert space.get("service", "small") == before
    space.apply(space.build())
    space.wait_condition("small", "Ready", "False", "NameConflict")
    space.cluster.kubectl("delete", "service", "small", "--namespace", space.namespace)
    space.wait_ready()


def test_deployment_recreated_under_its_name_gets_children_of_its_own(space: Space) -> None:
    space.apply(space.build())
    space.wait_ready()
    space.cluster.kubectl("delete", "icd", "small", "--namespace", space.namespace, "--wait=false")
    space.apply(space.build())
    uid = space.get("icd", "small")["metadata"]["uid"]

    def owned() -> bool:
        owners = {owner["uid"] for item in space.children() for owner in item["metadata"].get("ownerReferences", [])}
        return owners == {uid} and len(space.children()) == 8

    wait_for(owned, 30, "children of the old deployment remained")
    space.wait_ready()


def test_secret_values_appear_nowhere(space: Space, operator: Operator, rig: Rig) -> None:
    space.apply(space.build())
    space.wait_ready()
    rig.put_keys(space.namespace, SECRET, "tests", f" {_SECRET_TEXT}")
    space.cluster.kubectl(
        "patch",
        "icd",
        "small",
        "--namespace",
        space.namespace,
        "--type=merge",
        "--patch",
        '{"spec":{"model":{"maxModelLen":4096}}}',
    )
    space.wait_condition("small", "CredentialsReady", "False", "SecretKeyMalformed")
    shown = [
        json.dumps(space.children()),
        json.dumps(space.pods()),
        json.dumps(space.get("icd", "small")),
        json.dumps(space.cluster.get("events", "--namespace", space.namespace)),
        rig.cluster.log("operator"),
        str(operator.health("/metrics")[1]),
    ]
    assert [text[:200] for text in shown if _SECRET_TEXT in text] == []
