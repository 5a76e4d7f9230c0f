"""Stand-in for the helpers of LMCache's benchmark."""

from dataclasses import dataclass

from torch import Tensor  # type: ignore[import-not-found]


@dataclass(frozen=True)
class Key:
    """An object key."""

    model_name: str
    kv_rank: int

    def __str__(self) -> str:
        return f"{self.model_name}@{self.kv_rank:08x}@0@aa"


def make_aligned_tensor(num_bytes: int, _align_bytes: int) -> Tensor:
    """Return memory."""
    return Tensor(memoryview(bytearray(num_bytes)))


def create_l1_memory_desc(buffer: Tensor, align_bytes: int) -> tuple[int, int]:
    """Return size and alignment."""
    return len(buffer.memory), align_bytes


def make_object_keys(num_keys: int, model_name: str, key_offset: int) -> list[Key]:
    """Return keys."""
    return [Key(model_name, key_offset + number) for number in range(num_keys)]


def make_memory_objects(buffer: Tensor, num_keys: int, data_size: int, base_offset: int) -> list[Tensor]:
    """Return views of the buffer."""
    starts = (base_offset + number * data_size for number in range(num_keys))
    return [buffer[start : start + data_size] for start in starts]
