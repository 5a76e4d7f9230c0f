"""The simulator's RDMA pods without Kubernetes: the operator's preflight and launcher, run on made-up machines."""

import asyncio
import json
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from e2e.simulator.attachment import NETWORKS, build_device_variables, build_network_status, pick_host
from e2e.simulator.behaviours import Behaviour
from e2e.simulator.machine import Phase
from e2e.simulator.pod_status import build_status
from e2e.simulator.preflight import PodMachine, RDMAState, run_folder, run_preflight
from e2e.simulator.sandbox import Sandbox
from inference_cache.api.networks import LinkType
from inference_cache.domain.attachment import Attachment, Network, TransportChoice, Variant
from inference_cache.domain.desired import build_desired
from inference_cache.domain.kinds import CONFIG_MAP, STATEFUL_SET
from inference_cache.domain.preflight_report import Evidence, parse_preflight
from inference_cache.domain.reasons import Reason
from tests.support.builders import build_sample_scope

VF = "nvidia.com/storage_vf"
ATTACHMENT = Attachment(
    "storage", VF, None, 1, (Network("rail-a", "inference", "net1"),), per_network=True, link_type=LinkType.ETHERNET
)
NIXL = {"cache.tiers.1.objectStore.rdmaDialect": "Dell", "cache.tiers.0.memory.size": "2Gi"}
_PLUGIN = {"modulePath": "vendor.adapter", "className": "Adapter", "objectNames": "LMCacheS3"}
PLUGIN = {"cache.tiers.1.objectStore.client": "Plugin", "cache.tiers.1.objectStore.plugin": _PLUGIN}


def _build(client: dict[str, Any], attachment: Attachment = ATTACHMENT, *, required: bool = False) -> tuple[Any, Any]:
    """Return ConfigMap data and pod of an RDMA deployment, as the operator renders them."""
    scope = build_sample_scope({**client, "transport": {"rdma": {"resourceName": VF}}})
    scope = replace(scope, transport=TransportChoice(Variant.RDMA, attachment, required))
    manifests = build_desired(scope)
    config = next(item.body for item in manifests if item.kind is CONFIG_MAP and "-config-" in item.name)
    template = next(item.body for item in manifests if item.kind is STATEFUL_SET)["spec"]["template"]
    metadata = {"namespace": "ns", "name": "pod-0", "uid": "u-1", "generation": 1}
    return config["data"], {"metadata": template["metadata"] | metadata, "spec": template["spec"] | {"nodeName": "n"}}


_CASES: dict[str, tuple[RDMAState, dict[str, Any], bool, Variant, Evidence, Reason | None, int]] = {
    "a client that moves bytes proves it": ("proven", NIXL, False, Variant.RDMA, Evidence.PROVEN, None, 0),
    "RDMA that is required is proven": ("proven", NIXL, True, Variant.RDMA, Evidence.PROVEN, None, 0),
    "a vendor's client without proof is trusted": (
        "unproven", PLUGIN, False, Variant.RDMA, Evidence.UNVERIFIED, Reason.RDMATransferUnproven, 0,
    ),
    "NIXL without proof goes over TCP": (
        "unproven", NIXL, False, Variant.TCP, Evidence.NONE, Reason.RDMATransferUnproven, 0,
    ),
    "required RDMA without proof does not start": (
        "unproven", NIXL, True, Variant.NONE, Evidence.NONE, Reason.RDMATransferUnproven, 1,
    ),
    "bytes over TCP": ("silent-tcp", PLUGIN, False, Variant.TCP, Evidence.NONE, Reason.SilentTCPFallback, 0),
    "no device": ("no-device", PLUGIN, False, Variant.TCP, Evidence.NONE, Reason.NoRDMADevice, 0),
    "link down": ("link-down", PLUGIN, False, Variant.TCP, Evidence.NONE, Reason.LinkDown, 0),
    "no address": ("no-address", PLUGIN, False, Variant.TCP, Evidence.NONE, Reason.NoFabricAddress, 0),
}  # fmt: skip


@pytest.mark.parametrize(
    ("state", "client", "required", "transport", "evidence", "reason", "code"), _CASES.values(), ids=_CASES.keys()
)
def test_preflight_meets(
    tmp_path: Path,
    state: RDMAState,
    client: dict[str, Any],
    required: bool,
    transport: Variant,
    evidence: Evidence,
    reason: Reason | None,
    code: int,
) -> None:
    data, _ = _build(client, required=required)
    machine = PodMachine(tmp_path, json.loads(data["transport.json"]), {}, state, 7)
    found, message = run_preflight(machine)
    report = parse_preflight(message)
    assert report is not None
    assert (report.transport, report.evidence, report.reason, found) == (transport, evidence, reason, code)
    choice = run_folder(tmp_path) / "l2-adapter.json"
    assert choice.exists() is (code == 0)
    if code == 0:
        assert json.loads(choice.read_text())["transport"] == transport


