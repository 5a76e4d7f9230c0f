"""The process behind `lmcache server`: DRAM tier, object tier and what it counts.

Only keys are kept. Sizes are those of an 8B model in bf16 (128 KiB a token), so that tiers fill at a natural pace.
"""

import asyncio
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from .arguments import Adapter, CacheArguments, CommandError
from .behaviours import Behaviour
from .object_store import Credentials, ObjectStore
from .tally import Tally

BYTES_PER_TOKEN: Final = 131_072
L1_TAG: Final = "_default"
_GB_PER_SECOND: Final = (0.0, 5.0, 10.0, 25.0, 50.0, 75.0, 100.0, 250.0, 500.0, 750.0, 1e3, 2.5e3, 5e3, 7.5e3, 1e4)


@dataclass(frozen=True)
class Layout:
    """What stands in an object key besides the hash."""

    model: str
    kv_rank: str
    salt: str = ""

    def key(self, chunk_hash: str) -> str:
        """Return the object key of a chunk."""
        return f"{self.model}@{self.kv_rank}@0@{chunk_hash}" + (f"@{self.salt}" if self.salt else "")


@dataclass(frozen=True)
class Engine:
    """An engine that has registered its KV cache; the names are those of /status."""

    model_name: str
    world_size: int
    block_size: int


