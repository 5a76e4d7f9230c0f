"""How pods reach the object store: over RDMA, over TCP, and who decides."""

from enum import StrEnum
from typing import Annotated

from pydantic import Field

from .base import ApiModel, ObjectName, Rule, count_set
from .networks import MAX_NETWORKS, LinkType, NetworkAttachment, ResourceName


class TransportPolicy(StrEnum):
    """Which transport is wanted."""

    AUTO = "Auto"
    REQUIRE_RDMA = "RequireRDMA"
    TCP = "TCP"


class Recovery(StrEnum):
    """When pods take up RDMA that has come back."""

    NEXT_RESTART = "NextRestart"
    IMMEDIATE = "Immediate"


class LockedMemory(StrEnum):
    """What lets the processes pin memory."""

    IPC_LOCK = "IPCLock"
    NODE_UNLIMITED = "NodeUnlimited"


class FabricRef(ApiModel):
    """An InferenceCacheFabric, which is cluster-scoped."""

    name: ObjectName
    """Name of the InferenceCacheFabric."""


class InlineRDMA(ApiModel):
    """RDMA devices and networks named by the deployment itself; exactly one of resourceName and deviceClassName."""

    rules = (
        Rule(
            cel="(has(self.resourceName) ? 1 : 0) + (has(self.deviceClassName) ? 1 : 0) == 1",
            message="rdma needs exactly one of resourceName (device plugin) and deviceClassName (DRA); write one of them",
            holds=lambda m: count_set(m, "resource_name", "device_class_name") == 1,
            got_cel="has(self.resourceName) ? 'both' : 'none'",
            got=lambda m: "both" if m.resource_name is not None else "none",
        ),
    )

    resource_name: ResourceName | None = None
    """Extended resource of the device plugin, with its prefix."""
    device_class_name: ObjectName | None = None
    """DeviceClass of a DRA driver for network devices. Needs resource.k8s.io/v1."""
    count: Annotated[int, Field(ge=1, le=MAX_NETWORKS)] | None = None
    """Devices that one pod gets. Without it: one for each network, at least 1."""
    networks: (
        Annotated[
            list[NetworkAttachment],
            Field(
                min_length=1,
                max_length=MAX_NETWORKS,
                json_schema_extra={"x-kubernetes-list-type": "atomic"},
            ),
        ]
        | None
    ) = None
    """Secondary networks that carry the store's traffic, in the order of their interfaces net1, net2, ... Without it: none, for device plugins whose devices need no network."""
    link_type: LinkType | None = None
    """Link layer of the devices. Without it: whatever the devices have."""


class Transport(ApiModel):
    """How the object store is reached."""

    rules = (
        Rule(
            cel="!(has(self.fabricRef) && has(self.rdma))",
            message="transport must have one of fabricRef and rdma at most; remove one of them",
            holds=lambda m: count_set(m, "fabric_ref", "rdma") <= 1,
            got_cel="'both'",
            got=lambda _: "both",
        ),
        Rule(
            cel="!(has(self.policy) && self.policy == 'RequireRDMA') || has(self.fabricRef) || has(self.rdma)",
            message="policy RequireRDMA needs fabricRef or rdma, which name the devices; write fabricRef: {name: FABRIC}",
            holds=lambda m: m.policy is not TransportPolicy.REQUIRE_RDMA or count_set(m, "fabric_ref", "rdma") == 1,
            got_cel="'neither'",
            got=lambda _: "neither",
        ),
        Rule(
            cel="!(has(self.recovery) || has(self.lockedMemory)) || has(self.fabricRef) || has(self.rdma)",
            message="with recovery or lockedMemory, transport needs fabricRef or rdma, as pods without RDMA devices have nothing to recover and nothing to lock; write fabricRef: {name: FABRIC}, or remove them",
            holds=lambda m: count_set(m, "recovery", "locked_memory") == 0 or count_set(m, "fabric_ref", "rdma") == 1,
            got_cel="has(self.recovery) ? 'recovery ' + self.recovery : 'lockedMemory ' + self.lockedMemory",
            got=lambda m: (
                f"recovery {m.recovery.value}" if m.recovery is not None else f"lockedMemory {m.locked_memory.value}"
            ),
        ),
    )

    policy: TransportPolicy | None = None
    """RequireRDMA creates no pod and starts no engine without RDMA; Auto prefers RDMA and falls back to TCP by a decision that status tells; TCP attaches nothing. Without it: Auto."""
    fabric_ref: FabricRef | None = None
    """Fabric of the platform team. Without it and without rdma: TCP."""
    rdma: InlineRDMA | None = None
    """Devices and networks, where there is no InferenceCacheFabric."""
    recovery: Recovery | None = None
    """When pods that fell back to TCP take up RDMA after it has come back: NextRestart leaves them alone, Immediate replaces them one by one. Without it: NextRestart."""
    locked_memory: LockedMemory | None = None
    """IPCLock gives the cache server the capability IPC_LOCK, for which the namespace's Pod Security must be privileged; NodeUnlimited renders no capability, for nodes whose container runtime has LimitMEMLOCK=infinity. Without it: IPCLock."""
