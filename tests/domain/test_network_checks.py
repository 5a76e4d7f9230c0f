"""The condition NetworkReady: what stands in the way of RDMA pods besides the nodes, and which cause is named first."""

from dataclasses import replace
from typing import Any

import pytest

from inference_cache.domain.attachment import Attachment, Network
from inference_cache.domain.fabric.facts import FabricFacts
from inference_cache.domain.fabric.networks import NetworkFacts
from inference_cache.domain.network_checks import (
    NetworkSurroundings,
    check_network_ready,
    describe_attachment,
    list_network_findings,
)
from inference_cache.domain.reasons import Reason
from inference_cache.domain.transport_intent import Finding
from inference_cache.domain.verdict import Truth

VF = "nvidia.com/vf"
_NET = Network("rail-a", "inference", "net1")
_OTHER = Network("rail-b", "inference", "net2")
ATTACHMENT = Attachment("storage", VF, None, 1, (_NET,), per_network=True, link_type=None)
BARE = replace(ATTACHMENT, networks=(), per_network=False)
CLAIM = replace(BARE, fabric=None, resource_name=None, device_class="rdma.example")


def _facts(network: Network = _NET, subnet: str = "192.168.10.0/24") -> NetworkFacts:
    return NetworkFacts(network.namespace, network.name, VF, "sriov", "whereabouts", (subnet,))


FABRIC = FabricFacts("storage", "f", None, Truth.TRUE, Reason.FabricReady)
SEEN = NetworkSurroundings(FABRIC, {("inference", "rail-a"): _facts()}, True, claims_served=True, device_class=True)
_SECURITY = (Reason.PodSecurityBlocked, "Namespace inference enforces baseline.")
_CLIENT = (Reason.ClientWithoutRDMA, "LMCacheS3 speaks TCP only.")
_TWO = replace(ATTACHMENT, networks=(_NET, _OTHER))
_BOTH = {("inference", "rail-a"): _facts(), ("inference", "rail-b"): _facts(_OTHER, "192.168.11.0/24")}

_CASES: dict[str, tuple[Attachment, NetworkSurroundings, Finding | None, Reason | None]] = {
    "all is well": (ATTACHMENT, SEEN, None, None),
    "no network is needed": (BARE, NetworkSurroundings(networks_served=False), None, None),
    "the client speaks TCP only": (ATTACHMENT, SEEN, _CLIENT, Reason.ClientWithoutRDMA),
    "Multus is not installed": (ATTACHMENT, replace(SEEN, networks_served=False), None, Reason.MultusNotInstalled),
    "the network does not exist": (ATTACHMENT, replace(SEEN, networks={}), None, Reason.NetworkNotFound),
    "two networks of one resource and one device": (_TWO, replace(SEEN, networks=_BOTH), None, Reason.TooFewVFsRequested),
    "two networks of one resource and two devices": (replace(_TWO, count=2), replace(SEEN, networks=_BOTH), None, None),
    "two networks of another resource": (
        replace(_TWO, resource_name="rdma/shared"),
        replace(SEEN, networks={key: replace(facts, resource_name=None, cni_type="macvlan") for key, facts in _BOTH.items()}),
        None,
        None,
    ),
    "a network of another namespace may do": (
        replace(ATTACHMENT, networks=(replace(_NET, namespace="networks"),)),
        replace(SEEN, networks={("networks", "rail-a"): _facts(replace(_NET, namespace="networks"))}),
        None,
        None,
    ),
    "Pod Security refuses": (ATTACHMENT, replace(SEEN, pod_security=_SECURITY), None, Reason.PodSecurityBlocked),
    "networks may not be read": (ATTACHMENT, replace(SEEN, networks=None), None, None),
    "no claims are served": (CLAIM, replace(SEEN, claims_served=False), None, Reason.DRANotServed),
    "the DeviceClass is missing": (CLAIM, replace(SEEN, device_class=False), None, Reason.DeviceClassNotFound),
    "nobody knows the DeviceClass yet": (CLAIM, replace(SEEN, device_class=None, claims_served=None), None, None),
    "the network before the namespace": (
        ATTACHMENT,
        replace(SEEN, networks={}, pod_security=_SECURITY),
        None,
        Reason.NetworkNotFound,
    ),
}  # fmt: skip


