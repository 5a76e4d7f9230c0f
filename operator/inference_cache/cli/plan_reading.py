"""Puts together what `icd plan` shows of each deployment: from files alone, from two files, or from a file and a cluster."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final

from inference_cache.api.parsing import Violation, parse_spec
from inference_cache.api.quantities import GIB
from inference_cache.api.status import NodeStatus
from inference_cache.api.v1alpha1 import InferenceCacheDeploymentSpec
from inference_cache.domain.assemble import Assembly, Platform, assemble
from inference_cache.domain.capacity_figures import CapacityPlan, FindingLevel
from inference_cache.domain.change_classes import ChangeClass
from inference_cache.domain.change_plan import ChangePlan, plan_change
from inference_cache.domain.compatibility import describe_hybrid
from inference_cache.domain.deployment_capacity import Overrides, check_payoff, choose_gpu, plan_deployment
from inference_cache.domain.fabric.facts import FabricFacts
from inference_cache.domain.model_shape import ModelShape
from inference_cache.domain.node_evidence import NodeEvidence
from inference_cache.domain.node_need import build_wish
from inference_cache.domain.node_policy import check_nodes
from inference_cache.domain.reasons import Reason
from inference_cache.domain.scope import Identity, Scope
from inference_cache.domain.sharing import SharingKey, build_sharer, build_sharing_key, summarize_sharing
from inference_cache.domain.sizing import compute_sizes
from inference_cache.domain.verdict import ConditionType, Truth, Verdict, refuse

from .documents import Document, read_deployments, read_documents
from .fabric_documents import read_fabrics
from .model_config_file import find_cached_config, read_model_config
from .render import OWNER_UID
from .transport_view import TransportView, prefer, prefer_in, view_transport

_NO_NAMESPACE: Final = "default"


@dataclass(frozen=True)
class Request:
    """What the command line asks for."""

    files: Sequence[str]
    against: Sequence[str]
    offline: bool
    namespace: str | None
    image: str | None
    operator_namespace: str
    model_config: Path | None
    overrides: Overrides


@dataclass(frozen=True)
class Surroundings:
    """What of a cluster a plan looks at; with files alone there is nothing of it.

    Attributes:
        compared_with: In words.
        live: Deployments by namespace and name, as they are stored.
        fabrics: Those that are known, by name.
        by_files: Whether only files were looked at.
    """

    compared_with: str
    platform: Platform
    nodes: tuple[NodeEvidence, ...] | None = None
    live: dict[tuple[str, str], dict[str, Any]] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    fabrics: dict[str, FabricFacts] = field(default_factory=dict)
    by_files: bool = False


@dataclass(frozen=True)
class Review:
    """Everything that is shown of one deployment.

    Attributes:
        violations: Rules that the spec breaks; nothing else is known then.
        transport: How pods would reach the store; None where the spec asks for no RDMA.
        plan: None with violations.
        notes: Where figures come from, and what could not be read.
    """

    name: str
    namespace: str
    where: str
    compared_with: str
    exists: bool
    violations: tuple[Violation, ...] = ()
    plan: ChangePlan | None = None
    scope: Scope | None = None
    checks: tuple[Verdict, ...] = ()
    nodes: NodeStatus | None = None
    transport: TransportView | None = None
    capacity: CapacityPlan | None = None
    payoff: Verdict | None = None
    sharing: tuple[str, ...] = ()
    max_unavailable: int = 1
    warnings: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def refused(self) -> bool:
        """Whether the spec is refused, or held back by a check that only another spec mends."""
        own = {ConditionType.SPEC_VALID, ConditionType.COMPATIBLE}
        return bool(self.violations) or any(item.blocks and item.condition in own for item in self.checks)


def review_deployments(request: Request, kubeconfig: Path | None, context: str | None) -> list[Review]:
    """Return the review of every deployment in the files.

    Raises:
        CommandError: Files or cluster cannot be read.
    """
    found = read_documents(request.files)
    documents = found.deployments or read_deployments(request.files)
    # A fabric beside the deployment is what will be applied with it.
    fabrics = read_fabrics(found.fabrics)
    if request.offline or request.against:
        surroundings = replace(_surround_offline(request), fabrics=fabrics, by_files=True)
        return [review_deployment(item, request, surroundings) for item in documents]
    # The client library takes half a second to load, which plans without a cluster need not pay.
    from .plan_cluster import read_surroundings  # noqa: PLC0415

    surroundings, namespace = read_surroundings(
        request.operator_namespace,
        request.image,
        kubeconfig,
        context,
        {item.namespace or request.namespace for item in documents},
    )
    surroundings = replace(surroundings, fabrics={**surroundings.fabrics, **fabrics})
    named = request if request.namespace else replace(request, namespace=namespace)
    return [review_deployment(item, named, surroundings) for item in documents]


def review_deployment(document: Document, request: Request, surroundings: Surroundings) -> Review:
    """Return the review of one deployment."""
    namespace = document.namespace or request.namespace or _NO_NAMESPACE
    live = surroundings.live.get((namespace, document.name))
    base = Review(
        document.name, namespace, document.where, surroundings.compared_with, live is not None, notes=surroundings.notes
    )
    spec = document.body.get("spec")
    parsed = parse_spec(document.name, spec if isinstance(spec, dict) else {})
    if isinstance(parsed, list):
        return replace(base, violations=tuple(parsed))
    identity = Identity(document.name, namespace, OWNER_UID)
    fabrics = surroundings.fabrics
    after = prefer_in(assemble(identity, parsed, _platform_for(surroundings.platform, live)), fabrics)
    before, notes = _assemble_live(identity, live, surroundings)
    old_spec = live.get("spec") if live else None
    status = (live or {}).get("status") or {}
    plan = plan_change(before, after, old_spec, document.body["spec"], status.get("cacheFingerprint"))
    checks, nodes = list(after.checks), None
    if after.scope is not None and surroundings.nodes is not None:
        wish = build_wish(after.scope.settled, after.scope.transport.attachment)
        verdict, nodes = check_nodes(after.scope.settled, surroundings.nodes, wish)
        checks.append(verdict)
    capacity, payoff, capacity_notes = _plan_capacity(after, parsed, request)
    checks = _add_read_shape(checks, after, parsed, request)
    review = replace(
        base,
        plan=plan,
        scope=after.scope,
        checks=tuple(checks),
        nodes=nodes,
        transport=view_transport(after.scope, fabrics, status, by_files=surroundings.by_files) if after.scope else None,
        capacity=capacity,
        payoff=payoff,
        sharing=_find_sharing(after.scope, document, surroundings),
        max_unavailable=after.scope.settled.max_unavailable if after.scope else 1,
        notes=(*base.notes, *notes, *capacity_notes),
    )
    return replace(review, warnings=tuple(list_warnings(review)))


def list_warnings(review: Review) -> list[str]:
    """Return what someone should look at before applying."""
    found = [f"{item.condition} is {item.status}: {item.message}" for item in review.checks if item.blocks]
    transport = review.transport
    if transport is not None and transport.cause[0]:
        found.append(f"RDMA is asked for, and {transport.cause[0]} is in its way: {transport.cause[1]}")
    plan = review.plan
    if plan is not None and plan.change_class is ChangeClass.CACHE_BREAKING:
        found.append(
            "The cache begins cold, and the objects that are stored now stay in their bucket until you delete them."
        )
    if review.capacity is not None:
        found += [item.message for item in review.capacity.findings if item.level is FindingLevel.WARNING]
    if review.payoff is not None and review.payoff.status is Truth.FALSE:
        found.append(f"The cache is not predicted to pay off. {review.payoff.message.removeprefix('Predicted: ')}")
    return found


def _platform_for(platform: Platform, live: dict[str, Any] | None) -> Platform:
    """Take the operator's own image from what it says that it renders, where the spec names none."""
    rendered = ((live or {}).get("status") or {}).get("rendered") or {}
    own = ((live or {}).get("spec") or {}).get("engine") or {}
    if platform.engine_image or not rendered.get("engineImage") or own.get("image") or own.get("versions"):
        return platform
    return replace(platform, engine_image=str(rendered["engineImage"]))


