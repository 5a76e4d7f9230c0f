"""The process behind `vllm serve`: requests, their use of the cache server, and what it counts."""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from .arguments import EngineArguments
from .behaviours import Behaviour
from .cache_server import CacheServer, Engine, Layout
from .chunks import hash_chunks
from .tally import SECONDS, TOKENS, Tally

BLOCK_SIZE: Final = 128
_WORDS: Final = ("the", "cache", "holds", "what", "was", "read", "before", "and", "serves", "it", "again")
_TOKEN_HISTOGRAMS: Final = (
    "request_prompt_tokens",
    "request_generation_tokens",
    "iteration_tokens_total",
    "request_max_num_generation_tokens",
    "request_params_n",
    "request_params_max_tokens",
    "request_prefill_kv_computed_tokens",
    "request_num_preemptions",
)
_TIME_HISTOGRAMS: Final = (
    "time_to_first_token_seconds",
    "inter_token_latency_seconds",
    "request_time_per_output_token_seconds",
    "e2e_request_latency_seconds",
    "request_queue_time_seconds",
    "request_inference_time_seconds",
    "request_prefill_time_seconds",
    "request_decode_time_seconds",
)


@dataclass
class Request:
    """A request under way; `generated` grows while it is decoded."""

    tokens: list[str]
    max_tokens: int
    salt: str
    begun: float
    cached: int = 0
    generated: int = 0
    finish_reason: str = "length"

    def word(self) -> str:
        """Return the text of the latest generated token: the same for the same prompt, whatever was cached."""
        return " " + _WORDS[(len(self.tokens) + self.generated) % len(_WORDS)]


