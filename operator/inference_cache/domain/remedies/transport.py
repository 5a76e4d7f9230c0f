"""Remedies for the way to the store: who can speak RDMA, and what a pod's preflight found."""

from typing import Any, Final

from inference_cache.api.quantities import GIB
from inference_cache.domain import names

from .fixes import REMOVED, Fix, Path, Situation, Step, find_field, look
from .rdma_facts import delete_pod, edit_fabric, list_pods_on, read_preflight, show_matrix
from .store_facts import find_store

_TRANSPORT: Final[Path] = ("transport",)
_SOME_NODE: Final = "<NODE>"


def wait_for_preflight(situation: Situation) -> tuple[Fix, ...]:
    """Pods have not told yet."""
    why = "Each pod tells when its preflight has ended, which is seconds after its network is attached. If it lasts, the preflight says where it stands."
    return (Fix(why, (read_preflight(situation),)),)


def mend_recovery(situation: Situation) -> tuple[Fix, ...]:
    """RDMA is back and pods are still on TCP."""
    pods = situation.target.kubectl(
        "get", "pods", "-L", names.LABEL_TRANSPORT, "-l", f"{names.LABEL_DEPLOYMENT}={situation.target.name}"
    )
    if find_field(situation.spec, (*_TRANSPORT, "recovery")) == "Immediate":
        return (
            Fix("The operator replaces the pods on TCP one by one, as transport.recovery is Immediate.", (look(pods),)),
        )
    wait = "Pods that restart take RDMA up by themselves. Restart those on TCP one by one when it suits; the cache in the bucket is kept."
    now = "Let the operator replace them one by one, now and in future."
    return (
        Fix(wait, (look(pods), delete_pod(situation))),
        Fix(now, (situation.edit((*_TRANSPORT, "recovery"), "Immediate"),)),
    )


def mend_client(situation: Situation) -> tuple[Fix, ...]:
    """The client of the store speaks TCP only."""
    store = find_store(situation)
    tcp = "Say that TCP is wanted, so that nothing is reported."
    fixes = []
    if store is not None:
        why = "LMCache's own S3 client speaks TCP only. NIXL speaks RDMA to stores of a dialect that it knows, in an image whose LMCache was built with it; the cache begins cold, as NIXL names objects otherwise. For other stores use client Plugin with the vendor's adapter."
        steps = (situation.edit((*store[0], "client"), "NIXL"), situation.edit((*store[0], "rdmaDialect"), "Dell"))
        fixes.append(Fix(why, steps))
    return (*fixes, Fix(tcp, (situation.edit((*_TRANSPORT, "policy"), "TCP"),)))


def mend_registration(situation: Situation) -> tuple[Fix, ...]:
    """The memory tier is registered in one piece."""
    tiers: list[dict[str, Any]] = find_field(situation.spec, ("cache", "tiers")) or []
    steps: tuple[Step, ...] = tuple(
        situation.edit(("cache", "tiers", i, "memory", "size"), f"{4 * GIB // GIB - 1}Gi")
        for i, tier in enumerate(tiers)
        if "memory" in tier
    )
    tcp = "Keep the memory tier and reach the store over TCP."
    why = "NIXL's engine of this dialect takes 4 GiB at most. A smaller memory tier holds fewer contexts; client Plugin has no such limit."
    return (Fix(why, steps), Fix(tcp, (situation.edit((*_TRANSPORT, "policy"), "TCP"),)))


def mend_no_store(situation: Situation) -> tuple[Fix, ...]:
    """RDMA has nothing to carry."""
    tiers: list[dict[str, Any]] = find_field(situation.spec, ("cache", "tiers")) or []
    add = "RDMA carries the object store tier, and there is none. Add it, as docs/api.md shows."
    drop = "Take transport out."
    # What is asked of adapters needs a transport, so it goes first.
    paths: tuple[Path, ...] = tuple(("nodes", "requirements", part) for part in ("rdma", "dpu"))
    asked = tuple(situation.edit(path, REMOVED) for path in paths if find_field(situation.spec, path) is not None)
    store = {"objectStore": {"endpoint": "<ENDPOINT>", "region": "<REGION>", "bucket": {"name": "<BUCKET>"}}}
    return (
        Fix(add, (situation.edit(("cache", "tiers", len(tiers)), store),)),
        Fix(drop, (*asked, situation.edit(_TRANSPORT, REMOVED))),
    )


def mend_preflight(situation: Situation) -> tuple[Fix, ...]:
    """The preflight crashed."""
    why = "The preflight of the pod ended without a verdict, which it should never do. Its log has the cause; report it with the operator's version."
    return (Fix(why, (read_preflight(situation),)), _fall_back(situation))


def _fall_back(situation: Situation) -> Fix:
    required = find_field(situation.spec, (*_TRANSPORT, "policy")) == "RequireRDMA"
    if required:
        why = "Serve over TCP where RDMA fails; objects keep their names."
        return Fix(why, (situation.edit((*_TRANSPORT, "policy"), "Auto"),))
    why = "Pods without RDMA serve over TCP meanwhile. Say that TCP is wanted, if RDMA is not to come back."
    return Fix(why, (situation.edit((*_TRANSPORT, "policy"), "TCP"),))


def mend_no_device(situation: Situation) -> tuple[Fix, ...]:
    """The pod can open no device."""
    why = "The device plugin gave the pod no device that it can open: the plugin restarted, or a driver was being loaded. See what the preflight found, and let the pod be made anew when the plugin is well."
    node = situation.target.kubectl(
        "get", "pods", "-o", "wide", "-l", f"{names.LABEL_DEPLOYMENT}={situation.target.name}"
    )
    steps = (read_preflight(situation), look(node), list_pods_on(situation, _SOME_NODE), delete_pod(situation))
    return (Fix(why, steps), _fall_back(situation))


