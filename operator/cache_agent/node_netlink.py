"""Whether RDMA devices are shared by network namespaces or belong to one: what `rdma system` shows, asked by netlink.

Numbers are those of the kernel's include/uapi/rdma/rdma_netlink.h and include/uapi/linux/netlink.h. Asking needs no
rights; the answer is one for the whole machine, from whatever network namespace it is asked.
"""

from __future__ import annotations

import errno
import os
import socket
import struct
from typing import Final

_NETLINK_RDMA: Final = 20
_CLIENT_NLDEV: Final = 5
_COMMAND_SYS_GET: Final = 6
_MESSAGE_TYPE: Final = (_CLIENT_NLDEV << 10) + _COMMAND_SYS_GET
_ATTRIBUTE_NETNS_MODE: Final = 66
_ATTRIBUTE_MASK: Final = 0x3FFF
_NLMSG_ERROR: Final = 2
_NLM_F_REQUEST: Final = 1
_HEADER: Final = struct.Struct("=IHHII")
_ATTRIBUTE: Final = struct.Struct("=HH")
_MODES: Final = {0: "exclusive", 1: "shared"}
_TIMEOUT_SECONDS: Final = 2
# The RDMA core is not loaded, or the kernel is older than 5.1 and does not know the question.
UNKNOWN: Final = frozenset({errno.EPROTONOSUPPORT, errno.EAFNOSUPPORT, errno.EOPNOTSUPP, errno.EINVAL})
"""Errors that mean that this kernel does not tell."""


def ask_netns_mode() -> str | None:
    """Return shared or exclusive; None where the kernel does not tell.

    Raises:
        OSError: It did not answer.
    """
    try:
        with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, _NETLINK_RDMA) as link:
            link.settimeout(_TIMEOUT_SECONDS)
            link.sendto(encode_request(1), (0, 0))
            return decode_answer(link.recv(65536), 1)
    except OSError as error:
        if error.errno in UNKNOWN:
            return None
        raise


def encode_request(sequence: int) -> bytes:
    """Return the question for the settings of the RDMA subsystem."""
    return _HEADER.pack(_HEADER.size, _MESSAGE_TYPE, _NLM_F_REQUEST, sequence, 0)


def decode_answer(data: bytes, sequence: int) -> str | None:
    """Return the mode that an answer names; None where it names none that is known.

    Raises:
        OSError: The kernel answered with an error.
    """
    while len(data) >= _HEADER.size:
        length, kind, _, number, _ = _HEADER.unpack_from(data)
        if not _HEADER.size <= length <= len(data):
            return None
        body, data = data[_HEADER.size : length], data[_align(length) :]
        if number != sequence:
            continue
        if kind == _NLMSG_ERROR and len(body) >= 4:
            code = abs(struct.unpack_from("=i", body)[0])
            # 0 is an acknowledgement.
            if code:
                raise OSError(code, os.strerror(code) if code < 4096 else "unknown error")
        if kind == _MESSAGE_TYPE:
            return _find_mode(body)
    return None


def _find_mode(body: bytes) -> str | None:
    while len(body) >= _ATTRIBUTE.size:
        length, kind = _ATTRIBUTE.unpack_from(body)
        if not _ATTRIBUTE.size <= length <= len(body):
            return None
        if kind & _ATTRIBUTE_MASK == _ATTRIBUTE_NETNS_MODE and length > _ATTRIBUTE.size:
            return _MODES.get(body[_ATTRIBUTE.size])
        body = body[_align(length) :]
    return None


def _align(length: int) -> int:
    return (length + 3) & ~3
