"""Why the client of a spec could not use RDMA."""

from typing import Any, Final

import pytest

from inference_cache.domain.reasons import Reason
from inference_cache.domain.transport_render import find_rdma_obstacle
from tests.support.builders import REMOVED, build_settled

_STORE: Final = "cache.tiers.1.objectStore"
_SIZE: Final = "cache.tiers.0.memory.size"
_PLUGIN: Final = {
    f"{_STORE}.client": "Plugin",
    f"{_STORE}.plugin": {"modulePath": "vendor.adapter", "className": "Adapter", "objectNames": "LMCacheS3"},
}
_DELL: Final = {f"{_STORE}.rdmaDialect": "Dell"}


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, Reason.ClientWithoutRDMA),
        ({f"{_STORE}.client": "LMCacheS3"}, Reason.ClientWithoutRDMA),
        ({f"{_STORE}.client": "NIXL"}, Reason.ClientWithoutRDMA),
        (_PLUGIN, None),
        (_DELL | {_SIZE: "4095Mi"}, None),
        (_DELL | {_SIZE: "4Gi"}, Reason.RDMARegistrationTooLarge),
        (_DELL | {_SIZE: "1200Gi", f"{_STORE}.client": "NIXL"}, Reason.RDMARegistrationTooLarge),
        ({"cache.tiers.1": REMOVED}, Reason.NoObjectStoreForRDMA),
        ({"cache.mode": "Disabled"}, Reason.NoObjectStoreForRDMA),
        (_PLUGIN | {"cache.mode": "Disabled"}, Reason.NoObjectStoreForRDMA),
    ],
)
def test_obstacle(changes: dict[str, Any], expected: Reason | None) -> None:
    found = find_rdma_obstacle(build_settled(changes))
    assert (found[0] if found else None) is expected
    assert found is None or found[1].endswith(".")


def test_size_that_is_asked_for_would_do() -> None:
    found = find_rdma_obstacle(build_settled(_DELL | {_SIZE: "64Gi"}))
    assert found is not None
    assert "is 64Gi" in found[1]
    assert "4095Mi" not in found[1], "the remedy says it already"
    assert "Write at most 4095Mi" in found[0].remedy
    assert find_rdma_obstacle(build_settled(_DELL | {_SIZE: "4095Mi"})) is None
