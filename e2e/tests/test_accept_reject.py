"""The API server enforces the CRDs as the operator enforces its models: the same examples, the same answers."""

import json
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

import pytest
from kubernetes import client, config
from kubernetes.client.exceptions import ApiException

from e2e.rig import Rig
from inference_cache.api.fabric import FABRIC_KIND, FABRIC_PLURAL
from inference_cache.api.node_report import REPORT_KIND, REPORT_PLURAL
from inference_cache.api.v1alpha1 import GROUP, KIND, PLURAL, VERSION
from tests.api.accept_reject import ROWS, Row
from tests.api.fabric_rows import REFERENCE, SRIOV
from tests.support.builders import change, load_fabric

Send = Callable[[Callable[[client.CustomObjectsApi], object]], str]
_PLURALS: Final[Mapping[str, str]] = {KIND: PLURAL, FABRIC_KIND: FABRIC_PLURAL, REPORT_KIND: REPORT_PLURAL}


@pytest.fixture(scope="module")
def send(rig: Rig) -> Iterator[Send]:
    """Sends a request and returns the refusal, or nothing.

    One connection for all rows: a kubectl for each would take minutes.
    """
    settings = client.Configuration()
    config.load_kube_config(config_file=str(rig.cluster.kubeconfig), client_configuration=settings)
    with client.ApiClient(settings) as connection:
        objects = client.CustomObjectsApi(connection)

        def send_request(request: Callable[[client.CustomObjectsApi], object]) -> str:
            try:
                request(objects)
            except ApiException as refusal:
                if refusal.status not in {400, 422}:
                    raise
                return str(json.loads(refusal.body)["message"])
            return ""

        yield send_request


def _create(send: Send, body: dict[str, Any], *, dry: bool = True) -> str:
    """Create an object as `kubectl create --dry-run=server --validate=strict` does."""
    plural = _PLURALS[body["kind"]]
    options: dict[str, Any] = {"field_validation": "Strict", **({"dry_run": "All"} if dry else {})}
    if body["kind"] == KIND:
        body["metadata"]["namespace"] = "default"
        return send(lambda api: api.create_namespaced_custom_object(GROUP, VERSION, "default", plural, body, **options))
    return send(lambda api: api.create_cluster_custom_object(GROUP, VERSION, plural, body, **options))


@pytest.mark.parametrize("row", ROWS, ids=[row.id for row in ROWS])
def test_api_server_agrees_with_the_table(send: Send, row: Row) -> None:
    message = _create(send, row.build())
    if row.accepted:
        assert message == ""
        return
    assert row.theirs in message, "the message must say what to write instead"
    # The rule on the name sits on the root, so its text names the field.
    assert row.field in message, "the message must name the field"
    if row.breaks in {"rule", "minimum", "maximum", "enum", "pattern"} and isinstance(row.value, str | int):
        assert str(row.value) in message, "the message must show the refused value"


@pytest.fixture
def change_fabric(send: Send) -> Iterator[Callable[[Mapping[str, Any], Mapping[str, Any]], str]]:
    """Creates a fabric and changes it; returns the refusal of the change."""
    name = "accept-reject"

    def make(before: Mapping[str, Any], after: Mapping[str, Any]) -> str:
        body = load_fabric()
        body["metadata"]["name"] = name
        for path, value in before.items():
            change(body, path, value)
        assert _create(send, body, dry=False) == ""
        stored: dict[str, Any] = {}
        place = (GROUP, VERSION, FABRIC_PLURAL, name)
        assert send(lambda api: stored.update(api.get_cluster_custom_object(*place))) == ""
        for field, value in after.items():
            change(stored, field, value)
        return send(lambda api: api.replace_cluster_custom_object(*place, stored))

    yield make
    assert send(lambda api: api.delete_cluster_custom_object(GROUP, VERSION, FABRIC_PLURAL, name)) == ""


_FIXED: Final = "type and resourceName must not change in mode Manage"


@pytest.mark.parametrize(
    ("before", "after", "refusal"),
    [
        ({}, {"spec.resourceName": "rdma/other"}, f"{_FIXED}, as pods use the objects of the old ones"),
        (SRIOV, {"spec.type": "SRIOVInfiniBand"}, "got SRIOVInfiniBand nvidia.com/storage_vf instead of SRIOVEthernet"),
        (REFERENCE, {**SRIOV, "spec.mode": "Manage"}, _FIXED),
        (REFERENCE, {"spec.type": "HostDevice", "spec.resourceName": "nvidia.com/other"}, ""),
        ({}, {"spec.devices.mtu": 4200}, ""),
    ],
    ids=[
        "another resource",
        "another type",
        "another resource on the way to Manage",
        "another reference",
        "another MTU",
    ],
)
def test_changes_of_a_fabric(
    change_fabric: Callable[[Mapping[str, Any], Mapping[str, Any]], str],
    before: Mapping[str, Any],
    after: Mapping[str, Any],
    refusal: str,
) -> None:
    message = change_fabric(before, after)
    assert refusal in message
    assert bool(refusal) is bool(message)
