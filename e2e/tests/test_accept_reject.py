"""The API server enforces the CRD as the operator enforces its models: the same examples, the same answers."""

import json

import pytest

from e2e.cluster import ClusterError
from e2e.rig import Rig
from tests.api.accept_reject import ROWS, Row


@pytest.mark.parametrize("row", ROWS, ids=[row.id for row in ROWS])
def test_api_server_agrees_with_the_table(rig: Rig, row: Row) -> None:
    body = row.build()
    body["metadata"]["namespace"] = "default"
    command = ("create", "--dry-run=server", "--validate=strict", "-f", "-")
    if row.accepted:
        rig.cluster.kubectl(*command, stdin=json.dumps(body))
        return
    with pytest.raises(ClusterError) as refusal:
        rig.cluster.kubectl(*command, stdin=json.dumps(body))
    message = str(refusal.value)
    assert row.theirs in message, "the message must say what to write instead"
    # The rule on the name sits on the root, so its text names the field.
    assert row.field in message, "the message must name the field"
    if row.breaks in {"rule", "minimum", "maximum", "enum", "pattern"} and isinstance(row.value, str | int):
        assert str(row.value) in message, "the message must show the refused value"
