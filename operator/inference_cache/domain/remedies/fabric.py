"""Remedies for an InferenceCacheFabric itself: its objects, its nodes, and who else claims them."""

from typing import Final

from inference_cache.domain import names

from .fixes import Command, Fix, Situation, find_field, look
from .rdma_facts import edit_fabric, find_fabric_name, patch_fabric, show_fabric, show_resource

_MADE: Final = "sriovnetworknodepolicies,sriovnetworks,sriovibnetworks,hostdevicenetworks,macvlannetworks,ipoibnetworks"


def mend_missing_objects(situation: Situation) -> tuple[Fix, ...]:
    """Objects that the fabric refers to do not exist."""
    create = "status.objects lists them with state Missing. Whoever owns the network set-up creates them."
    manage = "Let the operator make them: mode Manage, which needs spec.devices, spec.namespaces and spec.networks, and for SR-IOV spec.nodeDrain: Acknowledged."
    return (Fix(create, (show_fabric(situation),)), Fix(manage, (edit_fabric(situation),)))


def mend_faulty_object(situation: Situation) -> tuple[Fix, ...]:
    """Another controller says that an object is not ready."""
    why = "An object of the fabric exists, and its own controller reports a fault. Its status and that controller's log say which."
    return (
        Fix(why, (show_fabric(situation), look(situation.target.kubectl_cluster("get", _MADE, "-A", "-o", "yaml")))),
    )


def mend_missing_crd(situation: Situation) -> tuple[Fix, ...]:
    """The operator that would carry the fabric out is not installed."""
    target = situation.target
    groups = ("sriovnetwork.openshift.io", "mellanox.com", "k8s.cni.cncf.io")
    looks = tuple(look(target.kubectl_cluster("api-resources", f"--api-group={group}")) for group in groups)
    why = "SRIOVEthernet and SRIOVInfiniBand need the SR-IOV network operator, HostDevice the NVIDIA network operator, and all types Multus. This lists what is served."
    return (Fix(why, (*looks, show_fabric(situation))),)


def mend_conflict(situation: Situation) -> tuple[Fix, ...]:
    """Somebody else manages a field."""
    owner = "The message names object, field and manager. Take the field out of the other one's manifest; the operator then applies it."
    reference = "Leave the object to the other one, and let the fabric only check."
    show = look(
        situation.target.kubectl_cluster("get", "nicclusterpolicies", "-o", "yaml", "--show-managed-fields=true")
    )
    return (Fix(owner, (show_fabric(situation), show)), Fix(reference, (edit_fabric(situation),)))


def mend_drain(situation: Situation) -> tuple[Fix, ...]:
    """Nobody has agreed that nodes are drained."""
    agree = "A SriovNetworkNodePolicy makes the SR-IOV network operator drain the nodes of the fabric one after the other, and it may reboot them. Agree when that is fine."
    nodes = find_field(situation.fabric or {}, ("spec", "nodeSelector")) or {}
    selector = ",".join(f"{key}={value}" for key, value in sorted(nodes.items()))
    words = ("get", "nodes", *(("-l", selector) if selector else ()))
    other = "Write the policy yourself, and let the fabric only check (mode Reference)."
    return (
        Fix(
            agree,
            (
                look(situation.target.kubectl_cluster(*words)),
                patch_fabric(situation, {"nodeDrain": "Acknowledged"}),
            ),
        ),
        Fix(other, (edit_fabric(situation),)),
    )


def mend_use(situation: Situation) -> tuple[Fix, ...]:
    """Pods use what is to be deleted."""
    target = situation.target
    columns = "custom-columns=NAMESPACE:.metadata.namespace,NAME:.metadata.name,FABRIC:.spec.transport.fabricRef.name"
    pods = f"{names.LABEL_COMPONENT}={names.COMPONENT_ENGINE},{names.LABEL_TRANSPORT}=RDMA"
    why = "Take transport out of the deployments that refer to the fabric, or delete them. Its objects go when no pod uses them."
    steps = (
        look(target.kubectl_cluster("get", "icd", "-A", "-o", columns)),
        look(target.kubectl_cluster("get", "pods", "-A", "-l", pods)),
    )
    return (Fix(why, steps),)


def mend_rule(situation: Situation) -> tuple[Fix, ...]:
    """An operator would refuse what the fabric asks for."""
    why = "The operators that carry the fabric out would refuse it, or ignore a part; the message names field and rule. Correct the field."
    return (Fix(why, (show_fabric(situation), edit_fabric(situation))),)


def mend_no_nodes(situation: Situation) -> tuple[Fix, ...]:
    """The selector matches no node."""
    target = situation.target
    selector: dict[str, str] = find_field(situation.fabric or {}, ("spec", "nodeSelector")) or {}
    flags = [word for key in sorted(selector) for word in ("-L", key)]
    labels = [f"{key}={value}" for key, value in sorted(selector.items())]
    steps = [look(target.kubectl_cluster("get", "nodes", *flags)), edit_fabric(situation)]
    fixes = [Fix("Correct spec.nodeSelector.", tuple(steps))]
    if labels:
        label = Command(target.kubectl_cluster("label", "node", "<NODE>", *labels))
        fixes.append(Fix("Label the nodes that belong to the fabric.", (label,)))
    return tuple(fixes)


def show_progress(situation: Situation) -> tuple[Fix, ...]:
    """The fabric goes when nobody uses it."""
    why = f"InferenceCacheFabric {find_fabric_name(situation)} is being deleted. Its finalizer stays until no pod uses its objects."
    return (Fix(why, (show_fabric(situation), show_resource(situation))),)
