"""The figures of a capacity plan. Bytes, seconds, and bytes per second throughout; GB and TB are powers of ten."""

from dataclasses import dataclass
from enum import StrEnum

from .cache_link import EffectiveLink
from .cache_rate import Limit
from .capacity_inputs import CapacityInputs
from .hit_rate import HitBounds
from .request_cost import RequestCost


@dataclass(frozen=True)
class Bounds:
    """A range that holds whatever the order of turns."""

    low: float
    high: float


@dataclass(frozen=True)
class KVSizes:
    """Sizes of cached KV; stored means in DRAM and S3, where KV heads are repeated if there are fewer than ranks.

    Attributes:
        bytes_per_token: Stored.
        hbm_bytes_per_token: In the HBM of all ranks together.
        session_bytes: One conversation of the mean context, stored.
        hbm_session_bytes: The same in HBM.
        object_bytes: One S3 object.
        objects_per_session: Objects of one conversation; also the HEAD requests of one cold look-up.
        objects_total: Objects of all conversations.
    """

    bytes_per_token: int
    hbm_bytes_per_token: int
    session_bytes: float
    hbm_session_bytes: float
    object_bytes: int
    objects_per_session: int
    objects_total: int

    @property
    def copied_per_gpu(self) -> bool:
        """Whether HBM holds a copy of the same KV on every GPU, as with latent attention."""
        return self.hbm_bytes_per_token > self.bytes_per_token


@dataclass(frozen=True)
class WorkingSet:
    """KV of all conversations of the deployment at the first turn, in the mean and at the last turn.

    Attributes:
        replica_bytes: The mean share of the fullest replica, which is what one replica's tiers must hold.
    """

    start_bytes: float
    mean_bytes: float
    max_bytes: float
    replica_bytes: float


@dataclass(frozen=True)
class HBMPool:
    """Room for KV in the HBM of one replica, and how many conversations of the mean context it takes at once."""

    kv_bytes: float
    sessions: int


@dataclass(frozen=True)
class DRAMFit:
    """The DRAM tier of one replica against its working set.

    LMCache evicts a batch when a watermark is passed, so what it holds moves between usable_low and usable_high; only
    these enter hit rates and gains. raw_fit compares the configured size, which is never all in use.
    """

    configured_bytes: float
    usable_low: float
    usable_high: float
    raw_fit: float
    usable_fit: Bounds


@dataclass(frozen=True)
class Hits:
    """Hit-rate bounds of turns after the first.

    Attributes:
        hbm: HBM alone.
        dram: HBM and DRAM; the larger of the two, because DRAM holds copies of what is in HBM.
        all_tiers: With S3 where it gives hits.
        from_s3: Whether S3 gives hits: there is one, and a load of one conversation fits into DRAM.
        over_turns: What a cache without limits reaches when first turns count too; None where turns are not stated.
    """

    hbm: HitBounds | None
    dram: HitBounds
    all_tiers: HitBounds
    from_s3: bool
    over_turns: float | None


@dataclass(frozen=True)
class GainBounds:
    """Request rate over the rate without a cache, as computed for the worse and the better order of turns."""

    cyclic: float
    random: float

    @property
    def low(self) -> float:
        """The cautious end: 0.8 of the smaller value, but no discount turns a gain into a loss."""
        smaller = min(self.cyclic, self.random)
        return smaller if smaller <= 1 else max(1.0, 0.8 * smaller)

    @property
    def high(self) -> float:
        """The larger computed value."""
        return max(self.cyclic, self.random)


@dataclass(frozen=True)
class Gains:
    """What the cache gains.

    Attributes:
        ceiling: Gain of a perfect cache; None where a hit would cost no GPU time at all.
        dram: With HBM and DRAM.
        all_tiers: With S3; None where there is none or its link is not known.
        added_by_s3: all_tiers over dram, whichever order of turns either of them meets: a cache changes when answers
            come, so runs with and without S3 do not see the same order. Both are computed alike, so no discount is due.
    """

    ceiling: float | None
    dram: GainBounds | None
    all_tiers: GainBounds | None
    added_by_s3: Bounds | None


