"""What the operator says in many situations of nodes, networks and fabrics: condition, status, reason, counts and message.

All situations stand in one cluster side by side, each with its own nodes, namespace and deployment.
"""

from collections.abc import Iterator
from typing import Any, Final

import pytest
import yaml

from e2e.cluster import wait_for
from e2e.rig import ROOT, Rig
from e2e.situations import SITUATIONS, Situation
from e2e.situations.stage import Stage
from e2e.tests.conftest import staged

_MESSAGES: Final = ROOT / "e2e" / "situations" / "messages.yaml"
_SECONDS: Final = 90


@pytest.fixture(scope="module")
def stage(rig: Rig) -> Iterator[Stage]:
    """Every situation in one cluster, with an operator that has all optional rights for reading."""
    with staged(rig, SITUATIONS, ("node-evidence", "fabric-reference")) as stage:
        yield stage


@pytest.fixture(scope="module")
def messages() -> dict[str, str]:
    """The text that each situation must bring, word for word."""
    found: dict[str, str] = yaml.safe_load(_MESSAGES.read_text(encoding="utf-8"))
    return found


def _counts(status: dict[str, Any], field: str) -> dict[str, int]:
    return {item["reason"]: item["count"] for item in status.get("nodes", {}).get(field, [])}


def observe(stage: Stage, situation: Situation) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the expected condition as it is, and the whole status."""
    status = (stage.spaces[situation.name].get("icd", "model") or {}).get("status", {})
    wanted = situation.expected.condition
    found: dict[str, Any] = next((item for item in status.get("conditions", []) if item["type"] == wanted), {})
    return found, status


@pytest.mark.parametrize("situation", SITUATIONS, ids=lambda item: item.name)
def test_situation_is_named_exactly(stage: Stage, messages: dict[str, str], situation: Situation) -> None:
    expected = situation.expected

    def holds() -> bool:
        found, _ = observe(stage, situation)
        # A fabric is noted as long as it is not ready as a whole, which passes.
        settled = "Note: InferenceCacheFabric" not in found.get("message", "")
        return settled and (found.get("status"), found.get("reason")) == (expected.status, expected.reason)

    try:
        wait_for(holds, _SECONDS, "condition", pause=0.3)
    except RuntimeError:
        found, status = observe(stage, situation)
        pytest.fail(f"expected {expected}, found {found or status.get('conditions')}")
    told, status = observe(stage, situation)
    assert told["message"] == messages[situation.name]
    assert _counts(status, "ineligible") == expected.nodes
    if expected.without_rdma:
        assert _counts(status, "withoutRdma") == expected.without_rdma
    if expected.decision:
        assert status["transport"]["decision"] == expected.decision
