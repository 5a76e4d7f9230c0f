"""Remedies for what attaches pods to a fabric: the fabric's name, networks and their addresses, Pod Security, DRA."""

import json
import re
from typing import Final

from inference_cache.domain import names

from .fixes import REMOVED, Command, Fix, Path, Situation, Step, find_field, look
from .rdma_facts import (
    delete_pod,
    edit_fabric,
    find_fabric_name,
    find_resource,
    kubectl_network,
    list_pods_on,
    patch_fabric,
    show_fabric,
)

_KIND: Final = "net-attach-def"
_TRANSPORT: Final[Path] = ("transport",)
_SHOW: Final = ("get", _KIND, "{}", "-o", "yaml")


def _do_without(situation: Situation) -> Fix:
    """Pods run over TCP, with the same objects in the bucket."""
    why = "Reach the store over TCP; objects keep their names, so the cache is kept."
    return Fix(why, (situation.edit((*_TRANSPORT, "policy"), "TCP"),))


def _edit_network(situation: Situation) -> Command:
    return Command(kubectl_network(situation, "edit", _KIND, "{}"))


def mend_absent_fabric(situation: Situation) -> tuple[Fix, ...]:
    """The fabric does not exist."""
    path = (*_TRANSPORT, "fabricRef", "name")
    why = f"There is no InferenceCacheFabric {find_fabric_name(situation)}. Name one that exists, or have the platform team create it."
    listed = look(situation.target.kubectl_cluster("get", "icf"))
    edits = (situation.edit(path, "<FABRIC>"),) if find_field(situation.spec, path) else ()
    return (Fix(why, (listed, *edits)), _do_without(situation))


def mend_fabric(situation: Situation) -> tuple[Fix, ...]:
    """The fabric is not ready."""
    why = f"InferenceCacheFabric {find_fabric_name(situation)} is not ready; its conditions name the cause, and its objects those that are missing or faulty."
    return (Fix(why, (show_fabric(situation),)), _do_without(situation))


def mend_forbidden_fabric(situation: Situation) -> tuple[Fix, ...]:
    """The fabric serves other namespaces."""
    target = situation.target
    name = find_fabric_name(situation)
    served = find_field(situation.fabric or {}, ("spec", "namespaces"))
    if served is None:
        allow = edit_fabric(situation)
    else:
        patch = json.dumps(
            [{"op": "add", "path": "/spec/namespaces/-", "value": target.namespace}], separators=(",", ":")
        )
        allow = Command(target.kubectl_cluster("patch", "icf", name, "--type=json", "-p", patch))
    why = f"InferenceCacheFabric {name} serves other namespaces only. Its owners can add {target.namespace} to spec.namespaces."
    return (Fix(why, (allow,)), _do_without(situation))


def mend_no_multus(situation: Situation) -> tuple[Fix, ...]:
    """Nobody attaches pods to networks."""
    target = situation.target
    why = "Multus attaches pods to further networks, and its CRD is not there. Install Multus, for instance by secondaryNetwork.multus of the NicClusterPolicy."
    steps = (
        look(target.kubectl_cluster("get", "crd", "network-attachment-definitions.k8s.cni.cncf.io")),
        Command(target.kubectl_cluster("edit", "nicclusterpolicy", "nic-cluster-policy")),
    )
    return (Fix(why, steps), _do_without(situation))


def mend_absent_network(situation: Situation) -> tuple[Fix, ...]:
    """A NetworkAttachmentDefinition does not exist."""
    target = situation.target
    listed = look(target.kubectl_cluster("get", _KIND, "-A"))
    own: Step = edit_fabric(situation)
    if find_field(situation.spec, ("transport", "rdma", "networks")):
        own = situation.edit(("transport", "rdma", "networks", 0, "name"), "<NETWORK>")
    name = "Name a NetworkAttachmentDefinition that exists, in the deployment's namespace."
    make = "Have it made: a SriovNetwork, MacvlanNetwork or IPoIBNetwork makes one in its networkNamespace; a fabric in mode Manage does so in each of its namespaces."
    fixes = [Fix(name, (listed, own))]
    if find_field(situation.fabric or {}, ("spec", "mode")) != "Manage":
        kinds = "sriovnetworks,sriovibnetworks,hostdevicenetworks,macvlannetworks,ipoibnetworks"
        fixes.append(Fix(make, (look(target.kubectl_cluster("get", kinds, "-A")),)))
    else:
        why = "The fabric makes its networks itself; its status says what keeps it from doing so."
        fixes.append(Fix(why, (show_fabric(situation),)))
    return (*fixes, _do_without(situation))