@dataclass(frozen=True)
class BreakEven:
    """Whether loading is faster than computing, and storing as fast.

    Attributes:
        bytes_per_second: Link rate of one replica at which a load takes as long as the prefill that it saves. A cold
            replica also writes at this rate.
        range: The same at the slowest and fastest plausible prefill; a single value where prefill was measured.
        read_ratio: Read link over break-even; below 1 a hit from S3 is slower than prefill.
        write_ratio: Write link over it; below 1 the cold phase waits for the store.
    """

    bytes_per_second: float
    range: Bounds
    read_ratio: float | None
    write_ratio: float | None


@dataclass(frozen=True)
class Throughput:
    """Requests per second of one replica in the worse and the better order of turns.

    Attributes:
        limit: What to enlarge first, judged in the worse order.
        response: Seconds that a conversation waits for its whole answer when all of them take turns without a pause.
        ttft: The part of it before the first token.
    """

    cyclic: float
    random: float
    limit: Limit
    response: Bounds | None = None
    ttft: Bounds | None = None


@dataclass(frozen=True)
class ObjectTraffic:
    """Load on the object store.

    Attributes:
        gets_per_second: GET requests of one replica when its read link is full.
        heads_per_cold_lookup: HEAD requests of one request whose context is not in DRAM.
        steady_write_bytes_per_second: PUT of the whole deployment at the higher throughput.
        retained_bytes: What that leaves in the bucket until objects expire; None where nothing expires.
    """

    gets_per_second: float | None
    heads_per_cold_lookup: int
    steady_write_bytes_per_second: float | None
    retained_bytes: float | None


@dataclass(frozen=True)
class Unknown:
    """A figure that the plan lacks, and why."""

    what: str
    why: str


class FindingLevel(StrEnum):
    """How much a finding matters."""

    INFO = "Info"
    WARNING = "Warning"


class FindingReason(StrEnum):
    """Stable names of findings; automation may branch on them."""

    METADATA_UNKNOWN = "MetadataUnknown"
    HBM_TOO_SMALL = "HBMTooSmall"
    MAX_MODEL_LEN_EXCEEDS_HBM = "MaxModelLenExceedsHBM"
    CONTEXT_EXCEEDS_MAX_MODEL_LEN = "ContextExceedsMaxModelLen"
    CYCLIC_CLIFF_RISK = "CyclicCliffRisk"
    WORKING_SET_EXCEEDS_DRAM = "WorkingSetExceedsDRAM"
    TIER_TOO_SMALL = "TierTooSmall"
    DRAM_NOT_LARGER_THAN_HBM = "DRAMNotLargerThanHBM"
    IN_FLIGHT_LOADS_EXCEED_DRAM = "InFlightLoadsExceedDRAM"
    LINK_BELOW_BREAK_EVEN = "LinkBelowBreakEven"
    LINK_NEAR_BREAK_EVEN = "LinkNearBreakEven"
    WRITE_BELOW_COLD_INGEST = "WriteBelowColdIngest"
    S3_WORTHWHILE = "S3Worthwhile"
    S3_NOT_WORTHWHILE = "S3NotWorthwhile"
    S3_WORTH_DEPENDS_ON_ORDER = "S3WorthDependsOnOrder"
    DECODE_BOUND = "DecodeBound"


@dataclass(frozen=True)
class Finding:
    """Something that a user should know, with figures and what to do."""

    level: FindingLevel
    reason: FindingReason
    message: str


@dataclass(frozen=True)
class CapacityPlan:
    """Every figure that the inputs determine. None means unknown, or not applicable without an object store.

    Attributes:
        weight_bytes: Bytes of all weights of one replica.
        read_link: From the object store into HBM, one replica.
        local_link: From DRAM into HBM, one replica.
        write_link: To the object store, one replica.
        load_seconds: Time to load one conversation from S3 over an idle link.
        hit_ttft_seconds: Load and prefill of the new tokens; first token of a lone S3 hit.
    """

    inputs: CapacityInputs
    kv: KVSizes | None
    working_set: WorkingSet | None
    weight_bytes: float | None
    hbm: HBMPool | None
    dram: DRAMFit | None
    hits: Hits | None
    cost: RequestCost
    read_link: EffectiveLink | None
    local_link: EffectiveLink
    write_link: EffectiveLink | None
    load_seconds: float | None
    hit_ttft_seconds: float | None
    break_even: BreakEven | None
    gains: Gains | None
    throughput: Throughput | None
    traffic: ObjectTraffic | None
    unknowns: tuple[Unknown, ...] = ()
    findings: tuple[Finding, ...] = ()
