"""The commands on a cluster with RDMA: golden texts, facts with their sources, fabrics in files, and what cannot be read.

The golden texts are written anew by `UPDATE_RDMA=1 uv run pytest tests/cli/test_rdma_commands.py`; read the difference.
"""

import json
import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import pytest
import yaml
from typer.testing import CliRunner, Result

from e2e.situations.machines import ABSENT, SHARED_RESOURCE, VF_RESOURCE, Adapter, Machine, build_machine
from inference_cache.cli.app import build_app
from inference_cache.domain import names
from inference_cache.domain.reasons import Reason
from inference_cache.domain.summary import Outcome, summarize
from inference_cache.domain.verdict import ConditionType, Truth, Verdict, ok
from inference_cache.domain.workload_state import WorkloadState
from tests.support.api_server import DEPLOYMENTS, ApiServer, build_list, build_status, serve
from tests.support.builders import ROOT, build_sample_scope, build_spec, load_sample

NAME: Final = "nemotron-70b"
GOLDEN: Final = Path(__file__).parent / "rdma"
SAMPLES: Final = ROOT / "manifests" / "samples"
_LISTS: Final = {
    "Node": "/api/v1/nodes",
    "NicDevice": "/apis/configuration.net.nvidia.com/v1alpha1/nicdevices",
    "SriovNetworkNodeState": "/apis/sriovnetwork.openshift.io/v1/sriovnetworknodestates",
    "NodeResourceTopology": "/apis/topology.node.k8s.io/v1alpha2/noderesourcetopologies",
    "NodeCapabilityReport": "/apis/inferencecache.io/v1alpha1/nodecapabilityreports",
}
_FABRICS: Final = "/apis/inferencecache.io/v1alpha1/inferencecachefabrics"
_BLUEFIELD: Final = Adapter(device_id="a2dc", model="BlueField-3", firmware="32.41.1000", dpu=True)
MACHINES: Final = {
    "gpu-0": Machine(report={}, zones=({"nvidia.com/gpu": 4, VF_RESOURCE: 8}, {"nvidia.com/gpu": 4, VF_RESOURCE: 8})),
    "gpu-1": Machine(allocatable={VF_RESOURCE: "0"}),
    "gpu-2": Machine(allocatable={VF_RESOURCE: ABSENT}, adapter=None),
    "gpu-3": Machine(adapter=_BLUEFIELD, report={}, report_age=7200),
    "gpu-4": Machine(adapter=replace(Adapter(), speed="100000 Mb/s"), unschedulable=True),
}
_CHANGES: Final[dict[str, Any]] = {
    "transport": {"fabricRef": {"name": "storage"}},
    "cache.tiers.1.objectStore.client": "Plugin",
    "cache.tiers.1.objectStore.plugin": {"modulePath": "vendor.s3", "className": "A", "objectNames": "LMCacheS3"},
    "nodes.requirements.rdma": {"minSpeedGbps": 200},
}


@pytest.fixture
def api(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ApiServer]:
    """A cluster with five machines, of which NicDevice, SriovNetworkNodeState, topology and report tell; no DPF, no DRA."""
    objects = [item for name, machine in MACHINES.items() for item in build_machine(name, "x", machine, {})]
    for item in objects:
        if item["kind"] == "Node":
            item["status"]["conditions"] = [{"type": "Ready", "status": "True"}]
    with serve() as server:
        monkeypatch.setenv("KUBECONFIG", str(server.write_kubeconfig(tmp_path / "config", namespace="team")))
        server.answers |= {
            path: (200, build_list(*(item for item in objects if item["kind"] == kind)))
            for kind, path in _LISTS.items()
        }
        server.answers |= {
            f"{DEPLOYMENTS}/{NAME}": (200, _deployment()),
            f"{_FABRICS}/storage": (200, _fabric()),
            _FABRICS: (200, build_list(_fabric())),
            "/api/v1/pods": (200, build_list(_pod())),
            "/api/v1/namespaces/team/pods": (200, build_list()),
            "/api/v1/namespaces/team/events": (200, build_list()),
        }
        yield server