@pytest.mark.parametrize("link", [LinkType.ETHERNET, LinkType.INFINIBAND, None])
@pytest.mark.parametrize("networks", [0, 1, 2])
def test_every_kind_of_fabric_is_found_healthy(tmp_path: Path, link: LinkType | None, networks: int) -> None:
    attached = tuple(Network(f"rail-{n}", "inference", f"net{n + 1}") for n in range(networks))
    attachment = replace(ATTACHMENT, networks=attached, link_type=link, count=max(1, networks))
    data, pod = _build(NIXL, attachment)
    config = json.loads(data["transport.json"])
    variables = build_device_variables(next(i for i in pod["spec"]["initContainers"] if i["name"] == "preflight"))
    code, message = run_preflight(PodMachine(tmp_path, config, variables, "proven", 7))
    report = parse_preflight(message)
    assert report is not None
    assert (code, report.transport, report.evidence) == (0, Variant.RDMA, Evidence.PROVEN), message
    assert len(report.interfaces) == networks


def _build_sandbox(folder: Path, client: dict[str, Any], behaviour: Behaviour, *, required: bool = False) -> Sandbox:
    data, pod = _build(client, required=required)
    sandbox = Sandbox(pod, default_start_seconds=0.0, time_scale=0.0, folder=folder)
    sandbox.config = data
    for container in sandbox.machine.containers:
        sandbox.environments[container.name] = {"AWS_ACCESS_KEY_ID": "A", "AWS_SECRET_ACCESS_KEY": "hidden"}
    sandbox.show(behaviour)
    return sandbox


async def _settle(sandbox: Sandbox) -> dict[str, Any]:
    """Move a pod until its preflight has ended, and return its status."""
    woken = asyncio.Event()
    sandbox.woken = woken.set
    sandbox.machine.advance(time.time(), sandbox.behaviour)
    await asyncio.wait_for(woken.wait(), 20)
    sandbox.machine.advance(time.time(), sandbox.behaviour)
    return build_status(sandbox.pod, sandbox.machine, "1.1.1.1", "2.2.2.2", time.time())


async def test_pod_starts_with_the_adapter_that_its_preflight_chose(tmp_path: Path) -> None:
    sandbox = _build_sandbox(tmp_path, NIXL, Behaviour())
    status = await _settle(sandbox)
    ended = next(item for item in status["initContainerStatuses"] if item["name"] == "preflight")["state"]["terminated"]
    report = parse_preflight(ended["message"])
    assert report is not None
    assert (ended["exitCode"], report.transport) == (0, Variant.RDMA)
    assert sandbox.cache is not None
    (adapter,) = sandbox.cache.arguments.adapters
    assert (adapter.kind, adapter.options["backend_params"]["accelerated"]) == ("nixl_native", "true")
    assert status["phase"] == "Running"


async def test_object_names_are_the_same_after_a_fall_back(tmp_path: Path) -> None:
    names = set()
    for number, state in enumerate(("proven", "no-device")):
        sandbox = _build_sandbox(tmp_path / str(number), NIXL, Behaviour(rdma=state))
        await _settle(sandbox)
        assert sandbox.cache is not None
        (adapter,) = sandbox.cache.arguments.adapters
        names.add(adapter.name_object("/models/fp/model@01000100@0@abc"))
    assert len(names) == 1


async def test_pod_that_requires_rdma_crashes_in_its_preflight_and_starts_no_server(tmp_path: Path) -> None:
    sandbox = _build_sandbox(tmp_path, NIXL, Behaviour(rdma="no-device"), required=True)
    status = await _settle(sandbox)
    preflight = next(item for item in status["initContainerStatuses"] if item["name"] == "preflight")
    assert preflight["lastState"]["terminated"]["exitCode"] == 1
    report = parse_preflight(preflight["lastState"]["terminated"]["message"])
    assert report is not None
    assert report.reason is Reason.NoRDMADevice
    cache = next(item for item in sandbox.machine.containers if item.name == "cache")
    assert (cache.phase, cache.runs) == (Phase.WAITING, 0)


def test_launcher_without_a_choice_is_refused(tmp_path: Path) -> None:
    sandbox = _build_sandbox(tmp_path, NIXL, Behaviour())
    cache = next(item for item in sandbox.machine.containers if item.name == "cache")
    with pytest.raises(Exception, match="the container preflight must have ended well"):
        cache.build()


def test_multus_tells_interfaces_addresses_and_devices() -> None:
    networks = [{"name": "rail-a", "namespace": "ns", "interface": "net1"}]
    pod = {"metadata": {"uid": "u-1", "annotations": {NETWORKS: json.dumps(networks)}}}
    text = build_network_status(pod, "127.16.1.2")
    assert text is not None
    default, attached = json.loads(text)
    assert (default["default"], attached["name"], attached["interface"]) == (True, "ns/rail-a", "net1")
    assert attached["ips"] == [f"192.168.10.{pick_host('u-1')}"]
    assert build_network_status({"metadata": {"uid": "u-1"}}, "127.16.1.2") is None


def test_device_plugin_names_functions_but_for_shared_devices() -> None:
    limits = {VF: "2", "rdma/shared": "1", "nvidia.com/gpu": "8", "memory": "1Gi"}
    assert build_device_variables({"resources": {"limits": limits}}) == {
        "PCIDEVICE_NVIDIA_COM_STORAGE_VF": "0000:17:00.2,0000:17:00.3"
    }
