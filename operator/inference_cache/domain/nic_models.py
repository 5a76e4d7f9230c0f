"""What a PCI device id says of a network adapter; ids as in the SR-IOV network operator's list of supported NICs."""

from typing import Final

MELLANOX: Final = "15b3"
BLUEFIELD: Final = "BlueField"

_PHYSICAL: Final = {
    "101b": "ConnectX-6",
    "101d": "ConnectX-6 Dx",
    "1021": "ConnectX-7",
    "1023": "ConnectX-8",
    "1025": "ConnectX-9",
    "a2d6": "BlueField-2",
    "a2dc": "BlueField-3",
}
# The id 101e is that of virtual functions of several models, so it names none.
_VIRTUAL: Final = {"101c": "ConnectX-6", "101e": None}
# ConnectX-6 is a part of ConnectX-6 Dx, and texts about a BlueField also name the ConnectX inside it.
_NAMES: Final = sorted(_PHYSICAL.values(), key=lambda name: (not name.startswith(BLUEFIELD), -len(name)))


def find_model(device_id: str | None, text: str = "") -> str | None:
    """Return the model as requirements name it.

    Args:
        device_id: PCI device id in lower case.
        text: What the source calls the adapter, such as "ConnectX-7 HHHL adapter card", for ids that are not known here.
    """
    by_id = _PHYSICAL.get(device_id or "") or _VIRTUAL.get(device_id or "")
    if by_id:
        return by_id
    plain = _normalize(text)
    return next((name for name in _NAMES if _normalize(name) in plain), None)


def is_virtual_id(device_id: str | None) -> bool | None:
    """Whether the id is that of a virtual function; None where the id is not known here."""
    if device_id in _VIRTUAL:
        return True
    return False if device_id in _PHYSICAL else None


def is_bluefield(model: str | None) -> bool:
    """Whether the model is a BlueField, which may work as DPU or as plain adapter."""
    return bool(model and model.startswith(BLUEFIELD))


def _normalize(text: str) -> str:
    return text.lower().replace(" ", "").replace("-", "").replace("_", "")
