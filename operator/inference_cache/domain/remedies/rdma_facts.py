"""What remedies for RDMA need to know of fabric and networks, and the looks at nodes that several of them share."""

import json
import re
import shlex
from typing import Any, Final

from inference_cache.domain import names

from .fixes import Command, Situation, find_field, look

_SOME_FABRIC: Final = "<FABRIC>"
_SOME_NETWORK: Final = "<NETWORK>"
_SOME_RESOURCE: Final = "<RESOURCE>"
_HELPER_IMAGE: Final = "busybox:1"


def find_fabric_name(situation: Situation) -> str:
    """Return the InferenceCacheFabric that the spec refers to, or what stands for its name."""
    return find_field(situation.spec, ("transport", "fabricRef", "name")) or _SOME_FABRIC


def find_resource(situation: Situation) -> str:
    """Return the extended resource that RDMA pods request, or what stands for its name."""
    own = find_field(situation.spec, ("transport", "rdma", "resourceName"))
    return own or find_field(situation.fabric or {}, ("spec", "resourceName")) or _SOME_RESOURCE


def find_network(situation: Situation) -> tuple[str, str]:
    """Return namespace and name of the network that the message names, of the first one where it names none."""
    own = situation.target.namespace
    networks = [
        (item.get("namespace") or own, item["name"])
        for item in find_field(situation.spec, ("transport", "rdma", "networks")) or []
    ]
    spec: dict[str, Any] = find_field(situation.fabric or {}, ("spec",)) or {}
    for item in spec.get("networks") or []:
        made = spec.get("mode") == "Manage"
        networks.append((own, f"{item['name']}-{own}") if made else (item.get("namespace") or own, item["name"]))
    told = (item for item in networks if re.search(rf"(?<![-\w.]){re.escape(item[1])}(?![-\w])", situation.message))
    return next(told, networks[0] if networks else (own, _SOME_NETWORK))


def kubectl_network(situation: Situation, *words: str) -> str:
    """Return a command line about a network; `{}` among the words stands for its name."""
    namespace, name = find_network(situation)
    told = (name if word == "{}" else word for word in words)
    return situation.target.kubectl_cluster("-n", namespace, *told)


def patch_fabric(situation: Situation, spec: dict[str, Any]) -> Command:
    """Return the command that writes fields of the fabric's spec."""
    patch = json.dumps({"spec": spec}, separators=(",", ":"))
    words = ("patch", "icf", find_fabric_name(situation), "--type=merge", "-p", patch)
    return Command(situation.target.kubectl_cluster(*words))


def show_fabric(situation: Situation) -> Command:
    """Return the look at the fabric's conditions, objects and events."""
    return look(situation.target.kubectl_cluster("describe", "icf", find_fabric_name(situation)))


def edit_fabric(situation: Situation) -> Command:
    """Return the command that opens the fabric in an editor."""
    return Command(situation.target.kubectl_cluster("edit", "icf", find_fabric_name(situation)))


def show_matrix(situation: Situation) -> Command:
    """Return the look at what each node has and misses."""
    target = situation.target
    return look(shlex.join(["icd", "nodes", target.name, "-n", target.namespace, *target.flags]))


def show_resource(situation: Situation) -> Command:
    """Return the look at how many devices each node advertises."""
    path = find_resource(situation).replace(".", "\\.")
    columns = f"custom-columns=NODE:.metadata.name,DEVICES:.status.allocatable.{path}"
    return look(situation.target.kubectl_cluster("get", "nodes", "-o", columns))


def show_report(situation: Situation, node: str) -> Command:
    """Return the look at what the node validator probed on a node."""
    return look(situation.target.kubectl_cluster("get", "ncr", node, "-o", "yaml"))


def show_node_state(situation: Situation, node: str) -> Command:
    """Return the look at what the SR-IOV network operator says of a node."""
    words = ("get", "sriovnetworknodestates", "-A", f"--field-selector=metadata.name={node}", "-o", "yaml")
    return look(situation.target.kubectl_cluster(*words))


def show_adapters(situation: Situation) -> Command:
    """Return the look at what the NIC configuration operator says of all adapters."""
    columns = (
        "NODE:.status.node,TYPE:.status.type,MODEL:.status.modelName,FIRMWARE:.status.firmwareVersion,DPU:.status.dpu"
    )
    return look(situation.target.kubectl_cluster("get", "nicdevices", "-A", "-o", f"custom-columns={columns}"))


def list_pods_on(situation: Situation, node: str) -> Command:
    """Return the look at a node's pods, among which are those of device plugins and drivers."""
    words = ("get", "pods", "-A", "-o", "wide", f"--field-selector=spec.nodeName={node}")
    return look(situation.target.kubectl_cluster(*words))


def read_log(situation: Situation) -> Command:
    """Return the look at the log of a pod that the person picks from a list."""
    return look(situation.target.kubectl_cluster("-n", "<NAMESPACE>", "logs", "<POD>", "--tail=100"))


def restart_pod(situation: Situation) -> Command:
    """Return the deletion of a DaemonSet's pod that the person picks from a list."""
    return Command(situation.target.kubectl_cluster("-n", "<NAMESPACE>", "delete", "pod", "<POD>"))


def run_on_node(situation: Situation, node: str, *words: str) -> Command:
    """Return a command that runs on the node itself, from a privileged pod that has to be deleted afterwards."""
    pod = ("debug", f"node/{node}", "--profile=sysadmin", f"--image={_HELPER_IMAGE}", "-it")
    return Command(situation.target.kubectl_cluster(*pod, "--", "chroot", "/host", *words))


def read_preflight(situation: Situation) -> Command:
    """Return the look at what the preflight of a pod wrote: of the pod that the message names, or of the first."""
    target = situation.target
    told = re.search(rf"\b{re.escape(target.name)}-\d+\b", situation.message)
    pod = told[0] if told else f"{target.name}-0"
    return look(target.kubectl("logs", pod, "-c", names.PREFLIGHT_CONTAINER))


def delete_pod(situation: Situation) -> Command:
    """Return the deletion of the pod that the message names, or of the first; its successor tries again."""
    target = situation.target
    told = re.search(rf"\b{re.escape(target.name)}-\d+\b", situation.message)
    return Command(target.kubectl("delete", "pod", told[0] if told else f"{target.name}-0"))