def mend_isolation(situation: Situation) -> tuple[Fix, ...]:
    """The network is in another namespace."""
    own = situation.target.namespace
    why = f"Multus with namespaceIsolation refuses networks of other namespaces. Make the same one in {own}: this prints it; change metadata.namespace, leave uid and resourceVersion out, apply it, and name it without namespace."
    steps: list[Step] = [look(kubectl_network(situation, *_SHOW))]
    networks = find_field(situation.spec, ("transport", "rdma", "networks")) or []
    for index, item in enumerate(networks):
        if item.get("namespace") not in {None, own}:
            steps.append(situation.edit(("transport", "rdma", "networks", index, "namespace"), REMOVED))
    if not networks:
        steps.append(edit_fabric(situation))
    return (Fix(why, tuple(steps)),)


def mend_network_config(situation: Situation) -> tuple[Fix, ...]:
    """spec.config is no CNI configuration."""
    why = "spec.config must be a JSON object with cniVersion and type, or with plugins. Whoever made the network (see its ownerReferences) would write it anew, so correct it there."
    show = look(kubectl_network(situation, "get", _KIND, "{}", "-o", "jsonpath={.spec.config}"))
    return (Fix(why, (show, _edit_network(situation))),)


def mend_bound_resource(situation: Situation) -> tuple[Fix, ...]:
    """The network names another resource than pods request."""
    resource = find_resource(situation)
    annotate = kubectl_network(
        situation, "annotate", _KIND, "{}", f"{names.ANNOTATION_NAD_RESOURCE}={resource}", "--overwrite"
    )
    network = f"Bind the network to {resource}. Where another operator made it, set resourceName in its SriovNetwork or HostDeviceNetwork instead: it would write the annotation anew."
    fixes = [Fix(network, (look(kubectl_network(situation, *_SHOW)), Command(annotate)))]
    own = "Request the resource that the network names."
    if find_field(situation.spec, ("transport", "rdma", "resourceName")):
        fixes.append(Fix(own, (situation.edit(("transport", "rdma", "resourceName"), "<RESOURCE>"),)))
    else:
        fixes.append(Fix(own, (patch_fabric(situation, {"resourceName": "<RESOURCE>"}),)))
    return tuple(fixes)


def mend_cni_type(situation: Situation) -> tuple[Fix, ...]:
    """The CNI plugin does not suit the link layer."""
    target = situation.target
    why = "The CNI plugin sriov cannot configure InfiniBand. Replace the SriovNetwork by a SriovIBNetwork of the same name and resource, or use a fabric of type SRIOVInfiniBand."
    steps = (
        look(target.kubectl_cluster("get", "sriovnetworks,sriovibnetworks", "-A")),
        look(kubectl_network(situation, *_SHOW)),
        Command(target.kubectl_cluster("-n", "<NAMESPACE>", "delete", "sriovnetwork", "<NETWORK>")),
    )
    return (Fix(why, steps),)


def mend_macvlan(situation: Situation) -> tuple[Fix, ...]:
    """Macvlan stands on InfiniBand."""
    why = "Macvlan needs an Ethernet interface. On InfiniBand use an IPoIBNetwork, or a fabric of type SharedIPoIB."
    target = situation.target
    steps = (
        look(target.kubectl_cluster("get", "macvlannetworks,ipoibnetworks")),
        look(kubectl_network(situation, *_SHOW)),
        edit_fabric(situation),
    )
    return (Fix(why, steps),)


