"""Stand-in for torch, as far as a trial touches it: one-dimensional bytes that share memory with their slices."""

from typing import Any

uint8 = "uint8"


class Tensor:
    """Bytes; a slice is a view of the same memory."""

    def __init__(self, memory: memoryview) -> None:
        self.memory = memory

    def __getitem__(self, place: slice) -> "Tensor":
        return Tensor(self.memory[place])

    def __setitem__(self, place: slice, value: Any) -> None:
        target = self.memory[place]
        target[:] = value.memory if isinstance(value, Tensor) else bytes([value]) * len(target)

    def numpy(self) -> memoryview:
        """Return what has tobytes."""
        return self.memory


def frombuffer(content: bytearray, dtype: str) -> Tensor:
    """Return the bytes of a buffer."""
    assert dtype == uint8
    return Tensor(memoryview(content))
