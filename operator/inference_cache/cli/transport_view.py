"""The transport that a spec prefers, for commands that look at no running pods: which pods would be made, and why."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from inference_cache.domain.assemble import Assembly
from inference_cache.domain.attachment import Attachment, Variant
from inference_cache.domain.fabric.facts import FabricFacts
from inference_cache.domain.network_checks import describe_attachment
from inference_cache.domain.reasons import Reason
from inference_cache.domain.scope import Scope
from inference_cache.domain.transport import prefer_transport, read_intent, resolve_attachment
from inference_cache.domain.transport_render import find_rdma_obstacle

Fabrics = Mapping[str, FabricFacts]


@dataclass(frozen=True)
class TransportView:
    """How pods would reach the store.

    Attributes:
        policy: As in the spec, with its default.
        variant: Which pods are made where fabric and nodes are in order.
        required: Whether nothing but RDMA will do.
        cause: Why it is not RDMA although the spec asks for it, as reason and sentence; empty where it is.
        attachment: What each RDMA pod gets; empty where that is not known.
        running: What the pods that run use now; empty where that is not known.
    """

    policy: str
    variant: str
    required: bool
    cause: tuple[str, str] = ("", "")
    attachment: str = ""
    running: str = ""

    def build_document(self) -> dict[str, Any]:
        """Return it for programs."""
        reason, text = self.cause
        return {
            "policy": self.policy,
            "variant": self.variant,
            "required": self.required,
            "cause": {"reason": reason, "message": text} if reason else None,
            "attachment": self.attachment or None,
            "running": self.running or None,
        }

    def describe(self) -> str:
        """Return it in a sentence."""
        running = f" Pods run over {self.running} now." if self.running else ""
        reason, text = self.cause
        if self.variant == Variant.TCP:
            return f"TCP, although RDMA is asked for: {reason}: {text}{running}"
        if self.required:
            return f"RDMA, and no pod serves without. {self.attachment or text}{running}"
        return f"RDMA, or TCP where nodes or fabric cannot; objects have the same names on both. {self.attachment}{running}"


def prefer(scope: Scope, fabrics: Fabrics) -> Scope:
    """Return the scope with the transport that is rendered where fabric and nodes are in order.

    Pods of a fabric that is not known are rendered for TCP, unless nothing but RDMA will do.
    """
    found = prefer_transport(scope.settled, _find_fabric(scope, fabrics), scope.identity.namespace)
    if found.variant is Variant.RDMA and found.attachment is None and not found.required:
        return scope
    return replace(scope, transport=found)


def prefer_in(assembly: Assembly, fabrics: Fabrics) -> Assembly:
    """Return the assembly with the same for its scope."""
    return replace(assembly, scope=prefer(assembly.scope, fabrics)) if assembly.scope else assembly


def view_transport(
    scope: Scope, fabrics: Fabrics, status: Mapping[str, Any] | None = None, *, by_files: bool = False
) -> TransportView | None:
    """Return how pods would reach the store; None where the spec asks for no RDMA.

    Args:
        scope: The deployment.
        fabrics: Those that are known, by name.
        status: Of the deployment as it runs.
        by_files: Whether only files were looked at, so that a fabric may exist that is not known.
    """
    settled = scope.settled
    intent = read_intent(settled)
    if not intent.asked:
        return None
    variant = prefer(scope, fabrics).transport.variant
    found = resolve_attachment(settled, _find_fabric(scope, fabrics), scope.identity.namespace)
    problem = find_rdma_obstacle(settled) or (None if found is None or isinstance(found, Attachment) else found)
    if problem is not None and problem[0] is Reason.FabricNotFound and by_files:
        text = "The fabric is not among the files, so what pods would get is not known; name its file too."
        problem = (Reason.FabricNotFound, text)
    running = ((status or {}).get("transport") or {}).get("effective", "")
    return TransportView(
        policy=intent.policy.value,
        variant=variant.value,
        required=intent.required,
        cause=(problem[0].name, problem[1]) if problem else ("", ""),
        attachment=describe_attachment(found) if isinstance(found, Attachment) else "",
        running="" if running == "no pods" else running,
    )


def _find_fabric(scope: Scope, fabrics: Fabrics) -> FabricFacts | None:
    transport = scope.settled.spec.transport
    reference = transport.fabric_ref if transport else None
    return fabrics.get(reference.name) if reference else None