def mend_ipam(situation: Situation) -> tuple[Fix, ...]:
    """Addresses are given per node, or not at all."""
    why = "Pods of several nodes share the network, so its addresses must come from one place: nv-ipam (an IPPool) or whereabouts (a range). Write ipam where the network is made: SriovNetwork, MacvlanNetwork, IPoIBNetwork, HostDeviceNetwork, or spec.networks[].ipam of the fabric."
    show = look(kubectl_network(situation, "get", _KIND, "{}", "-o", "jsonpath={.spec.config}"))
    pools = look(situation.target.kubectl_cluster("get", "ippools.nv-ipam.nvidia.com", "-A"))
    return (Fix(why, (show, pools, _edit_network(situation))),)


def mend_pool(situation: Situation) -> tuple[Fix, ...]:
    """No address is left."""
    target = situation.target
    nv = "With nv-ipam: status.allocations lists the nodes that have a block. Enlarge spec.subnet, or lower spec.perNodeBlockSize."
    where = "With whereabouts: addresses of pods that are gone may be left over. This lists what is held; enlarge the range, or delete what belongs to no pod."
    return (
        Fix(
            nv,
            (
                look(target.kubectl_cluster("get", "ippools.nv-ipam.nvidia.com", "-A", "-o", "yaml")),
                Command(target.kubectl_cluster("-n", "<NAMESPACE>", "edit", "ippools.nv-ipam.nvidia.com", "<POOL>")),
            ),
        ),
        Fix(
            where,
            (look(target.kubectl_cluster("get", "ippools.whereabouts.cni.cncf.io", "-A", "-o", "yaml")),),
        ),
    )


def mend_rails(situation: Situation) -> tuple[Fix, ...]:
    """Two networks have one subnet."""
    target = situation.target
    columns = "custom-columns=NAMESPACE:.metadata.namespace,NAME:.metadata.name,CONFIG:.spec.config"
    why = "With two interfaces in one subnet the kernel answers from one of them only. Give each network a subnet of its own, on the switches too."
    show = look(target.kubectl_cluster("get", _KIND, "-A", "-o", columns))
    return (Fix(why, (show, _edit_network(situation))),)


def mend_mtu(situation: Situation) -> tuple[Fix, ...]:
    """RoCE cannot use its largest MTU."""
    why = "RoCE packets of 4096 bytes need an MTU of 4200 at least, on interface, network and every switch port between; 9000 is usual."
    steps: list[Step] = [look(kubectl_network(situation, *_SHOW))]
    if find_field(situation.fabric or {}, ("spec", "mode")) == "Manage":
        steps.append(patch_fabric(situation, {"devices": {"mtu": 9000}}))
    else:
        steps.append(_edit_network(situation))
    return (Fix(why, tuple(steps)),)


def mend_device_count(situation: Situation) -> tuple[Fix, ...]:
    """A pod has more networks than devices."""
    networks = find_field(situation.spec, ("transport", "rdma", "networks")) or []
    why = (
        "Each of these networks takes one device of the resource. Without transport.rdma.count a pod gets one for each."
    )
    steps: tuple[Step, ...] = (edit_fabric(situation),)
    if networks:
        steps = (situation.edit(("transport", "rdma", "count"), len(networks)),)
    return (Fix(why, steps),)


def mend_claimed_twice(situation: Situation) -> tuple[Fix, ...]:
    """Two device plugins offer one device."""
    target = situation.target
    columns = "custom-columns=NAME:.metadata.name,RESOURCE:.spec.resourceName,SELECTOR:.spec.nodeSelector,DEVICES:.spec.devices"
    steps = (
        look(target.kubectl_cluster("get", "icf", "-o", columns)),
        look(target.kubectl_cluster("get", "sriovnetworknodepolicies", "-A", "-o", "yaml")),
        edit_fabric(situation),
    )
    name = find_fabric_name(situation)
    if re.search(r"\bfabric\b|InferenceCacheFabric", situation.message) and " makes the resource " in situation.message:
        anew = f"Two fabrics make one resource. In mode Manage type and resourceName of a fabric cannot be changed: save {name}, delete it, and create it again with another resourceName."
        save = look(target.kubectl_cluster("get", "icf", name, "-o", "yaml"))
        return (Fix(anew, (*steps[:1], save, Command(target.kubectl_cluster("delete", "icf", name)))),)
    why = "Two device plugins would give the same device to two pods. Let the selectors differ: by interfaces or device ids, or by nodes where both are of virtual functions."
    return (Fix(why, steps),)