def _assemble_live(
    identity: Identity, live: dict[str, Any] | None, surroundings: Surroundings
) -> tuple[Scope | None, tuple[str, ...]]:
    if live is None:
        return None, ()
    parsed = parse_spec(identity.name, live.get("spec") or {})
    if isinstance(parsed, list):
        return None, (f"What is applied now is not valid: {'; '.join(map(str, parsed))}"[:500],)
    assembly = assemble(identity, parsed, _platform_for(surroundings.platform, live))
    if assembly.scope is None:
        return None, (f"What is applied now cannot be rendered: {assembly.checks[1].message}",)
    return prefer(assembly.scope, surroundings.fabrics), ()


def _plan_capacity(
    after: Assembly, spec: InferenceCacheDeploymentSpec, request: Request
) -> tuple[CapacityPlan | None, Verdict | None, tuple[str, ...]]:
    if after.scope is None:
        return None, None, ()
    settled, overrides = after.scope.settled, request.overrides
    notes: list[str] = []
    file = _find_config(spec, request)
    if file is not None:
        overrides = replace(overrides, shape=read_model_config(file))
        notes.append(f"The model's shape was read from {file}.")
    plan = plan_deployment(settled, overrides)
    if plan is None:
        if settled.cache_enabled:
            notes.append("No capacity plan: declare spec.workload, or use --conversations and --context-tokens.")
        return None, check_payoff(settled, None), tuple(notes)
    notes.append(f"GPU to plan with: {choose_gpu(settled, overrides).note}")
    return plan, check_payoff(settled, plan), tuple(notes)