def mend_no_gid(situation: Situation) -> tuple[Fix, ...]:
    """The device has no address in the pod."""
    why = "RoCE needs an interface of the device within the pod. Attach a secondary network of the same port; with shared devices a MacvlanNetwork whose master is the physical function."
    own: Step = edit_fabric(situation)
    if find_field(situation.spec, ("transport", "rdma")):
        own = situation.edit(("transport", "rdma", "networks"), [{"name": "<NETWORK>"}])
    return (Fix(why, (read_preflight(situation), own)), _fall_back(situation))


def mend_variable(situation: Situation) -> tuple[Fix, ...]:
    """A variable of the user leads UCX astray."""
    path = ("engine", "extraEnv")
    listed: list[dict[str, Any]] = find_field(situation.spec, path) or []
    kept = [item for item in listed if not str(item.get("name", "")).startswith("UCX_")]
    why = "UCX finds devices, transports and GIDs by itself, and the operator pins what has to be pinned. Take the UCX_ variables out, of the image too if they are set there."
    steps: list[Step] = [read_preflight(situation)]
    if len(kept) != len(listed):
        steps.append(situation.edit(path, kept or REMOVED))
    return (Fix(why, tuple(steps)),)


def mend_ambiguity(situation: Situation) -> tuple[Fix, ...]:
    """It is not clear which device carries the store's traffic."""
    why = "With shared devices a pod sees every adapter of the node, and nothing tells which one is the network's. Let each network carry one device: a fabric of type SRIOVEthernet, SRIOVInfiniBand or HostDevice; or keep one network and restrict the device plugin to its interface."
    return (Fix(why, (read_preflight(situation), edit_fabric(situation))), _fall_back(situation))


def mend_no_address(situation: Situation) -> tuple[Fix, ...]:
    """The interface has no address."""
    target = situation.target
    key = names.ANNOTATION_NETWORK_STATUS.replace(".", "\\.")
    status = look(target.kubectl("get", "pod", f"{target.name}-0", "-o", f"jsonpath={{.metadata.annotations.{key}}}"))
    pools = look(target.kubectl_cluster("get", "ippools.nv-ipam.nvidia.com", "-A", "-o", "yaml"))
    why = "The network was attached without an address: it has no ipam, or its pool is empty. This shows what the pod got, and the pools of nv-ipam."
    return (Fix(why, (read_preflight(situation), status, pools)), _fall_back(situation))


def mend_memlock(situation: Situation) -> tuple[Fix, ...]:
    """The processes may not pin enough memory."""
    node = "Lift the limit on the node: LimitMEMLOCK=infinity for the container runtime's unit (systemctl edit containerd), restart the runtime, then let the pod be made anew."
    show = (read_preflight(situation), delete_pod(situation))
    fixes = [Fix(node, show)]
    if find_field(situation.spec, (*_TRANSPORT, "lockedMemory")) == "NodeUnlimited":
        lock = "Let the cache server lock memory by the capability IPC_LOCK; the namespace's Pod Security must be privileged."
        fixes.append(Fix(lock, (situation.edit((*_TRANSPORT, "lockedMemory"), "IPCLock"),)))
    return (*fixes, _fall_back(situation))


def mend_capability(situation: Situation) -> tuple[Fix, ...]:
    """IPC_LOCK is not effective for a user other than root."""
    limit = "Kubernetes gives capabilities to root only. Lift the limit on the nodes instead: LimitMEMLOCK=infinity for the container runtime's unit, and say so."
    root = "Use an engine image whose user is root."
    return (
        Fix(limit, (read_preflight(situation), situation.edit((*_TRANSPORT, "lockedMemory"), "NodeUnlimited"))),
        Fix(root, (situation.edit(("engine", "image"), "<IMAGE>"),)),
        _fall_back(situation),
    )


def mend_unproven(situation: Situation) -> tuple[Fix, ...]:
    """No bytes went over RDMA."""
    auto = "Devices, links and addresses are as they should be, and no bytes were seen to go over RDMA. The preflight says what it tried. Counters of a shared physical function do not tell pods apart; SR-IOV does."
    return (Fix(auto, (read_preflight(situation), show_matrix(situation))), _fall_back(situation))


def mend_admission(situation: Situation) -> tuple[Fix, ...]:
    """The kubelet refused a pod."""
    target = situation.target
    failed = look(target.kubectl("get", "pods", "--field-selector=status.phase=Failed", "-o", "wide"))
    by_plugin, by_zones = (word in situation.message for word in ("UnexpectedAdmissionError", "TopologyAffinityError"))
    fixes = []
    if by_zones or not by_plugin:
        numa = "TopologyAffinityError: no NUMA zone of that node had all devices free. Require nodes of which that is known, or let devices lie in several zones (excludeTopology: true in the SriovNetworkNodePolicy)."
        edit = situation.edit(("nodes", "requirements", "numa"), {"alignment": "SingleZone"})
        fixes.append(Fix(numa, (failed, edit)))
    if by_plugin or not by_zones:
        plugin = "UnexpectedAdmissionError: a device plugin was not ready, as after a restart of the node or its kubelet. The operator deletes such pods at a bounded rate, and new ones take their place; if it goes on, see the plugin's pod on that node."
        fixes.append(Fix(plugin, (failed, list_pods_on(situation, _SOME_NODE))))
    return tuple(fixes)


def mend_unavailable(situation: Situation) -> tuple[Fix, ...]:
    """Too few nodes can carry RDMA, and nobody names them."""
    return (
        Fix("This shows what each node has and what it misses for RDMA.", (show_matrix(situation),)),
        _fall_back(situation),
    )