@pytest.mark.parametrize(("attachment", "seen", "obstacle", "reason"), _CASES.values(), ids=_CASES.keys())
def test_network_when(
    attachment: Attachment, seen: NetworkSurroundings, obstacle: Finding | None, reason: Reason | None
) -> None:
    findings = list_network_findings(attachment, seen, "inference", obstacle)
    assert (findings[0][0] if findings else None) is reason
    verdict = check_network_ready(attachment, findings, seen.fabric)
    assert verdict.status is (Truth.FALSE if reason else Truth.TRUE)
    assert verdict.reason is (reason or Reason.NetworkAttached)
    if reason:
        assert verdict.message.endswith(reason.remedy)


def test_fabric_that_cannot_be_resolved_is_the_cause() -> None:
    verdict = check_network_ready((Reason.FabricNotFound, "InferenceCacheFabric x does not exist."), [], None)
    assert (verdict.status, verdict.reason, verdict.passing) == (Truth.FALSE, Reason.FabricNotFound, False)


_INVALID = {"conditions": [{"type": "SpecValid", "status": "False"}]}
_VALID = {"conditions": [{"type": "SpecValid", "status": "True"}]}


@pytest.mark.parametrize(
    ("reason", "facts"),
    [
        (Reason.FabricRuleBroken, {}),
        (Reason.DeviceClaimedTwice, {}),
        (Reason.FabricForbidden, {"status": _INVALID}),
    ],
)
def test_fabric_that_is_wrong_for_everybody_counts_last_and_may_pass(reason: Reason, facts: dict[str, Any]) -> None:
    broken = replace(FABRIC, ready=Truth.FALSE, reason=reason, message="no policy.", **facts)
    verdict = check_network_ready(ATTACHMENT, [], broken)
    assert (verdict.status, verdict.reason, verdict.passing) == (Truth.FALSE, Reason.FabricNotReady, True)
    assert f"storage: {reason.name}: no policy." in verdict.message
    named = check_network_ready(ATTACHMENT, [_SECURITY], broken)
    assert named.reason is Reason.PodSecurityBlocked
    unknown = replace(FABRIC, ready=Truth.UNKNOWN, reason=Reason.Waiting)
    assert check_network_ready(ATTACHMENT, [], unknown).status is Truth.TRUE


@pytest.mark.parametrize("reason", [Reason.FabricObjectsMissing, Reason.NetworkNotFound, Reason.FabricObjectFaulty])
def test_objects_of_other_namespaces_hold_nobody_back(reason: Reason) -> None:
    broken = replace(FABRIC, ready=Truth.FALSE, reason=reason, message="b/rail does not exist.", status=_VALID)
    verdict = check_network_ready(ATTACHMENT, [], broken)
    assert (verdict.status, verdict.reason) == (Truth.TRUE, Reason.NetworkAttached)
    assert verdict.message.endswith(f"Note: InferenceCacheFabric storage as a whole is not ready ({reason.name}).")
    assert "b/rail" not in verdict.message, "other namespaces are nobody's business"


def test_nobody_joins_a_fabric_that_is_being_deleted() -> None:
    going = replace(FABRIC, deleting=True)
    findings = list_network_findings(ATTACHMENT, replace(SEEN, fabric=going, networks={}), "inference")
    assert [reason for reason, _ in findings] == [Reason.FabricDeleting, Reason.NetworkNotFound]
    assert check_network_ready(ATTACHMENT, findings, going).reason is Reason.FabricDeleting


def test_other_findings_are_counted() -> None:
    assert "1 more findings." in check_network_ready(ATTACHMENT, [_SECURITY, _CLIENT], FABRIC).message


def test_attachment_in_words() -> None:
    assert describe_attachment(_TWO) == (
        "Each pod gets 1 nvidia.com/vf and net1 inference/rail-a, net2 inference/rail-b."
    )
    assert (
        describe_attachment(CLAIM) == "Each pod gets 1 device of DeviceClass rdma.example, and no network of its own."
    )
