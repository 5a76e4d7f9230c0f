"""Why the client of a spec could not use RDMA, whatever nodes and fabric can do."""

from typing import Final

from inference_cache.api.cache import StoreClient
from inference_cache.api.quantities import GIB, format_mib
from inference_cache.api.store_plugin import RDMADialect

from .defaults import Settled
from .reasons import Reason

REGISTRATION_LIMIT: Final = 4 * GIB - 64 * 1024
"""Bytes that cuObject registers in one piece, as Dell's engine of NIXL does with the whole memory tier."""

Obstacle = tuple[Reason, str]


def find_rdma_obstacle(settled: Settled) -> Obstacle | None:
    """Return why no pod of this spec could use RDMA; None where nothing is in the way."""
    store = settled.object_store
    if store is None:
        return Reason.NoObjectStoreForRDMA, "transport asks for RDMA, and cache.tiers has no objectStore in use."
    if not settled.client_speaks_rdma or settled.client is StoreClient.LMCACHE_S3:
        lacking = " without rdmaDialect" if settled.client is StoreClient.NIXL else ""
        return Reason.ClientWithoutRDMA, f"objectStore.client {settled.client.value}{lacking} speaks TCP only."
    whole = settled.client is StoreClient.NIXL and store.rdma_dialect is RDMADialect.DELL
    if whole and settled.memory_bytes > REGISTRATION_LIMIT:
        return (
            Reason.RDMARegistrationTooLarge,
            (
                f"cache.tiers[0].memory.size is {format_mib(settled.memory_bytes)}; with rdmaDialect Dell the client registers "
                "the tier in one piece of at most 4 GiB - 64 KiB."
            ),
        )
    return None
