"""What others have added to a child is found and can be taken over; what is shared or tolerated stays."""

from typing import Any

import pytest

from inference_cache.domain import names
from inference_cache.domain.field_ownership import adopt_fields, list_foreign_fields

_POD: dict[str, Any] = {"f:containers": {'k:{"name":"engine"}': {".": {}, "f:image": {}, "f:name": {}}}}
_OURS: dict[str, Any] = {
    "f:metadata": {"f:labels": {".": {}, "f:a": {}}},
    "f:spec": {"f:replicas": {}, "f:selector": {}, "f:template": {"f:spec": _POD}},
}


def _entry(fields: dict[str, Any], manager: str = "kubectl-patch", **more: str) -> dict[str, Any]:
    return {"manager": manager, "operation": "Update", "fieldsType": "FieldsV1", "fieldsV1": fields, **more}


def _ours(operation: str = "Apply") -> dict[str, Any]:
    return _entry(_OURS, names.FIELD_MANAGER) | {"operation": operation}


def _template(fields: dict[str, Any]) -> dict[str, Any]:
    return {"f:spec": {"f:template": fields}}


@pytest.mark.parametrize(
    ("fields", "found"),
    [
        ({"f:metadata": {"f:annotations": {"f:argocd": {}}}}, ()),
        ({"f:spec": {"f:replicas": {}}}, ()),
        (_template({"f:spec": {"f:hostNetwork": {}}}), ("spec.template.spec.hostNetwork",)),
        (
            _template({"f:spec": {"f:containers": {'k:{"name":"evil"}': {".": {}, "f:image": {}}}}}),
            ('spec.template.spec.containers[{"name":"evil"}].image',),
        ),
        (_template({"f:metadata": {"f:annotations": {"f:kubectl.kubernetes.io/restartedAt": {}}}}), ()),
        ({"f:data": {"f:extra.yaml": {}}}, ("data.extra.yaml",)),
    ],
    ids=["metadata", "a shared field", "a new field", "a new container", "a restart by kubectl", "a new key of data"],
)
def test_only_additions_to_what_we_render_are_foreign(fields: dict[str, Any], found: tuple[str, ...]) -> None:
    assert list_foreign_fields([_ours(), _entry(fields)]) == found


def test_atomic_field_that_was_taken_from_us_is_foreign() -> None:
    assert list_foreign_fields([_entry({"f:spec": {}}, names.FIELD_MANAGER), _entry({"f:spec": {"f:selector": {}}})])


def test_status_written_by_controllers_is_not_foreign() -> None:
    entry = _entry({"f:spec": {"f:x": {}}}, "kube-controller-manager", subresource="status")
    assert list_foreign_fields([_ours(), entry]) == ()


def test_adoption_leaves_nothing_foreign_and_keeps_what_is_not_rendered() -> None:
    fields = {"f:metadata": {"f:annotations": {"f:b": {}}}, **_template({"f:spec": {"f:hostNetwork": {}}})}
    adopted = adopt_fields([_ours("Update"), _entry(fields)])
    assert list_foreign_fields(adopted) == ()
    theirs, ours = adopted
    assert theirs["fieldsV1"] == {"f:metadata": {"f:annotations": {"f:b": {}}}}
    assert ours["operation"] == "Apply"
    assert ours["fieldsV1"]["f:spec"]["f:template"]["f:spec"] == {**_POD, "f:hostNetwork": {}}


def test_adoption_of_a_restart_by_kubectl_leaves_its_annotation_alone() -> None:
    restart = _entry(_template({"f:metadata": {"f:annotations": {"f:kubectl.kubernetes.io/restartedAt": {}}}}))
    assert restart in adopt_fields([_ours("Update"), restart])
