"""`icd explain` and `icd nodes` against answers of an API server: what they read, what they show, how they fail."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner, Result

from inference_cache.cli.app import build_app
from inference_cache.domain import names
from inference_cache.domain.reasons import Reason
from inference_cache.domain.summary import Outcome, summarize
from inference_cache.domain.verdict import ConditionType, bad
from tests.support.api_server import DEPLOYMENTS, ApiServer, Query, build_list, build_status, serve
from tests.support.builders import build_sample_scope, build_spec, load_sample

NAME = "nemotron-70b"
TEAM = "/api/v1/namespaces/team"
LEASE = f"/apis/coordination.k8s.io/v1/namespaces/inference-cache-system/leases/{names.LEASE_NAME}"


@pytest.fixture
def api(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ApiServer]:
    with serve() as server:
        monkeypatch.setenv("KUBECONFIG", str(server.write_kubeconfig(tmp_path / "config", namespace="team")))
        server.answers |= {
            f"{DEPLOYMENTS}/{NAME}": (200, _deployment()),
            f"{TEAM}/pods": (200, build_list()),
            f"{TEAM}/events": (200, build_list()),
            "/api/v1/nodes": (200, build_list(_node("n1"))),
            "/api/v1/pods": (200, build_list()),
        }
        yield server


def _run(*words: str) -> Result:
    return CliRunner().invoke(build_app(), list(words))


def _deployment(name: str = NAME) -> dict[str, Any]:
    lost = bad(ConditionType.CREDENTIALS_READY, Reason.SecretNotFound, "Secret kv-nemotron does not exist.")
    status = summarize(Outcome(name, 1, build_sample_scope(), (lost,)), None, "2026-01-01T00:00:00Z")
    metadata = {"name": name, "namespace": "team", "generation": 1, "creationTimestamp": "2026-01-01T00:00:00Z"}
    return {"metadata": metadata, "spec": build_spec(), "status": status}


def _node(name: str, product: str = "NVIDIA-H200", **spec: Any) -> dict[str, Any]:
    labels = {
        names.GPU_PRODUCT_LABEL: product,
        "nvidia.com/gpu.memory": "143771",
        "nvidia.com/cuda.driver-version.major": "580",
    }
    allocatable = {"nvidia.com/gpu": "8", "memory": "2Ti", "cpu": "192"}
    conditions = [{"type": "Ready", "status": "True"}]
    return {
        "metadata": {"name": name, "labels": labels},
        "spec": spec,
        "status": {"allocatable": allocatable, "conditions": conditions},
    }


def test_explanation_reads_only_and_never_a_secret(api: ApiServer) -> None:
    out = _run("explain", NAME, "-o", "json")
    assert out.exit_code == 1, out.stderr
    found = json.loads(out.stdout)
    assert (found["state"], found["cause"]) == ("Broken", "SecretNotFound")
    assert found["fix"][0]["steps"][0]["command"].startswith("kubectl -n team create secret generic kv-nemotron ")
    assert {method for method, _ in api.seen} == {"GET"}
    assert not any("secrets" in path for _, path in api.seen)
    assert yaml.safe_load(_run("explain", NAME, "-o", "yaml").stdout) == found


def test_text_leads_from_the_state_to_the_command(api: ApiServer) -> None:
    text = _run("explain", NAME).stdout
    assert text.startswith(
        "team/nemotron-70b: Broken\nnemotron-70b is not ready because of SecretNotFound (no pods run).\n"
    )
    assert "\n  Ready is False: SecretNotFound\n    because CredentialsReady is False: SecretNotFound\n" in text
    assert "\nFix\n" in text
    assert (
        "\n    kubectl -n team create secret generic kv-nemotron '--from-literal=AWS_ACCESS_KEY_ID=<ACCESS_KEY>'"
        in text
    )
    assert text.count("Secret kv-nemotron does not exist. Create it") == 1, "the same message is shown once"
    assert api.seen


def test_flags_that_choose_the_cluster_are_printed_with_the_commands(
    api: ApiServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("KUBECONFIG")
    path = api.write_kubeconfig(tmp_path / "other")
    out = _run("explain", NAME, "-n", "team", "--kubeconfig", str(path), "--context", "local", "-o", "json")
    command = json.loads(out.stdout)["fix"][0]["steps"][0]["command"]
    assert command.startswith(f"kubectl --kubeconfig {path} --context local -n team create secret")


@pytest.mark.parametrize("words", [("-A",), ()], ids=["all namespaces", "one namespace"])
def test_all_deployments_are_listed_page_by_page(api: ApiServer, words: tuple[str, ...]) -> None:
    def list_page(query: Query) -> tuple[int, Any]:
        first = "continue" not in query
        return 200, build_list(_deployment("first" if first else "second"), token="more" if first else "")

    path = "/apis/inferencecache.io/v1alpha1/inferencecachedeployments" if words else DEPLOYMENTS
    api.answers[path] = list_page
    out = _run("explain", *words, "-o", "json")
    assert out.exit_code == 1
    assert [(item["name"], item["cause"]) for item in json.loads(out.stdout)] == [
        ("first", "SecretNotFound"),
        ("second", "SecretNotFound"),
    ]
    table = [line.split()[:4] for line in _run("explain", *words).stdout.splitlines()]
    assert table[:2] == [["NAMESPACE", "NAME", "STATE", "CAUSE"], ["team", "first", "Broken", "SecretNotFound"]]


def test_what_the_user_may_not_read_is_said_and_the_rest_is_explained(api: ApiServer) -> None:
    for path in ("/api/v1/nodes", LEASE):
        api.answers[path] = (403, build_status(403, "Forbidden", 'User "me" cannot list resource'))
    found = json.loads(_run("explain", NAME, "-o", "json").stdout)
    assert found["cause"] == "SecretNotFound"
    assert len(found["notRead"]) == 2
    assert any("you may not list nodes" in line for line in found["notRead"])


_ALL = "/apis/inferencecache.io/v1alpha1/inferencecachedeployments"


def _plan(tmp_path: Path, *namespaces: str | None) -> Result:
    bodies: list[dict[str, Any]] = []
    for number, namespace in enumerate(namespaces):
        body = load_sample()
        body["metadata"] = {"name": f"{NAME}-{number}" if number else NAME}
        body["metadata"] |= {"namespace": namespace} if namespace else {}
        bodies.append(body)
    file = tmp_path / "x.yaml"
    file.write_text(yaml.safe_dump_all(bodies), encoding="utf-8")
    return _run("plan", "-f", str(file), "-o", "json")


def test_plan_with_rights_in_namespaces_alone_says_what_it_does_not_show(api: ApiServer, tmp_path: Path) -> None:
    api.answers[_ALL] = (403, build_status(403, "Forbidden", "cannot list at the cluster scope"))
    api.answers[DEPLOYMENTS] = (200, build_list(_deployment()))
    other = DEPLOYMENTS.replace("/team/", "/other/")
    api.answers[other] = (200, build_list())
    out = _plan(tmp_path, None, "other")
    assert out.exit_code == 0, out.stderr
    first, second = json.loads(out.stdout)
    # What is not marked as new was found in the cluster.
    assert (first["exists"], second["exists"]) == (True, False)
    for item in (first, second):
        assert any("Sharing with deployments of other namespaces is not shown" in text for text in item["notes"])
    assert {path for _, path in api.seen if path.endswith("/inferencecachedeployments")} == {_ALL, DEPLOYMENTS, other}


def test_plan_without_any_right_to_list_fails_in_one_line(api: ApiServer, tmp_path: Path) -> None:
    for path in (_ALL, DEPLOYMENTS):
        api.answers[path] = (403, build_status(403, "Forbidden", f"cannot list {path}"))
    out = _plan(tmp_path, None)
    assert (out.exit_code, out.stdout) == (1, "")
    assert f"you may not list inferencecachedeployments: cannot list {DEPLOYMENTS}" in out.stderr


def test_plan_with_rights_everywhere_lists_once(api: ApiServer, tmp_path: Path) -> None:
    api.answers[_ALL] = (200, build_list(_deployment()))
    out = _plan(tmp_path, None)
    assert "is not shown" not in out.stdout
    assert [path for _, path in api.seen if path.endswith("/inferencecachedeployments")] == [_ALL]


def test_pods_and_events_of_others_are_left_out(api: ApiServer) -> None:
    def event(kind: str, name: str) -> dict[str, Any]:
        return {"involvedObject": {"kind": kind, "name": name}, "reason": "BackOff", "message": f"about {name}"}

    api.answers[f"{TEAM}/events"] = (
        200,
        build_list(
            event("Pod", f"{NAME}-0"),
            event("Pod", f"{NAME}-extra-0"),
            event("Pod", "web-0"),
            event("StatefulSet", NAME),
        ),
    )
    text = "\n".join(json.loads(_run("explain", NAME, "-o", "json").stdout)["evidence"])
    assert f"Pod/{NAME}-0" in text
    assert f"StatefulSet/{NAME}" in text
    assert "extra" not in text
    assert "web" not in text


LEASES = {
    "nobody ran": (None, "no operator has run there"),
    "given up": ({"holderIdentity": "", "renewTime": None}, "no operator leads"),
    "long ago": ({"holderIdentity": "op-1", "renewTime": "2020-01-01T00:00:00.000000Z"}, "no operator leads any more"),
    "just now": ({"holderIdentity": "op-1", "renewTime": "2999-01-01T00:00:00.000000Z"}, "so an operator leads"),
}


@pytest.mark.parametrize("case", LEASES)
def test_deployment_that_nobody_saw_is_explained_with_the_lease(api: ApiServer, case: str) -> None:
    spec, words = LEASES[case]
    body = _deployment()
    del body["status"]
    api.answers[f"{DEPLOYMENTS}/{NAME}"] = (200, body)
    if spec is not None:
        api.answers[LEASE] = (200, {"spec": spec})
    found = json.loads(_run("explain", NAME, "-o", "json").stdout)
    assert found["state"] == "NotSeen"
    assert words in "\n".join(found["evidence"])


FAILURES: dict[str, tuple[tuple[int, Any], str]] = {
    "no such deployment": ((404, build_status(404, "NotFound", "not found")), "there is no deployment nemotron-70b in namespace team"),
    "no CRD": ((404, "404 page not found\n"), "the cluster does not know inferencecachedeployments.inferencecache.io. Install"),
    "no credentials": ((401, build_status(401, "Unauthorized", "Unauthorized")), "does not accept the credentials of context local. Log in again"),
    "no rights": ((403, build_status(403, "Forbidden", 'User "me" cannot get resource')), "you may not get inferencecachedeployments nemotron-70b: User"),
    "an outage": ((503, build_status(503, "ServiceUnavailable", "etcd is down")), "503 etcd is down"),
    "no JSON": ((200, "<html>a login page</html>"), "answers, but not as an API server does"),
}  # fmt: skip


@pytest.mark.parametrize("command", ["explain", "nodes"])
@pytest.mark.parametrize("case", FAILURES)
def test_failure_is_one_line_with_what_to_do(api: ApiServer, case: str, command: str) -> None:
    answer, words = FAILURES[case]
    api.answers[f"{DEPLOYMENTS}/{NAME}"] = answer
    out = _run(command, NAME)
    assert (out.exit_code, out.stdout) == (1, "")
    assert out.stderr.startswith("Error: ")
    assert words in out.stderr
    assert out.stderr.count("\n") == 1


def test_unreachable_server_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with serve() as server:
        path = server.write_kubeconfig(tmp_path / "config")
    monkeypatch.setenv("KUBECONFIG", str(path))
    out = _run("nodes")
    assert (out.exit_code, out.stdout) == (1, "")
    assert f"the API server {server.url} cannot be reached" in out.stderr
    assert "Traceback" not in out.stderr


def test_context_without_a_cluster_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "config"
    path.write_text(
        yaml.safe_dump(
            {"current-context": "x", "contexts": [{"name": "x", "context": {"cluster": "gone", "user": "gone"}}]}
        )
    )
    monkeypatch.setenv("KUBECONFIG", str(path))
    out = _run("nodes")
    assert out.exit_code == 1
    assert "context x is not usable" in out.stderr


def test_nodes_are_read_in_pages_and_shown_with_their_facts(api: ApiServer) -> None:
    def list_page(query: Query) -> tuple[int, Any]:
        assert int(query["limit"]) <= 500
        if "continue" not in query:
            return 200, build_list(_node("n2"), token="more")
        return 200, build_list(_node("n1", unschedulable=True))

    api.answers["/api/v1/nodes"] = list_page
    lines = _run("nodes").stdout.splitlines()
    assert lines[0].split() == ["NODE", "READY", "SCHEDULABLE", "GPU", "COUNT", "GPU-MIB", "DRIVER", "MEMORY-GIB"]
    assert lines[1].split() == ["n1", "yes", "no", "NVIDIA-H200", "8", "143771", "580", "2048"]
    assert lines[2].split()[0] == "n2"


def test_nodes_are_judged_by_a_deployment(api: ApiServer) -> None:
    tainted = _node("tainted", taints=[{"key": "team", "value": "search", "effect": "NoSchedule"}])
    bare = _node("bare")
    del bare["status"]["allocatable"]["nvidia.com/gpu"]
    api.answers["/api/v1/nodes"] = (200, build_list(_node("good"), _node("h100", "NVIDIA-H100-PCIe"), tainted, bare))
    out = _run("nodes", NAME, "-o", "json")
    found = {row["node"]: (row["candidate"], row["eligible"], row["cause"]) for row in json.loads(out.stdout)}
    assert found == {
        "good": (True, True, ""),
        "h100": (True, False, "GPUProductMismatch"),
        "tainted": (False, False, "taint team=search:NoSchedule is not tolerated"),
        "bare": (True, False, "GPUNotAdvertised"),
    }
    table = _run("nodes", NAME)
    assert "4 nodes: 1 eligible" in table.stderr
    assert "GPUProductMismatch" in table.stdout


def test_long_labels_do_not_break_the_table(api: ApiServer) -> None:
    api.answers["/api/v1/nodes"] = (200, build_list(_node("n" * 200, "P" * 63)))
    assert max(map(len, _run("nodes").stdout.splitlines())) < 220


def test_nodes_by_a_deployment_with_an_invalid_spec(api: ApiServer) -> None:
    body = _deployment()
    body["spec"]["replicas"] = -1
    api.answers[f"{DEPLOYMENTS}/{NAME}"] = (200, body)
    out = _run("nodes", NAME)
    assert out.exit_code == 1
    assert f"icd explain {NAME} -n team" in out.stderr