def _run(*words: str) -> Result:
    return CliRunner().invoke(build_app(), list(words))


def _deployment() -> dict[str, Any]:
    degraded = Verdict(
        ConditionType.TRANSPORT_DEGRADED,
        Truth.TRUE,
        Reason.RDMAPartial,
        "2 of 2 pods need a place with RDMA, and 1 fit. See status.nodes.withoutRdma for the others.",
    )
    checks = (ok(ConditionType.NODES_ELIGIBLE, Reason.NodesAvailable),)
    running = ok(ConditionType.WORKLOAD_AVAILABLE, Reason.PodsReady)
    state = WorkloadState(True, True, 2, 2, 2, 2)
    outcome = Outcome(NAME, 1, build_sample_scope(), checks, running, state, notes=(degraded,))
    status = summarize(outcome, None, "2026-01-01T00:00:00Z")
    status["nodes"] = {
        "candidates": 5,
        "eligible": 4,
        "rdma": 1,
        "withoutRdma": [
            {"reason": "RDMAResourceZero", "count": 1, "examples": ["gpu-1"]},
            {"reason": "RDMAResourceNotAdvertised", "count": 1, "examples": ["gpu-2"]},
        ],
    }
    status["transport"] = {"decision": "TCP", "effective": "TCP", "evidence": "None"}
    metadata = {"name": NAME, "namespace": "team", "generation": 1, "creationTimestamp": "2026-01-01T00:00:00Z"}
    return {"metadata": metadata, "spec": build_spec(_CHANGES), "status": status}


def _fabric() -> dict[str, Any]:
    conditions = [
        {"type": "Ready", "status": "False", "reason": "FabricObjectsMissing", "message": "NetworkAttachmentDefinition team/rail-b does not exist. Create them, or set mode to Manage."},
        {"type": "Stalled", "status": "True", "reason": "FabricObjectsMissing", "message": "The same."},
        {"type": "ObjectsReady", "status": "False", "reason": "FabricObjectsMissing", "message": "NetworkAttachmentDefinition team/rail-b does not exist."},
        {"type": "NodesReady", "status": "True", "reason": "FabricNodesReady", "message": "3 of 5 nodes."},
    ]  # fmt: skip
    stamps = {"lastTransitionTime": "2026-01-01T00:00:00Z", "observedGeneration": 1}
    kind = "NetworkAttachmentDefinition"
    return {
        "metadata": {"name": "storage", "uid": "u", "resourceVersion": "1", "generation": 1},
        "spec": {
            "mode": "Reference",
            "type": "SRIOVEthernet",
            "resourceName": VF_RESOURCE,
            "networks": [{"name": "rail-a"}, {"name": "rail-b"}],
        },
        "status": {
            "observedGeneration": 1,
            "conditions": [item | stamps for item in conditions],
            "nodes": {
                "selected": 5,
                "ready": 3,
                "faulty": [{"reason": "RDMAResourceZero", "count": 2, "examples": ["gpu-1", "gpu-2"]}],
            },
            "objects": [
                {"kind": kind, "namespace": "team", "name": "rail-b", "state": "Missing", "reason": "NetworkNotFound"},
                {"kind": kind, "namespace": "team", "name": "rail-a", "state": "Present"},
            ],
            "deployments": 1,
            "unverified": ["That bytes go over RDMA: the preflight of each pod tells"],
        },
    }


