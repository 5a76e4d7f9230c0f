"""Inputs of capacity plans: the published set-up, and the machine on which the gains were measured."""

from dataclasses import replace
from typing import Any, Final, TypeVar

from inference_cache.domain.cache_rate import Supply
from inference_cache.domain.capacity_inputs import CapacityInputs, Layout, Link, Machine, Tiers, Workload
from inference_cache.domain.gpu_specs import GPU_SPECS
from inference_cache.domain.model_shape import ModelShape

LLAMA_70B: Final = ModelShape(80, 64, 8, 128, weight_dtype="bfloat16", parameters=70_553_706_496)
LLAMA_8B: Final = ModelShape(32, 32, 8, 128, weight_dtype="bfloat16", parameters=8_030_261_248)
QWEN_7B: Final = ModelShape(28, 28, 4, 128, weight_dtype="bfloat16", parameters=7_615_616_512)
QWEN3_8B: Final = ModelShape(36, 32, 8, 128, weight_dtype="bfloat16", parameters=8_190_735_360)
QWEN3_32B: Final = ModelShape(64, 64, 8, 128, weight_dtype="bfloat16", parameters=32_762_123_264)
GIB: Final = 2**30

# 96 conversations of 50,000 tokens on 8 H200 NVL with 1.5 TB of DRAM and two ports of 100 Gbit/s.
PUBLISHED: Final = CapacityInputs(
    shape=LLAMA_70B,
    workload=Workload(conversations=96, context_tokens=50_000, new_tokens=300, answer_tokens=200),
    machine=Machine(GPU_SPECS["NVIDIA-H200-NVL"], gpus=8),
    tiers=Tiers(1.5e12, object_store=True, retention_days=7),
    layout=Layout(tensor_parallel_size=8),
    link=Link(network_bits_per_second=200e9),
)


T = TypeVar("T")


def known(value: T | None) -> T:
    """Return a figure that the plan must know."""
    assert value is not None
    return value


def build_published(*, dram: float = 1.5e12, gbits: float = 200, all_usable: bool = False) -> CapacityInputs:
    """Return the published set-up with another DRAM size or link; all_usable lets LMCache fill DRAM to the brim."""
    tiers = replace(PUBLISHED.tiers, dram_bytes=dram)
    if all_usable:
        tiers = replace(tiers, watermark=1.0, eviction_ratio=0.0)
    return replace(PUBLISHED, tiers=tiers, link=Link(network_bits_per_second=gbits * 1e9))


def build_measured(
    shape: ModelShape, *, context: int, conversations: int, computed: float, read: float, hbm: float, dram: float
) -> CapacityInputs:
    """Return one H100 of the measured runs: computed tokens/s, S3 bytes/s reached, KV pool and DRAM tier in bytes."""
    return CapacityInputs(
        shape=shape,
        workload=Workload(conversations, context, new_tokens=256, answer_tokens=96),
        machine=Machine(GPU_SPECS["NVIDIA-H100-80GB-HBM3"], 1, prefill_tokens_per_second=computed, hbm_kv_bytes=hbm),
        tiers=Tiers(dram, object_store=True),
        layout=Layout(),
        link=Link(read_bytes_per_second=read, write_bytes_per_second=2.3e9),
    )


MEASURED: Final = {
    "A 8B 16k": build_measured(
        LLAMA_8B, context=16_384, conversations=24, computed=25.4e3, read=2.49e9, hbm=18.9e9, dram=24 * GIB
    ),
    "B 8B 48k": build_measured(
        LLAMA_8B, context=49_152, conversations=8, computed=17.9e3, read=2.51e9, hbm=18.9e9, dram=24 * GIB
    ),
    "C 7B 16k": build_measured(
        QWEN_7B, context=16_384, conversations=24, computed=30.1e3, read=2.37e9, hbm=8.3e9, dram=11 * GIB
    ),
}


def build_supply(*, s3_rate: float | None = None, **changes: Any) -> Supply:
    """Return a replica whose hit costs a nineteenth of the prefill, so that the ceiling is 20."""
    supply = Supply(
        prefill=3.8,
        suffix=0.1,
        decode=0.1,
        lone_answer=0.5,
        session_bytes=16.384e9,
        local_rate=400e9,
        s3_rate=s3_rate,
        conversations=96,
        slots=50,
    )
    return replace(supply, **changes)