class EngineProcess:
    """One running engine.

    Args:
        arguments: Of its command line.
        find_cache: Returns the pod's cache server while it runs.
        behaviour: What the pod does at the moment of a call.
        started_at: Seconds of the epoch.
    """

    def __init__(
        self,
        arguments: EngineArguments,
        find_cache: Callable[[], CacheServer | None],
        behaviour: Callable[[], Behaviour],
        started_at: float,
    ) -> None:
        self.arguments = arguments
        self.started_at = started_at
        self.running = 0
        self.connected = arguments.kv_transfer is None
        self.draining = False
        self._find_cache = find_cache
        self._behaviour = behaviour
        self._labels = {"engine": "0", "model_name": arguments.served_name}
        self.tally = Tally()
        self._declare()

    async def prefill(self, tokens: list[str], max_tokens: int, salt: str) -> Request:
        """Take a request up to its first token. A request that comes while the engine drains is aborted."""
        request = Request(tokens, max_tokens, salt, time.monotonic())
        if self.draining:
            request.max_tokens, request.finish_reason = 0, "abort"
            return request
        self.running += 1
        try:
            await self._compute(request)
        except BaseException:
            # The client hung up.
            self.running -= 1
            raise
        return request

    async def _compute(self, request: Request) -> None:
        tokens = request.tokens
        cache = self._cache()
        computed: list[str] = []
        layout = Layout(self.arguments.model, self.arguments.kv_rank, request.salt)
        if cache is not None:
            size = cache.arguments.chunk_size
            hashes = hash_chunks(tokens, size)
            asked = time.monotonic()
            hits = await cache.look_up(layout, hashes)
            # Chunks that were read are not stored again.
            computed = hashes[hits:]
            self._observe("lmcache_mp_lookup_duration_seconds", time.monotonic() - asked)
            # The last token is always computed: its output is the first generated one.
            request.cached = max(min(hits * size, len(tokens) - 1), 0)
            self._add("external_prefix_cache_queries_total", len(tokens))
            self._add("external_prefix_cache_hits_total", request.cached)
        if speed := self._behaviour().prefill_tokens_per_second:
            await asyncio.sleep((len(tokens) - request.cached) / speed)
        if cache is not None:
            cache.store(layout, computed)
        self._count_prefill(request)

    async def decode(self, request: Request) -> str | None:
        """Return the text of the next token; None: the request is complete."""
        if request.generated >= request.max_tokens:
            return None
        if seconds := self._behaviour().token_seconds:
            await asyncio.sleep(seconds)
        request.generated += 1
        if request.generated > 1:
            self._observe("inter_token_latency_seconds", self._behaviour().token_seconds)
        return request.word()

    def finish(self, request: Request) -> None:
        """Count a request that has ended, complete or not."""
        if request.finish_reason == "abort":
            self._add("request_success_total", finished_reason="abort")
            return
        self.running -= 1
        elapsed = time.monotonic() - request.begun
        complete = request.generated >= request.max_tokens
        self._add("request_success_total", finished_reason=request.finish_reason if complete else "abort")
        self._add("generation_tokens_total", request.generated)
        for name, value in (
            ("request_generation_tokens", request.generated),
            ("request_max_num_generation_tokens", request.max_tokens),
            ("request_params_max_tokens", request.max_tokens),
            ("request_params_n", 1),
            ("request_num_preemptions", 0),
            ("e2e_request_latency_seconds", elapsed),
            ("request_inference_time_seconds", elapsed),
        ):
            self._observe(name, value)

    def _cache(self) -> CacheServer | None:
        cache = self._find_cache()
        if cache is None or self.arguments.kv_transfer is None:
            return None
        # A cache server that started anew gets the engine registered again by its heartbeat.
        cache.engine = Engine(self.arguments.model, self.arguments.tensor_parallel_size, BLOCK_SIZE)
        return cache

    def _count_prefill(self, request: Request) -> None:
        prompt, computed = len(request.tokens), len(request.tokens) - request.cached
        elapsed = time.monotonic() - request.begun
        self._add("prompt_tokens_total", prompt)
        self._add("prompt_tokens_by_source_total", computed, source="local_compute")
        self._add("prompt_tokens_by_source_total", request.cached, source="external_kv_transfer")
        self._add("prompt_tokens_cached_total", request.cached)
        self._add("prompt_tokens_cached_by_source_total", request.cached, source="external_unspecified")
        self._observe("time_to_first_token_seconds", elapsed)
        self._observe("request_prefill_time_seconds", elapsed)
        self._observe("request_prompt_tokens", prompt)
        self._observe("request_prefill_kv_computed_tokens", computed)

    def _add(self, name: str, amount: float = 1, **labels: str) -> None:
        self.tally.add(f"vllm:{name}", amount, **self._labels, **labels)

    def _observe(self, name: str, value: float) -> None:
        bounds = TOKENS if name in _TOKEN_HISTOGRAMS else SECONDS
        self.tally.observe(f"vllm:{name}", value, bounds, **self._labels)

    def _declare(self) -> None:
        """Show all series from the start, as vLLM does."""
        for name in (
            "estimated_flops_per_gpu_total",
            "estimated_read_bytes_per_gpu_total",
            "estimated_write_bytes_per_gpu_total",
            "prefix_cache_queries_total",
            "prefix_cache_hits_total",
            "external_prefix_cache_queries_total",
            "external_prefix_cache_hits_total",
            "mm_cache_queries_total",
            "mm_cache_hits_total",
            "num_preemptions_total",
            "prompt_tokens_total",
            "prompt_tokens_cached_total",
            "generation_tokens_total",
        ):
            self._add(name, 0)
        for source in ("local_compute", "local_cache_hit", "external_kv_transfer"):
            self._add("prompt_tokens_by_source_total", 0, source=source)
        for source in ("device", "host", "p2p", "disk", "external_unspecified"):
            self._add("prompt_tokens_cached_by_source_total", 0, source=source)
        for reason in ("stop", "length", "abort", "error", "repetition"):
            self._add("request_success_total", 0, finished_reason=reason)
        for reason in ("max_num_queued_reqs", "max_num_queued_tokens"):
            name = self.arguments.served_name
            self.tally.add("vllm:admission_rejections_total", 0, model_name=name, reason=reason)
        for name in _TOKEN_HISTOGRAMS:
            self.tally.declare(f"vllm:{name}", TOKENS, **self._labels)
        connector = [] if self.arguments.kv_transfer is None else ["lmcache_mp_lookup_duration_seconds"]
        for name in (*connector, *_TIME_HISTOGRAMS):
            self.tally.declare(f"vllm:{name}", SECONDS, **self._labels)
