"""What the capacity plan is made from: workload, machine, tiers, layout and link, each as plain numbers.

Figures of machine, tiers and link are those of one replica, because a pod has its own GPUs, DRAM tier and network ports;
the workload is that of the whole deployment. GB and TB are powers of ten.
"""

from dataclasses import dataclass, field

from .gpu_specs import GPUSpec
from .model_shape import ModelShape, ShapeUnknown


@dataclass(frozen=True)
class Workload:
    """What the deployment serves: conversations that come back turn after turn.

    Attributes:
        conversations: Conversations that take turns, in the whole deployment (at least 1).
        context_tokens: Tokens that a conversation has at the first turn that counts (at least 1).
        new_tokens: Tokens that each turn adds to the prompt.
        answer_tokens: Tokens that each turn generates.
        replicas: Engine pods; 0 is planned as for 1. A conversation is taken to stay with its replica; a router that spreads the turns of one
            conversation makes every replica hold more than this plan says.
        turns: Turns that count, each longer than the one before by new and answer tokens; None keeps the context as
            stated.
        max_model_len: Tokens that the engine takes in one request, prompt and answer together; None where not known.
    """

    conversations: int
    context_tokens: int
    new_tokens: int
    answer_tokens: int
    replicas: int = 1
    turns: int | None = None
    max_model_len: int | None = None

    @property
    def conversations_per_replica(self) -> int:
        """The share of the fullest replica."""
        return -(-self.conversations // max(1, self.replicas))

    @property
    def growth_tokens(self) -> int:
        """Tokens by which the context grows per turn."""
        return self.new_tokens + self.answer_tokens

    @property
    def mean_context(self) -> float:
        """Mean context over the turns that count."""
        return (self.context_tokens + self.longest_context) / 2

    @property
    def longest_context(self) -> int:
        """Context of the last turn that counts."""
        return self.context_tokens + (max(1, self.turns or 1) - 1) * self.growth_tokens


@dataclass(frozen=True)
class Link:
    """The way to the object store of one replica, None where it is not known.

    Attributes:
        network_bits_per_second: Sum of the line rates of its ports.
        read_bytes_per_second: Measured GET rate (`lmcache bench l2`, or counters while serving).
        write_bytes_per_second: Measured PUT rate.
        efficiency: Part of the line rate that payload reaches; one 400 GbE port was measured at 0.93.
    """

    network_bits_per_second: float | None = None
    read_bytes_per_second: float | None = None
    write_bytes_per_second: float | None = None
    efficiency: float = 0.93


@dataclass(frozen=True)
class Machine:
    """The GPUs of one replica and how well they are used.

    Attributes:
        gpu: Data sheet of one GPU; None where the product is not known.
        gpus: GPUs of one replica.
        hbm_utilization: Part of the HBM that the engine may take.
        mfu: Part of the peak FLOP/s that prefill reaches; mfu_low and mfu_high are the range to plan with. One H100 was
            measured at 0.7 with single requests to an 8B model, where break-even lies higher than planned.
        mbu: Part of the HBM bandwidth that decode reaches (0.6 to 0.7).
        overhead_bytes_per_gpu: HBM that neither weights nor KV can use.
        dram_copy_bytes_per_second: Copies out of the DRAM tier, in all.
        prefill_tokens_per_second: Measured prefill rate of one replica; replaces the model of the prefill time.
        hbm_kv_bytes: KV pool as the engine reports it; replaces the estimate.
    """

    gpu: GPUSpec | None
    gpus: int
    hbm_utilization: float = 0.9
    mfu: float = 0.35
    mfu_low: float = 0.20
    mfu_high: float = 0.50
    mbu: float = 0.65
    overhead_bytes_per_gpu: float = 5e9
    dram_copy_bytes_per_second: float = 400e9
    prefill_tokens_per_second: float | None = None
    hbm_kv_bytes: float | None = None

    @property
    def prefill_source(self) -> str:
        """Where the prefill speed comes from, as a word before it."""
        return "measured" if self.prefill_tokens_per_second else "planned"

    @property
    def hbm_budget_bytes(self) -> float | None:
        """HBM for weights and KV of one replica; None where the GPU is not known."""
        if self.gpu is None:
            return None
        return self.gpus * (self.hbm_utilization * self.gpu.memory_bytes - self.overhead_bytes_per_gpu)


@dataclass(frozen=True)
class Tiers:
    """The tiers below HBM of one replica.

    Attributes:
        dram_bytes: Configured size of the DRAM tier.
        watermark: Part of it at which LMCache begins to evict.
        eviction_ratio: Part of what is held that one eviction removes.
        object_store: Whether an S3 tier lies below; it is taken to hold everything.
        max_in_flight_loads: Loads from S3 that LMCache runs at once; each needs room in DRAM.
        retention_days: Age at which objects expire; None where nothing removes them.
    """

    dram_bytes: float
    watermark: float = 0.8
    eviction_ratio: float = 0.2
    object_store: bool = False
    max_in_flight_loads: int = 8
    retention_days: float | None = None

    @property
    def usable_low(self) -> float:
        """What the DRAM tier holds right after an eviction."""
        return self.usable_high * (1 - self.eviction_ratio)

    @property
    def usable_high(self) -> float:
        """What the DRAM tier holds right before an eviction."""
        return self.dram_bytes * self.watermark


@dataclass(frozen=True)
class Layout:
    """How KV is cut into objects.

    Attributes:
        tensor_parallel_size: Ranks of the engine.
        chunk_tokens: Tokens of one chunk.
        kv_bytes_per_element: 2 for 16-bit KV, 1 for fp8; None where the checkpoint decides and is not known.
        weight_bytes: Bytes of all weights where better known than from the shape.
    """

    tensor_parallel_size: int = 1
    chunk_tokens: int = 256
    kv_bytes_per_element: int | None = 2
    weight_bytes: float | None = None


@dataclass(frozen=True)
class CapacityInputs:
    """Everything that the capacity plan depends on."""

    shape: ModelShape | ShapeUnknown
    workload: Workload
    machine: Machine
    tiers: Tiers
    layout: Layout
    link: Link = field(default_factory=Link)
