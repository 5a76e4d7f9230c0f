"""`icd nodes`, `icd explain` and `icd fabrics` in a real cluster say what the operator says, and name what mends it."""

import json
from collections import Counter
from collections.abc import Iterator
from typing import Any, Final

import pytest
from typer.testing import CliRunner

from e2e.cluster import wait_for
from e2e.rig import Rig
from e2e.situations import SITUATIONS, Situation
from e2e.situations.stage import Stage
from e2e.tests.conftest import staged
from inference_cache.cli.app import build_app

# Words of the first fixes, by situation.
CHOSEN: Final = {
    "GPU of another model": "products",
    "node cordoned": "kubectl uncordon",
    "RDMA resource with no device": "spec.nodeName=",
    "shared plugin on an exclusive node": "netns shared",
    "adapter too slow": "minSpeedGbps",
    "link type not told": "manifests/node-validator",
    "BlueField-3 as plain adapter": "INTERNAL_CPU_OFFLOAD_ENGINE=0",
    "no NUMA zone has GPUs and devices": "noderesourcetopologies",
    "fabric of other namespaces": "/spec/namespaces/-",
    "network of another resource": "k8s.v1.cni.cncf.io/resourceName=",
    "Pod Security refuses IPC_LOCK": "pod-security.kubernetes.io/enforce=privileged",
    "no node with RDMA": "edit icf",
    "client that speaks TCP only": "rdmaDialect",
    "healthy SR-IOV Ethernet": "",
}
_CASES: Final = [item for item in SITUATIONS if item.name in CHOSEN]


@pytest.fixture(scope="module")
def stage(rig: Rig) -> Iterator[Stage]:
    """The chosen situations in one cluster, with an operator that has all optional rights for reading."""
    with staged(rig, _CASES, ("node-evidence", "fabric-reference")) as stage:
        yield stage


@pytest.fixture(autouse=True)
def kubeconfig(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    """The administrator's, as a platform engineer has it."""
    monkeypatch.setenv("KUBECONFIG", str(rig.cluster.kubeconfig))


def _icd(*words: str) -> Any:
    out = CliRunner().invoke(build_app(), [*words, "-o", "json"])
    assert out.exit_code in {0, 1}, out.stderr
    assert out.stdout, out.stderr
    return json.loads(out.stdout)


def _await_verdict(stage: Stage, situation: Situation) -> dict[str, Any]:
    """Return the status once it holds what the situation expects."""
    expected, space = situation.expected, stage.spaces[situation.name]
    space.wait_condition("model", expected.condition, expected.status, expected.reason, seconds=90)
    status: dict[str, Any] = space.get("icd", "model")["status"]
    return status


@pytest.mark.parametrize("situation", _CASES, ids=lambda item: item.name)
def test_nodes_are_judged_as_by_the_operator(stage: Stage, situation: Situation) -> None:
    status = _await_verdict(stage, situation)
    rows = [row for row in _icd("nodes", "model", "-n", situation.slug) if row["candidate"]]
    told = status["nodes"]
    assert len(rows) == told["candidates"]
    assert sum(row["eligible"] for row in rows) == told["eligible"]
    for field, findings in (("ineligible", "findings"), ("withoutRdma", "rdmaFindings")):
        first = Counter(row[findings][0]["reason"] for row in rows if row[findings])
        assert first == {item["reason"]: item["count"] for item in told.get(field, [])}
    if "rdma" in told:
        assert sum(bool(row["rdma"]) for row in rows) == told["rdma"]


@pytest.mark.parametrize("situation", _CASES, ids=lambda item: item.name)
def test_explanation_names_the_cause_and_what_mends_it(stage: Stage, situation: Situation) -> None:
    _await_verdict(stage, situation)
    expected, words = situation.expected, CHOSEN[situation.name]

    def explained() -> dict[str, Any] | None:
        found: dict[str, Any] = _icd("explain", "model", "-n", situation.slug)
        # Pods come and go meanwhile; the cause under test is in the chain, or told beside it.
        causes = {link["reason"] for link in [*found["chain"], *found["others"]]}
        return found if not words or expected.reason in causes else None

    found = wait_for(explained, 30, f"{expected.reason} is not explained", pause=0.5)
    fixes = [found["fix"], *(other["fix"] for other in found["others"])]
    assert words in json.dumps(fixes)
    for reason in (*expected.nodes, *expected.without_rdma):
        link = next(link for link in found["chain"] if link["reason"] == reason)
        assert "for instance" in link["message"]
        assert ": " in link["message"].partition("for instance")[2], "what was seen on the example is told"


def test_fabrics_are_listed_with_what_they_lack(stage: Stage) -> None:
    wanted = {item.fabric_name for item in stage.situations if item.fabric is not None}

    def looked_at() -> list[dict[str, Any]] | None:
        found = [item for item in _icd("fabrics") if item["name"] in wanted]
        return found if len(found) == len(wanted) and all(item["reason"] != "Waiting" for item in found) else None

    found = {item["name"]: item for item in wait_for(looked_at, 60, "a fabric was not looked at", pause=0.5)}
    healthy = next(item for item in stage.situations if item.name == "healthy SR-IOV Ethernet")
    assert found[healthy.fabric_name]["ready"] == "True"
    assert _icd("fabrics", healthy.fabric_name)["unverified"]
