"""RDMA pods on a real API server: it keeps every field as it is rendered, so that nothing is written again in each pass."""

import json
from dataclasses import replace

import pytest

from e2e.space import Space
from inference_cache.domain.attachment import TCP_ONLY
from inference_cache.domain.desired import build_desired
from inference_cache.domain.desired.attached import find_attachment
from inference_cache.domain.drift import has_fields
from inference_cache.domain.kinds import RESOURCE_CLAIM_TEMPLATE, STATEFUL_SET
from inference_cache.domain.scope import Scope
from tests.golden.cases import CASES, load_scope

_CASES = [case for case in CASES if find_attachment(load_scope(case)) is not None]


def _load(case: str, space: Space) -> Scope:
    scope = load_scope(case)
    identity = replace(scope.identity, namespace=space.namespace)
    # Objects are looked at, pods are not wanted; the owner does not exist, and the garbage collector would act on that.
    return replace(scope, identity=identity, settled=replace(scope.settled, replicas=0))


def _apply(scope: Scope, space: Space) -> None:
    for manifest in build_desired(scope):
        body = json.loads(json.dumps(manifest.body))
        del body["metadata"]["ownerReferences"]
        space.cluster.kubectl("apply", "--server-side", "--field-manager=test", "-f", "-", stdin=json.dumps(body))
        stored = space.get(manifest.kind.plural, manifest.name)
        assert has_fields(stored, body), f"{manifest.kind} {manifest.name} is stored otherwise: {json.dumps(stored)}"


@pytest.mark.parametrize("case", _CASES)
def test_api_server_keeps_what_is_rendered(case: str, space: Space) -> None:
    _apply(_load(case, space), space)


def test_template_turns_to_tcp_and_back(space: Space) -> None:
    """One field manager, so what the other kind of pods had is gone, and the StatefulSet itself stays."""
    scope = _load("rdma-macvlan-plugin", space)
    _apply(scope, space)
    before = space.get(STATEFUL_SET.plural, scope.identity.name)
    _apply(replace(scope, transport=TCP_ONLY), space)
    between = space.get(STATEFUL_SET.plural, scope.identity.name)
    text = json.dumps(between["spec"]["template"])
    assert not [word for word in ("rdma/storage", "IPC_LOCK", "preflight", "launch.py", "k8s.v1.cni") if word in text]
    _apply(scope, space)
    after = space.get(STATEFUL_SET.plural, scope.identity.name)
    assert after["spec"]["template"] == before["spec"]["template"]
    assert after["metadata"]["uid"] == before["metadata"]["uid"]


def test_claims_are_served_by_this_cluster(space: Space) -> None:
    scope = _load("rdma-dra", space)
    _apply(scope, space)
    (template,) = (item for item in build_desired(scope) if item.kind is RESOURCE_CLAIM_TEMPLATE)
    assert space.get(RESOURCE_CLAIM_TEMPLATE.plural, template.name)["apiVersion"] == "resource.k8s.io/v1"
