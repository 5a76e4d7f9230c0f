"""Writes when the transport changes: what is held, what goes on, and what pods of the other transport still need."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from inference_cache.domain.attachment import TCP_ONLY, Attachment, TransportChoice, Variant
from inference_cache.domain.desired import build_desired
from inference_cache.domain.kinds import CONFIG_MAP, RESOURCE_CLAIM_TEMPLATE, STATEFUL_SET
from inference_cache.domain.plan import Apply, Create, Delete, Plan, plan_writes
from inference_cache.domain.scope import Scope
from tests.support.builders import build_pod, build_sample_scope, observe_all

_SPEC = {"transport": {"rdma": {"resourceName": "nvidia.com/vf"}}, "cache.tiers.1.objectStore.rdmaDialect": "Dell"}
_ATTACHMENT = Attachment(None, "nvidia.com/vf", None, 1, (), per_network=False, link_type=None)
_RDMA = TransportChoice(Variant.RDMA, _ATTACHMENT)
_OTHER_DEVICES = TransportChoice(Variant.RDMA, replace(_ATTACHMENT, resource_name="nvidia.com/other"))
_CLAIMS = TransportChoice(Variant.RDMA, replace(_ATTACHMENT, resource_name=None, device_class="rdma.example"))
_UNRESOLVED = TransportChoice(Variant.RDMA, None, required=True)
_REQUIRED = TransportChoice(Variant.RDMA, _ATTACHMENT, required=True)


def _scope(choice: TransportChoice, changes: Mapping[str, Any] | None = None) -> Scope:
    return replace(build_sample_scope({**_SPEC, **(changes or {})}), transport=choice)


def _plan(before: Scope, after: Scope, *, hold: bool = False, exact: bool = False, pods: Any = ()) -> Plan:
    return plan_writes(after.identity, build_desired(after), observe_all(before), pods, hold=hold, exact=exact)


def _applies_workload(plan: Plan) -> bool:
    return any(isinstance(action, Apply) and action.manifest.kind is STATEFUL_SET for action in plan.actions)


_NEW_MODEL = {"model.maxModelLen": 4096}
_CASES: dict[str, tuple[Scope, Scope, bool, bool, bool]] = {
    "a fall back to TCP goes on": (_scope(_RDMA), _scope(TCP_ONLY), False, True, False),
    "a way back to RDMA waits, and no change is held": (_scope(TCP_ONLY), _scope(_RDMA), False, False, False),
    "other devices wait, and no change is held": (_scope(_RDMA), _scope(_OTHER_DEVICES), False, False, False),
    "a fabric that is gone changes nothing": (_scope(_REQUIRED), _scope(_UNRESOLVED), True, False, False),
    "proof that is required from now on is a change": (_scope(_RDMA), _scope(_REQUIRED), True, False, True),
    "RDMA that is required from now on is a change": (_scope(TCP_ONLY), _scope(_REQUIRED), True, False, True),
    "a new model waits": (_scope(_RDMA), _scope(_RDMA, _NEW_MODEL), False, False, True),
    "a new model waits together with a fall back": (_scope(_RDMA), _scope(TCP_ONLY, _NEW_MODEL), False, False, True),
}


@pytest.mark.parametrize(("before", "after", "exact", "applied", "held"), _CASES.values(), ids=_CASES.keys())
def test_while_a_check_fails(before: Scope, after: Scope, exact: bool, applied: bool, held: bool) -> None:
    plan = _plan(before, after, hold=True, exact=exact)
    assert (_applies_workload(plan), plan.held) == (applied, held)
    assert plan.obstacles == ()
    if not applied:
        assert plan.actions == ()


def test_fall_back_brings_its_configuration_along_and_keeps_that_of_pods_on_rdma() -> None:
    before, after = _scope(_RDMA), _scope(TCP_ONLY)
    (config,) = (item for item in observe_all(before) if item.kind is CONFIG_MAP and "-config-" in item.name)
    plan = _plan(before, after, pods=[build_pod(0, config_maps=(config.name,))])
    created = [action.manifest.name for action in plan.actions if isinstance(action, Create)]
    assert len([name for name in created if "-config-" in name]) == 1
    assert not [action for action in plan.actions if isinstance(action, Delete) and action.live.name == config.name]


def test_claim_template_is_created_before_and_pruned_after_its_last_pod() -> None:
    before, after = _scope(_CLAIMS), _scope(TCP_ONLY)
    (template,) = (item for item in observe_all(before) if item.kind is RESOURCE_CLAIM_TEMPLATE)
    assert any(
        isinstance(a, Create) and a.manifest.kind is RESOURCE_CLAIM_TEMPLATE for a in _plan(after, before).actions
    )
    applied = observe_all(after)
    known = [*applied, template]

    def prune(pods: Any) -> list[str]:
        plan = plan_writes(after.identity, build_desired(after), known, pods, hold=False)
        return [action.live.name for action in plan.actions if isinstance(action, Delete)]

    assert prune([build_pod(0, claim_templates=(template.name,))]) == []
    assert prune([build_pod(0)]) == [template.name]