def _pod() -> dict[str, Any]:
    """An RDMA pod of some deployment on gpu-0, which holds two devices."""
    devices = {"nvidia.com/gpu": "1", VF_RESOURCE: "2"}
    return {
        "metadata": {
            "name": "other-0",
            "namespace": "elsewhere",
            "uid": "p",
            "resourceVersion": "1",
            "labels": {names.LABEL_DEPLOYMENT: "other", names.LABEL_TRANSPORT: "RDMA"},
        },
        "spec": {"nodeName": "gpu-0", "containers": [{"name": "engine", "resources": {"requests": devices}}]},
        "status": {"phase": "Running"},
    }


TEXTS: Final = {
    "nodes": ("nodes",),
    "nodes-of-a-deployment": ("nodes", NAME),
    "explain": ("explain", NAME),
    "fabrics": ("fabrics",),
    "fabric": ("fabrics", "storage"),
}


@pytest.mark.parametrize("case", TEXTS)
def test_text_is_the_golden_one(api: ApiServer, case: str) -> None:
    out = _run(*TEXTS[case])
    assert out.exception is None or isinstance(out.exception, SystemExit), out.exception
    text = f"{out.stdout}---- exit code {out.exit_code}, standard error:\n{out.stderr}".replace(api.url, "URL")
    golden = GOLDEN / f"{case}.txt"
    if os.environ.get("UPDATE_RDMA"):
        golden.write_text(text, encoding="utf-8")
    assert golden.read_text(encoding="utf-8") == text
    assert {method for method, _ in api.seen} == {"GET"}


def test_every_fact_is_shown_with_its_source(api: ApiServer) -> None:
    assert api.answers
    rows = {row["node"]: row for row in json.loads(_run("nodes", NAME, "-o", "json").stdout)}
    first = rows["gpu-0"]
    port = first["adapters"][0]
    assert (port["pci"], port["model"], port["linkType"], port["speedGbps"], port["linkUp"]) == (
        "0000:17:00.0", "ConnectX-7", "Ethernet", 200, True,
    )  # fmt: skip
    assert (port["toldBy"]["linkUp"], port["toldBy"]["totalVfs"]) == ("NodeCapabilityReport", "SriovNetworkNodeState")
    assert first["devices"] == [
        {"resource": VF_RESOURCE, "allocatable": 16, "usedByEnginePods": 2},
        {"resource": SHARED_RESOURCE, "allocatable": 63, "usedByEnginePods": 0},
    ]
    assert [zone["available"]["nvidia.com/gpu"] for zone in first["numaZones"]] == [4, 4]
    assert first["sources"] == {
        "NodeCapabilityReport": "Tells",
        "NicDevice": "Tells",
        "SriovNetworkNodeState": "Tells",
        "NodeResourceTopology": "Tells",
        "ResourceSlice": "NotServed",
        "DPU": "NotServed",
    }
    assert rows["gpu-3"]["sources"]["NodeCapabilityReport"] == "Stale"
    assert rows["gpu-3"]["adapters"][0]["dpuMode"] == "DPU"
    assert {"resource": VF_RESOURCE, "allocatable": None, "usedByEnginePods": 0} in rows["gpu-2"]["devices"]
    assert {name: (row["eligible"], row["rdma"]) for name, row in rows.items()} == {
        "gpu-0": (True, True),
        "gpu-1": (True, False),
        "gpu-2": (True, False),
        "gpu-3": (True, True),
        "gpu-4": (False, False),
    }
    (finding,) = [item for item in rows["gpu-1"]["rdmaFindings"] if item["reason"] == "RDMAResourceZero"]
    assert finding["source"] == "Node"
    assert finding["detail"].startswith(f"0 {VF_RESOURCE} by Node")


