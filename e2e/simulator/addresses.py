"""Which pod IP is given next.

KWOK gives the fake pods of the same cluster addresses from the low end of the range, so engine pods get the upper half
and neither needs to know of the other. Addresses only go up and wrap around, so a dead pod's address rests long.
"""

from ipaddress import IPv4Address, IPv4Network


class AddressesExhaustedError(Exception):
    """Every address is taken."""


class AddressPool:
    """The addresses of the upper half of a range.

    Args:
        cidr: An IPv4 range whose addresses this machine can listen on, such as one of 127.0.0.0/8.
    """

    def __init__(self, cidr: str) -> None:
        network = IPv4Network(cidr)
        self._first = int(network.network_address) + network.num_addresses // 2
        # The last one is the broadcast address.
        self._size = network.num_addresses - network.num_addresses // 2 - 1
        self._next = 0
        self._taken: set[str] = set()

    def take(self, address: str) -> bool:
        """Reserve a certain address; false: taken already, or not of this range."""
        try:
            offset = int(IPv4Address(address)) - self._first
        except ValueError:
            return False
        if not 0 <= offset < self._size or address in self._taken:
            return False
        self._taken.add(address)
        self._next = max(self._next, offset + 1)
        return True

    def allocate(self) -> str:
        """Reserve the next free address.

        Raises:
            AddressesExhaustedError: None is free.
        """
        for _ in range(self._size):
            address = str(IPv4Address(self._first + self._next % self._size))
            self._next += 1
            if address not in self._taken:
                self._taken.add(address)
                return address
        raise AddressesExhaustedError(f"all {self._size} pod addresses are in use; give a larger --pod-cidr")

    def release(self, address: str) -> None:
        """Make an address free again."""
        self._taken.discard(address)