def mend_injected(situation: Situation) -> tuple[Fix, ...]:
    """The pod has the annotation and not the resource."""
    why = "The pod was made or changed by others than the operator, which writes annotation and resource together. Its successor has both."
    show = situation.target.kubectl(
        "get", "pods", "-o", "yaml", "-l", f"{names.LABEL_DEPLOYMENT}={situation.target.name}"
    )
    return (Fix(why, (look(show), delete_pod(situation))),)


def mend_bypass(situation: Situation) -> tuple[Fix, ...]:
    """Multus did not attach the pod."""
    target = situation.target
    status = f"jsonpath={{.metadata.annotations.{names.ANNOTATION_NETWORK_STATUS.replace('.', chr(92) + '.')}}}"
    pods = look(target.kubectl("get", "pods", "-o", "wide", "-l", f"{names.LABEL_DEPLOYMENT}={target.name}"))
    show = look(target.kubectl("get", "pod", f"{target.name}-0", "-o", status))
    why = "The node's container runtime called another network plugin than Multus: its pod does not run there, or its configuration is not the first in /etc/cni/net.d. Mend that, then let the pod be made anew."
    return (Fix(why, (pods, show, list_pods_on(situation, "<NODE>"), delete_pod(situation))),)


def mend_pod_security(situation: Situation) -> tuple[Fix, ...]:
    """Pod Security refuses the right to lock memory."""
    target = situation.target
    label = Command(
        target.kubectl_cluster(
            "label", "namespace", target.namespace, "pod-security.kubernetes.io/enforce=privileged", "--overwrite"
        )
    )
    allow = f"RDMA pins memory, for which the cache server asks for the capability IPC_LOCK; Pod Security of namespace {target.namespace} allows it with level privileged only."
    limit = "Render no capability, on nodes whose container runtime has LimitMEMLOCK=infinity in its systemd unit."
    if "level restricted" in situation.message:
        # Pods without the capability, or for TCP, run as root all the same.
        return (Fix(allow, (label,)),)
    return (
        Fix(allow, (label,)),
        Fix(limit, (situation.edit((*_TRANSPORT, "lockedMemory"), "NodeUnlimited"),)),
        _do_without(situation),
    )


def mend_no_dra(situation: Situation) -> tuple[Fix, ...]:
    """The API server does not serve resource.k8s.io/v1."""
    versions = look(situation.target.kubectl_cluster("api-resources", "--api-group=resource.k8s.io"))
    why = "ResourceClaims of version v1 come with Kubernetes 1.34. Until then request the resource of a device plugin."
    rdma = find_field(situation.spec, ("transport", "rdma"))
    if rdma is None:
        return (Fix(why, (versions,)), _do_without(situation))
    # In one patch: exactly one of the two must be set at any time. A merge patch takes a field away by null.
    edit = situation.edit(("transport", "rdma"), {**rdma, "resourceName": "<RESOURCE>", "deviceClassName": None})
    return (Fix(why, (versions, edit)), _do_without(situation))


def mend_no_slices(situation: Situation) -> tuple[Fix, ...]:
    """No driver offers a matching device."""
    target = situation.target
    steps = (
        look(target.kubectl_cluster("get", "resourceslices")),
        look(target.kubectl_cluster("get", "deviceclasses", "-o", "yaml")),
    )
    why = "No DRA driver offers a device that the class selects. See that the driver runs on the nodes, and that the selectors of the class name attributes which its devices have."
    return (Fix(why, steps), _do_without(situation))


def mend_no_class(situation: Situation) -> tuple[Fix, ...]:
    """The DeviceClass does not exist."""
    target = situation.target
    path = ("transport", "rdma", "deviceClassName")
    listed = look(target.kubectl_cluster("get", "deviceclasses"))
    edits = (situation.edit(path, "<CLASS>"),) if find_field(situation.spec, path) else ()
    return (Fix("Name a DeviceClass that exists, or create it.", (listed, *edits)), _do_without(situation))