def test_sources_that_may_not_be_read_are_named_and_the_rest_is_shown(api: ApiServer) -> None:
    refused = (403, build_status(403, "Forbidden", 'User "me" cannot list'))
    api.answers |= {_LISTS["NicDevice"]: refused, "/api/v1/pods": refused}
    out = _run("nodes", NAME, "-o", "json")
    rows = json.loads(out.stdout)
    assert {row["sources"]["NicDevice"] for row in rows} == {"NotReadable"}
    assert rows[0]["devices"][0]["usedByEnginePods"] is None
    told = _run("nodes").stderr
    assert 'Not read: NicDevice: you may not list nicdevices: User "me" cannot list' in told
    assert "Devices that engine pods hold were not counted" in told
    found = json.loads(_run("explain", NAME, "-o", "json").stdout)
    assert any(line.startswith("NicDevice: you may not list") for line in found["notRead"])


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        ((404, build_status(404, "NotFound", "not found")), "there is no InferenceCacheFabric storage"),
        ((403, build_status(403, "Forbidden", "cannot get")), "the fabric could not be read: you may not get"),
    ],
    ids=["absent", "forbidden"],
)
def test_without_the_fabric_rdma_is_not_judged(api: ApiServer, answer: tuple[int, Any], words: str) -> None:
    api.answers[f"{_FABRICS}/storage"] = answer
    out = _run("nodes", NAME)
    assert words in out.stderr
    assert "RDMA" not in out.stdout.splitlines()[0].split()
    rows = json.loads(_run("nodes", NAME, "-o", "json").stdout)
    assert {row["rdma"] for row in rows} == {None}


def test_object_that_nobody_can_read_is_passed_over(api: ApiServer) -> None:
    broken = {"metadata": {"name": "gpu-0"}, "report": {"probedAt": "yesterday", "devices": 3}}
    api.answers[_LISTS["NodeCapabilityReport"]] = (200, build_list(broken))
    rows = {row["node"]: row for row in json.loads(_run("nodes", "-o", "json").stdout)}
    assert rows["gpu-0"]["sources"]["NodeCapabilityReport"] == "Silent"


def test_explanation_for_programs_leads_to_the_nodes(api: ApiServer) -> None:
    assert api.answers
    found = json.loads(_run("explain", NAME, "-o", "json").stdout)
    assert (found["state"], found["cause"]) == ("Degraded", "RDMAPartial")
    assert [(link["subject"], link["reason"]) for link in found["chain"]] == [
        ("Ready", "Ready"),
        ("TransportDegraded", "RDMAPartial"),
        ("Nodes", "RDMAResourceZero"),
        ("Nodes", "RDMAResourceNotAdvertised"),
    ]
    assert "gpu-1: 0 nvidia.com/storage_vf by Node" in found["chain"][2]["message"]


def test_ready_fabric_ends_well(api: ApiServer) -> None:
    body = _fabric()
    body["status"]["conditions"][0] |= {"status": "True", "reason": "FabricReady"}
    api.answers |= {f"{_FABRICS}/storage": (200, body), _FABRICS: (200, build_list(body))}
    for words in (("fabrics",), ("fabrics", "storage")):
        assert _run(*words).exit_code == 0
    found = json.loads(_run("fabrics", "storage", "-o", "json").stdout)
    assert (found["ready"], found["fix"], found["nodes"]["ready"]) == ("True", [], 3)


def test_fabric_that_changed_since_its_status_is_not_known_to_be_ready(api: ApiServer) -> None:
    body = _fabric()
    body["metadata"]["generation"] = 2
    api.answers[f"{_FABRICS}/storage"] = (200, body)
    out = _run("fabrics", "storage", "-o", "json")
    found = json.loads(out.stdout)
    assert (out.exit_code, found["ready"], found["reason"], found["fix"]) == (1, "Unknown", "Waiting", [])


def test_fabric_that_does_not_exist_is_named(api: ApiServer) -> None:
    assert api.answers
    out = _run("fabrics", "absent")
    assert (out.exit_code, out.stdout) == (1, "")
    assert "there is no InferenceCacheFabric absent. icd fabrics lists them." in out.stderr


