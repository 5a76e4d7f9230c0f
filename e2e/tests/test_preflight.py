"""Checks before pods: each failure has a precise reason, no pod is created, and mending it is enough."""

import uuid
from collections.abc import Callable

import pytest

from e2e.cluster import NodeVariant, wait_for
from e2e.rig import Operator, Rig
from e2e.space import SECRET, Space

pytestmark = pytest.mark.usefixtures("operator")

_KEY = "tests-secret-0123456789"


def _with_bucket(space: Space, bucket: str) -> dict[str, object]:
    body = space.build()
    body["spec"]["cache"]["tiers"][1]["objectStore"]["bucket"]["name"] = bucket
    return body


def _break_missing_secret(space: Space) -> Callable[[], None]:
    space.cluster.kubectl("delete", "secret", SECRET, "--namespace", space.namespace)
    space.apply(space.build())
    return lambda: space.rig.put_keys(space.namespace, SECRET, "tests", _KEY)


def _break_missing_key(space: Space) -> Callable[[], None]:
    space.cluster.kubectl("delete", "secret", SECRET, "--namespace", space.namespace)
    space.cluster.kubectl(
        "create", "secret", "generic", SECRET, "--from-literal=AWS_ACCESS_KEY_ID=tests", "--namespace", space.namespace
    )
    space.apply(space.build())
    return lambda: space.rig.put_keys(space.namespace, SECRET, "tests", _KEY)


def _break_malformed_key(space: Space) -> Callable[[], None]:
    space.rig.put_keys(space.namespace, SECRET, "tests", f"{_KEY}\n")
    space.apply(space.build())
    return lambda: space.rig.put_keys(space.namespace, SECRET, "tests", _KEY)


def _break_unknown_key(space: Space) -> Callable[[], None]:
    space.rig.put_keys(space.namespace, SECRET, "nobody", _KEY)
    space.apply(space.build())
    return lambda: space.rig.put_keys(space.namespace, SECRET, "tests", _KEY)


def _break_wrong_secret_key(space: Space) -> Callable[[], None]:
    space.rig.put_keys(space.namespace, SECRET, "tests", "wrong-secret-key")
    space.apply(space.build())
    return lambda: space.rig.put_keys(space.namespace, SECRET, "tests", _KEY)


def _break_absent_bucket(space: Space) -> Callable[[], None]:
    bucket = f"kv-absent-{uuid.uuid4().hex[:6]}"
    space.apply(_with_bucket(space, bucket))

    def mend() -> None:
        space.cluster.s3.make_bucket(bucket)
        space.cluster.s3.grant(bucket, "tests")

    return mend


def _break_denied_bucket(space: Space) -> Callable[[], None]:
    bucket = f"kv-denied-{uuid.uuid4().hex[:6]}"
    space.cluster.s3.make_bucket(bucket)
    space.apply(_with_bucket(space, bucket))
    return lambda: space.cluster.s3.grant(bucket, "tests")


CASES = {
    "Secret is absent": (_break_missing_secret, "CredentialsReady", "SecretNotFound"),
    "Secret lacks a key": (_break_missing_key, "CredentialsReady", "SecretKeyMissing"),
    "key ends with a newline": (_break_malformed_key, "CredentialsReady", "SecretKeyMalformed"),
    "access key is unknown to the store": (_break_unknown_key, "ObjectStoreReady", "AccessKeyUnknown"),
    "secret key is wrong": (_break_wrong_secret_key, "ObjectStoreReady", "SignatureMismatch"),
    "bucket is absent": (_break_absent_bucket, "ObjectStoreReady", "BucketNotFound"),
    "bucket denies access with 403": (_break_denied_bucket, "ObjectStoreReady", "AccessDenied"),
}


@pytest.mark.parametrize("case", CASES, ids=list(CASES))
def test_failed_check_creates_no_pods_and_heals_when_mended(space: Space, case: str) -> None:
    break_it, condition, reason = CASES[case]
    mend = break_it(space)
    found = space.wait_condition("small", condition, "False", reason)
    assert found["message"].strip()
    ready = space.wait_condition("small", "Ready", "False", reason)
    assert ready["message"] == found["message"]
    assert space.children() == []
    assert space.pods() == []
    assert space.events(reason), "the failure is told as an event"
    mend()
    space.wait_ready(seconds=60)


@pytest.mark.parametrize("case", ["Secret is absent", "bucket is absent"])
def test_failed_check_leaves_running_pods_as_they_are(space: Space, case: str) -> None:
    space.apply(space.build())
    space.wait_ready()
    before = {pod["metadata"]["uid"] for pod in space.pods()}
    if case == "Secret is absent":
        space.cluster.kubectl("delete", "secret", SECRET, "--namespace", space.namespace)
        body = space.build(model={"maxModelLen": 4096})
    else:
        body = _with_bucket(space, f"kv-absent-{uuid.uuid4().hex[:6]}")
    space.apply(body)
    _, condition, reason = CASES[case]
    space.wait_condition("small", condition, "False", reason)
    space.wait_condition("small", "Progressing", "False", "ChangeHeld")
    assert {pod["metadata"]["uid"] for pod in space.pods()} == before
    space.cluster.kubectl("scale", "icd/small", "--replicas=2", "--namespace", space.namespace)
    wait_for(lambda: len(space.pods()) == 2, 20, "scaling must go on while a change is held")
    space.apply(space.build(replicas=2))
    space.rig.put_keys(space.namespace, SECRET, "tests", _KEY)
    space.wait_ready()
    assert before <= {pod["metadata"]["uid"] for pod in space.pods()}


def test_no_eligible_node_names_the_cause_and_heals_with_a_node(space: Space, rig: Rig, operator: Operator) -> None:
    name = "h100-late"
    body = space.build(nodes={"requirements": {"gpu": {"products": ["H100"]}}})
    space.apply(body)
    found = space.wait_condition("small", "NodesEligible", "False", "NoEligibleNodes")
    assert "GPUProductMismatch" in found["message"]
    (ineligible,) = space.get("icd", "small")["status"]["nodes"]["ineligible"]
    assert (ineligible["reason"], ineligible["count"]) == ("GPUProductMismatch", 4)
    assert space.pods() == []
    rig.cluster.add_nodes([name], NodeVariant.H100)
    try:
        space.wait_ready()
        assert space.pods()[0]["spec"]["nodeName"] == name
    finally:
        space.delete()
        rig.cluster.kubectl("delete", "node", name)
    assert operator.health()[0] == 200


def test_admission_webhook_that_does_not_answer_shows_in_the_status(space: Space) -> None:
    name = f"dead-{space.namespace}"
    webhook = {
        "name": "dead.example.org",
        "clientConfig": {"url": "https://127.0.0.1:1/"},
        "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": space.namespace}},
        "rules": [
            {"apiGroups": ["", "apps"], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["services"]}
        ],
        "sideEffects": "None",
        "admissionReviewVersions": ["v1"],
        "failurePolicy": "Fail",
        "timeoutSeconds": 1,
    }
    kind = "ValidatingWebhookConfiguration"
    space.cluster.apply(
        {
            "apiVersion": "admissionregistration.k8s.io/v1",
            "kind": kind,
            "metadata": {"name": name},
            "webhooks": [webhook],
        }
    )
    try:
        space.apply(space.build())
        wait_for(
            lambda: space.condition("small", "Ready").get("reason") == "RequestsFailing",
            30,
            "the failing webhook is not in the status",
        )
        assert "dead.example.org" in space.condition("small", "Ready")["message"]
    finally:
        space.cluster.kubectl("delete", kind.lower(), name)
    space.wait_ready(seconds=60)
