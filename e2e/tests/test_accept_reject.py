"""The API server enforces the CRD as the operator enforces its models: the same examples, the same answers."""

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from kubernetes import client, config
from kubernetes.client.exceptions import ApiException

from e2e.rig import Rig
from inference_cache.api.v1alpha1 import GROUP, PLURAL, VERSION
from tests.api.accept_reject import ROWS, Row

Create = Callable[[dict[str, Any]], str]


@pytest.fixture(scope="module")
def create(rig: Rig) -> Iterator[Create]:
    """Creates a deployment as `kubectl create --dry-run=server --validate=strict` does; returns the refusal, or nothing.

    One connection for all rows: a kubectl for each would take minutes.
    """
    settings = client.Configuration()
    config.load_kube_config(config_file=str(rig.cluster.kubeconfig), client_configuration=settings)
    with client.ApiClient(settings) as connection:
        objects = client.CustomObjectsApi(connection)

        def create_deployment(body: dict[str, Any]) -> str:
            try:
                objects.create_namespaced_custom_object(
                    GROUP, VERSION, "default", PLURAL, body, dry_run="All", field_validation="Strict"
                )
            except ApiException as refusal:
                if refusal.status not in {400, 422}:
                    raise
                return str(json.loads(refusal.body)["message"])
            return ""

        yield create_deployment


@pytest.mark.parametrize("row", ROWS, ids=[row.id for row in ROWS])
def test_api_server_agrees_with_the_table(create: Create, row: Row) -> None:
    body = row.build()
    body["metadata"]["namespace"] = "default"
    message = create(body)
    if row.accepted:
        assert message == ""
        return
    assert row.theirs in message, "the message must say what to write instead"
    # The rule on the name sits on the root, so its text names the field.
    assert row.field in message, "the message must name the field"
    if row.breaks in {"rule", "minimum", "maximum", "enum", "pattern"} and isinstance(row.value, str | int):
        assert str(row.value) in message, "the message must show the refused value"