class TestFiles:
    """Fabrics and transport without a cluster."""

    def _write(self, folder: Path, *bodies: dict[str, Any]) -> str:
        path = folder / "x.yaml"
        path.write_text(yaml.safe_dump_all(bodies), encoding="utf-8")
        return str(path)

    def _build_fabric(self, **spec: Any) -> dict[str, Any]:
        body: dict[str, Any] = yaml.safe_load((SAMPLES / "fabric-shared-macvlan.yaml").read_text(encoding="utf-8"))
        body["metadata"]["name"] = "storage"
        body["spec"] |= {"namespaces": ["team"], **spec}
        return body

    def _build_deployment(self, **transport: Any) -> dict[str, Any]:
        body = load_sample()
        body["metadata"]["namespace"] = "team"
        body["spec"] = build_spec({**_CHANGES, "transport": {"fabricRef": {"name": "storage"}, **transport}})
        if transport.get("policy") == "TCP":
            del body["spec"]["nodes"]["requirements"]["rdma"]
        return body

    def test_samples_are_accepted_in_silence(self) -> None:
        out = _run("lint", "-f", str(SAMPLES))
        assert (out.exit_code, out.stdout) == (0, "")
        assert "2 fabrics read, 0 with violations" in out.stderr

    BAD: Final[dict[str, tuple[dict[str, Any], str]]] = {
        "a rule of the API": ({"mode": "Reference"}, "devices must be set in mode Manage only"),
        "a rule of the operators": ({"type": "SRIOVEthernet", "resourceName": "nvidia.com/vf", "devices": {"deviceIds": ["101e"], "virtualFunctions": 8}, "networks": [{"name": "a", "ipam": {"type": "DHCP"}}]}, "FabricRuleBroken"),
        "a small MTU": ({"devices": {"interfaces": ["ens3f0np0", "ens3f1np1"], "mtu": 1500}}, "MTUTooSmall"),
    }  # fmt: skip

    @pytest.mark.parametrize("case", BAD)
    def test_violation_of_a_fabric_is_told(self, tmp_path: Path, case: str) -> None:
        spec, words = self.BAD[case]
        path = self._write(tmp_path, self._build_fabric(**spec))
        out = _run("lint", "-f", path)
        assert out.exit_code == 1
        assert out.stdout.startswith(f"{path}:")
        assert words in out.stdout
        assert _run("render", "-f", path).exit_code == 1
        assert json.loads(_run("lint", "-f", path, "-o", "json").stdout)["fabrics"] == 1

    def test_fabric_and_deployment_of_one_name_are_no_twins(self, tmp_path: Path) -> None:
        fabric = self._build_fabric()
        fabric["metadata"]["name"] = NAME
        assert _run("lint", "-f", self._write(tmp_path, fabric, self._build_deployment())).exit_code == 0

    @pytest.mark.parametrize(
        ("words", "kinds"),
        [
            ((), ["MacvlanNetwork", "MacvlanNetwork", "NicClusterPolicy"]),
            (("--plain",), ["ConfigMap", "DaemonSet", "NetworkAttachmentDefinition", "NetworkAttachmentDefinition"]),
        ],
        ids=["NVIDIA network operator", "Multus alone"],
    )
    def test_managed_fabric_is_rendered(self, tmp_path: Path, words: tuple[str, ...], kinds: list[str]) -> None:
        out = _run("render", "-f", self._write(tmp_path, self._build_fabric()), *words, "-o", "json")
        assert sorted(item["kind"] for item in json.loads(out.stdout)["items"]) == kinds

    def test_pods_get_what_the_fabric_of_the_files_gives(self, tmp_path: Path) -> None:
        path = self._write(tmp_path, self._build_fabric(), self._build_deployment())
        found = yaml.safe_load_all(_run("render", "-f", path).stdout)
        template = next(item for item in found if item["kind"] == "StatefulSet")["spec"]["template"]
        networks = json.loads(template["metadata"]["annotations"]["k8s.v1.cni.cncf.io/networks"])
        assert [(item["name"], item["interface"]) for item in networks] == [
            ("rail-a-team", "net1"),
            ("rail-b-team", "net2"),
        ]
        for words in (("--transport", "TCP"), ()):
            alone = self._write(tmp_path, self._build_deployment())
            text = _run("render", "-f", alone, *words).stdout
            assert "preflight" not in text, "without the fabric nobody knows what pods would get"

    def test_required_rdma_is_rendered_even_where_the_fabric_is_not_known(self, tmp_path: Path) -> None:
        out = _run("render", "-f", self._write(tmp_path, self._build_deployment(policy="RequireRDMA")))
        assert "name: preflight" in out.stdout
        assert "The fabric is not among the files" in out.stderr

    def test_plan_shows_the_transport_and_that_a_switch_keeps_the_cache(self, tmp_path: Path) -> None:
        old = tmp_path / "old.yaml"
        old.write_text(yaml.safe_dump(self._build_deployment(policy="TCP")), encoding="utf-8")
        path = self._write(tmp_path, self._build_fabric(), self._build_deployment())
        found = json.loads(_run("plan", "-f", path, "--against", str(old), "-o", "json").stdout)
        assert found["changeClass"] == "Rolling"
        assert found["fingerprint"]["before"] == found["fingerprint"]["after"]
        assert found["transport"] == {
            "policy": "Auto",
            "variant": "RDMA",
            "required": False,
            "cause": None,
            "attachment": "Each pod gets 1 rdma/storage and net1 team/rail-a-team, net2 team/rail-b-team.",
            "running": None,
        }
        text = _run("plan", "-f", path, "--against", str(old)).stdout
        assert "  Store:  RDMA, or TCP where nodes or fabric cannot; objects have the same names on both." in text
        assert "- Store: RDMA" in _run("plan", "-f", path, "--offline", "-o", "markdown").stdout

    def test_plan_warns_of_what_is_in_the_way_of_rdma(self, tmp_path: Path) -> None:
        body = self._build_deployment()
        del body["spec"]["cache"]["tiers"][1]["objectStore"]["plugin"]
        body["spec"]["cache"]["tiers"][1]["objectStore"]["client"] = "Auto"
        found = json.loads(
            _run("plan", "-f", self._write(tmp_path, self._build_fabric(), body), "--offline", "-o", "json").stdout
        )
        assert found["transport"]["cause"]["reason"] == "ClientWithoutRDMA"
        assert any("ClientWithoutRDMA is in its way" in text for text in found["warnings"])

    def test_plan_of_a_deployment_without_rdma_says_nothing_of_it(self, tmp_path: Path) -> None:
        path = self._write(tmp_path, load_sample())
        assert json.loads(_run("plan", "-f", path, "--offline", "-o", "json").stdout)["transport"] is None
        assert "Store:" not in _run("plan", "-f", path, "--offline").stdout


def test_plan_with_a_cluster_judges_nodes_for_rdma(api: ApiServer, tmp_path: Path) -> None:
    api.answers["/apis/inferencecache.io/v1alpha1/inferencecachedeployments"] = (200, build_list(_deployment()))
    body = load_sample()
    body["metadata"]["namespace"] = "team"
    body["spec"] = build_spec({**_CHANGES, "transport": {"policy": "RequireRDMA", "fabricRef": {"name": "storage"}}})
    body["spec"]["nodes"]["requirements"]["rdma"]["minSpeedGbps"] = 400
    path = tmp_path / "x.yaml"
    path.write_text(yaml.safe_dump(body), encoding="utf-8")
    found = json.loads(_run("plan", "-f", str(path), "-o", "json").stdout)
    (check,) = [item for item in found["checks"] if item["condition"] == "NodesEligible"]
    assert (check["status"], check["reason"]) == ("False", "NoEligibleNodes")
    assert "NICSpeedTooLow" in check["message"]
    assert found["transport"]["running"] == "TCP"