class CacheServer:
    """One running cache server.

    Args:
        arguments: Of its command line.
        environment: Of its container.
        behaviour: What the pod does at the moment of a call.
        started_at: Seconds of the epoch.

    Raises:
        CommandError: There are no credentials for the object tier.
    """

    def __init__(
        self,
        arguments: CacheArguments,
        environment: Mapping[str, str],
        behaviour: Callable[[], Behaviour],
        started_at: float,
    ) -> None:
        self.arguments = arguments
        self.started_at = started_at
        self.tally = Tally()
        self.engine: Engine | None = None
        self.events = 0
        self._behaviour = behaviour
        self._l1: OrderedDict[str, None] = OrderedDict()
        self._background: set[asyncio.Task[None]] = set()
        self.stores = [
            _open_store(item, environment, behaviour)
            for item in arguments.adapters
            if item.kind in {"s3", "nixl_native", "plugin"}
        ]

    @property
    def chunk_bytes(self) -> int:
        """Size of a chunk."""
        return self.arguments.chunk_size * BYTES_PER_TOKEN

    @property
    def objects(self) -> int:
        """Chunks in DRAM."""
        return len(self._l1)

    @property
    def used_bytes(self) -> int:
        """Bytes in DRAM."""
        return len(self._l1) * self.chunk_bytes

    @property
    def stores_in_flight(self) -> int:
        """Writes to the object tier that have not ended."""
        return len(self._background)

    @property
    def healthy(self) -> bool:
        """What /status says of itself: false only with an open breaker."""
        return not any(store.disabled for store in self.stores)

    def clear(self) -> int:
        """Empty DRAM; return how many chunks were dropped."""
        return self._evict(len(self._l1))

    async def look_up(self, layout: Layout, hashes: Sequence[str]) -> int:
        """Return how many chunks from the first on are at hand, after those of the object tier were loaded."""
        keys = [layout.key(item) for item in hashes]
        in_l1 = next((index for index, key in enumerate(keys) if key not in self._l1), len(keys))
        for key in keys[:in_l1]:
            self._l1.move_to_end(key)
        in_l2 = 0
        for store in self.stores:
            if in_l1 + in_l2 < len(keys):
                in_l2 += await self._load(store, layout, keys[in_l1 + in_l2 :])
        self._count_look_up(layout, len(keys), in_l1, in_l2)
        return in_l1 + in_l2

    def store(self, layout: Layout, hashes: Sequence[str]) -> None:
        """Keep chunks in DRAM and begin to write them to the object tier."""
        keys = [layout.key(item) for item in hashes if layout.key(item) not in self._l1]
        if not keys:
            return
        self.events += 1
        self._insert(keys)
        self.tally.add("lmcache_mp_l1_write_chunks_total", len(keys), cache_salt=layout.salt, l1_tag=L1_TAG)
        for store in self.stores:
            task = asyncio.create_task(self._save(store, layout, keys))
            self._background.add(task)
            task.add_done_callback(self._background.discard)

    async def settle(self) -> None:
        """Wait for the writes under way."""
        await asyncio.gather(*self._background)

    async def _load(self, store: ObjectStore, layout: Layout, keys: Sequence[str]) -> int:
        self.tally.add("lmcache_mp_l2_prefetch_lookup_requests_total")
        self.tally.add("lmcache_mp_l2_prefetch_lookup_objects_chunks_total", len(keys), cache_salt=layout.salt)
        found = await store.look_up(keys)
        if not found:
            return 0
        self.tally.add("lmcache_mp_l2_prefetch_load_submitted_requests_total")
        self.tally.add("lmcache_mp_l2_prefetch_load_submitted_objects_chunks_total", found)
        loaded = await store.load(keys[:found])
        if loaded < found:
            self.tally.add(
                "lmcache_mp_l2_prefetch_failure_chunks_total",
                found - loaded,
                model_name=layout.model,
                reason="not_found",
            )
        if loaded:
            self.tally.add("lmcache_mp_l2_load_completed_requests_total", l2_name="s3")
            self.tally.add("lmcache_mp_l2_prefetch_load_completed_chunks_total", loaded)
            self.tally.observe("lmcache_mp_l2_load_throughput_GB_per_second", 1.0, _GB_PER_SECOND, l2_name="s3")
        if self.arguments.keep_loaded:
            self._insert(keys[:loaded])
        return loaded

    async def _save(self, store: ObjectStore, layout: Layout, keys: Sequence[str]) -> None:
        if store.disabled:
            return
        self.tally.add("lmcache_mp_l1_read_chunks_total", len(keys), cache_salt=layout.salt, l1_tag=L1_TAG)
        self.tally.add("lmcache_mp_l2_store_submitted_requests_total")
        self.tally.add("lmcache_mp_l2_store_submitted_objects_chunks_total", len(keys), cache_salt=layout.salt)
        written = await store.save(keys)
        if written:
            self.tally.add("lmcache_mp_l2_store_completed_requests_total", l2_name="s3")
            self.tally.add("lmcache_mp_l2_store_completed_objects_chunks_total", written, cache_salt=layout.salt)
            self.tally.observe("lmcache_mp_l2_store_throughput_GB_per_second", 1.0, _GB_PER_SECOND, l2_name="s3")

    def _insert(self, keys: Sequence[str]) -> None:
        self._l1.update(dict.fromkeys(keys))
        room = self.arguments.l1_bytes // self.chunk_bytes
        watermark = int(room * self.arguments.eviction_watermark)
        if len(self._l1) > watermark:
            self._evict(len(self._l1) - max(watermark - int(room * self.arguments.eviction_ratio), 0))

    def _evict(self, count: int) -> int:
        for _ in range(count):
            key, _ = self._l1.popitem(last=False)
            self.tally.add("lmcache_mp_l1_evicted_chunks_total", cache_salt=_salt_of(key), l1_tag=L1_TAG)
        return count

    def _count_look_up(self, layout: Layout, asked: int, in_l1: int, in_l2: int) -> None:
        size = self.arguments.chunk_size
        labels: dict[str, str] = {"cache_salt": layout.salt, "model_name": layout.model}
        self.tally.add("lmcache_mp_l1_read_chunks_total", in_l1 + in_l2, cache_salt=layout.salt, l1_tag=L1_TAG)
        self.tally.add("lmcache_mp_lookup_requested_tokens_total", asked * size, **labels)
        self.tally.add("lmcache_mp_lookup_hit_tokens_total", (in_l1 + in_l2) * size, **labels)
        self.tally.add("lmcache_mp_lookups_requests_total", 1, **labels)
        for tier, hits in (("l1", in_l1), ("l2", in_l2)):
            self.tally.add(f"lmcache_mp_lookup_hit_{tier}_tokens_total", hits * size, **labels)
            self.tally.add(f"lmcache_mp_lookup_hit_{tier}_keys_total", hits, **labels)


def _salt_of(key: str) -> str:
    return key.split("@")[4] if key.count("@") == 4 else ""


def _open_store(adapter: Adapter, environment: Mapping[str, str], behaviour: Callable[[], Behaviour]) -> ObjectStore:
    try:
        credentials = Credentials(environment["AWS_ACCESS_KEY_ID"], environment["AWS_SECRET_ACCESS_KEY"])
    except KeyError as error:
        raise CommandError(f"no AWS credentials found: {error.args[0]} is not set", 1) from None
    return ObjectStore(adapter, credentials, behaviour)
