"""Remedies for an InferenceCacheFabric itself: its objects, its nodes, and who else claims them."""

import json
import re
from typing import Final

from inference_cache.domain import names

from .fixes import Command, Fix, Situation, find_field, look
from .rdma_facts import edit_fabric, find_fabric_name, patch_fabric, show_fabric, show_resource

NOT_OF_FABRIC: Final = "was not made for this fabric"
"""By these words of its message a taken name is told to be one of a fabric."""
_TAKEN: Final = re.compile(r"(\w+) (?:([-.\w]+)/)?([-.\w]+) exists and was not made")
_HELD: Final = re.compile(r"\b(spec(?:\.\w+)+) belongs to ")
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
    owner = "The message names object, field and manager. Take the field out of the other one's manifest first, or it comes back, and then out of the object, unless its tool does that; the operator then applies its own. The resources of all entries in a config go with it, so give each a fabric or keep mode Reference."
    reference = "Leave the object to the other one, and let the fabric only check."
    show = look(
        situation.target.kubectl_cluster("get", "nicclusterpolicies", "-o", "yaml", "--show-managed-fields=true")
    )
    held = _HELD.findall(situation.message) or ["spec.<SECTION>.config"]
    patch = json.dumps([{"op": "remove", "path": f"/{path.replace('.', '/')}"} for path in held], separators=(",", ":"))
    words = ("patch", "nicclusterpolicies.mellanox.com", "nic-cluster-policy", "--type=json", "-p", patch)
    remove = Command(situation.target.kubectl_cluster(*words))
    return (Fix(owner, (show_fabric(situation), show, remove)), Fix(reference, (edit_fabric(situation),)))


def mend_taken_name(situation: Situation) -> tuple[Fix, ...]:
    """An object of a name that the fabric wants was not made for it."""
    match = _TAKEN.search(situation.message)
    kind, namespace, name = (match[1].lower(), match[2], match[3]) if match else ("<KIND>", None, "<NAME>")
    place, target = (("-n", namespace) if namespace else ()), situation.target
    show = look(target.kubectl_cluster(*place, "get", kind, name, "-o", "yaml"))
    labels = (
        f"{names.LABEL_FABRIC}={find_fabric_name(situation)}",
        f"{names.LABEL_MANAGED_BY}={names.FIELD_MANAGER}",
    )
    label = Command(target.kubectl_cluster(*place, "label", kind, name, *labels, "--overwrite"))
    delete = Command(target.kubectl_cluster(*place, "delete", kind, name))
    return (
        Fix("If the operator made it and somebody changed its labels, put them back.", (show, label)),
        Fix("If somebody else made it and nobody needs it, delete it; the operator makes its own.", (show, delete)),
        Fix("If it is needed, give the fabric's network another name.", (edit_fabric(situation),)),
    )


def mend_absent_namespace(situation: Situation) -> tuple[Fix, ...]:
    """A namespace does not exist."""
    match = re.search(r"[Nn]amespace ([-\w]+) (?:of spec|does)", situation.message)
    target = situation.target
    listed = look(target.kubectl_cluster("get", "namespaces"))
    create = Command(target.kubectl_cluster("create", "namespace", match[1] if match else "<NAMESPACE>"))
    return (
        Fix("Create the namespace; the fabric's networks follow by themselves.", (listed, create)),
        Fix("Or take it out of spec.namespaces of the fabric.", (edit_fabric(situation),)),
    )


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
