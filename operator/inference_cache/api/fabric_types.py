"""Mode and type of a fabric, which decide what everything else in it may say."""

from enum import StrEnum
from typing import Final


class FabricMode(StrEnum):
    """Who makes the objects of the fabric."""

    REFERENCE = "Reference"
    MANAGE = "Manage"


class FabricType(StrEnum):
    """How pods get RDMA devices."""

    SRIOV_ETHERNET = "SRIOVEthernet"
    SRIOV_INFINIBAND = "SRIOVInfiniBand"
    SHARED_MACVLAN = "SharedMacvlan"
    SHARED_IPOIB = "SharedIPoIB"
    HOST_DEVICE = "HostDevice"


SRIOV_TYPES: Final = (FabricType.SRIOV_ETHERNET, FabricType.SRIOV_INFINIBAND)
SHARED_TYPES: Final = (FabricType.SHARED_MACVLAN, FabricType.SHARED_IPOIB)


def _has_type(types: tuple[FabricType, ...]) -> str:
    return f"self.type in {[item.value for item in types]}"


# In rules of the fabric's spec, where self is the spec.
IS_MANAGED: Final = "self.mode == 'Manage'"
IS_SRIOV: Final = _has_type(SRIOV_TYPES)
IS_SHARED: Final = _has_type(SHARED_TYPES)