def _add_read_shape(
    checks: list[Verdict], after: Assembly, spec: InferenceCacheDeploymentSpec, request: Request
) -> list[Verdict]:
    """Refuse a hybrid model that only its config.json tells of; the operator sees the declared architecture alone."""
    file = _find_config(spec, request)
    if file is None or after.scope is None or after.scope.settled.object_store is None:
        return checks
    shape = read_model_config(file)
    if not isinstance(shape, ModelShape) or shape.hybrid_cause is None:
        return checks
    found = refuse(
        ConditionType.COMPATIBLE, Reason.HybridModelInStore, describe_hybrid(f"{file}: {shape.hybrid_cause}")
    )
    return [found if item.condition is ConditionType.COMPATIBLE else item for item in checks]


def _find_config(spec: InferenceCacheDeploymentSpec, request: Request) -> Path | None:
    if request.model_config is not None:
        return request.model_config
    return find_cached_config(spec.model.source) if spec.model.architecture is None else None


def _find_sharing(scope: Scope | None, document: Document, surroundings: Surroundings) -> tuple[str, ...]:
    if scope is None or scope.settled.object_store is None:
        return ()
    store = scope.settled.object_store
    key = SharingKey(scope.fingerprint, store.endpoint, store.bucket.name)
    me = (scope.identity.namespace, document.name)
    sharers = [build_sharer(item) for item in surroundings.live.values() if build_sharing_key(item) == key]
    found = summarize_sharing(*me, sharers)
    if found is None:
        return ()
    named = tuple(found.examples or ())
    hidden = found.deployments - len(named)
    return (*named, *((f"{hidden} more",) if hidden > 0 else ()))


def _surround_offline(request: Request) -> Surroundings:
    platform = Platform(request.operator_namespace, request.image)
    if not request.against:
        return Surroundings("nothing (--offline)", platform)
    live = {
        (item.namespace or request.namespace or _NO_NAMESPACE, item.name): item.body
        for item in read_deployments(request.against)
    }
    return Surroundings(", ".join(request.against), platform, live=live)


def describe_sizes(scope: Scope) -> list[tuple[str, str]]:
    """Return the sizes of a pod as label and text."""
    sizes = compute_sizes(scope.settled)
    return [
        ("GPUs", str(sizes.gpus)),
        (
            "memory",
            f"{sizes.pod_memory / GIB:.0f} GiB"
            + (f" and {sizes.huge_pages / GIB:.0f} GiB of huge pages" if sizes.huge_pages else ""),
        ),
        ("CPUs", f"{sizes.pod_milli_cpus / 1000:g}"),
        *([("memory tier", f"{sizes.memory_tier / GIB:.1f} GiB")] if sizes.cache else []),
        *([("loads at a time", str(sizes.in_flight_loads))] if scope.settled.object_store else []),
    ]
