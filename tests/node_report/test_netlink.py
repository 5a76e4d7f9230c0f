"""The question for the network namespace mode, and its answers, byte by byte."""

import contextlib
import errno
import re
import shutil
import struct
import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cache_agent.node_netlink import decode_answer, encode_request

_HEADER = Path("/usr/include/rdma/rdma_netlink.h")
_PROGRAM = """
#include <stdio.h>
#include <linux/netlink.h>
#include <rdma/rdma_netlink.h>
int main(void) {
  printf("%d %d %d", NETLINK_RDMA, RDMA_NL_GET_TYPE(RDMA_NL_NLDEV, RDMA_NLDEV_CMD_SYS_GET), RDMA_NLDEV_SYS_ATTR_NETNS_MODE);
}
"""


def _attribute(kind: int, value: bytes) -> bytes:
    text = struct.pack("=HH", 4 + len(value), kind) + value
    return text + bytes(-len(text) % 4)


def _message(body: bytes, kind: int = 5126, sequence: int = 1) -> bytes:
    return struct.pack("=IHHII", 16 + len(body), kind, 0, sequence, 4711) + body


_COPY_ON_FORK = _attribute(93, b"\x01")
_ANSWERS = {
    "shared": (_message(_attribute(66, b"\x01") + _COPY_ON_FORK), "shared"),
    "exclusive": (_message(_attribute(66, b"\x00")), "exclusive"),
    "after another attribute": (_message(_COPY_ON_FORK + _attribute(66, b"\x00")), "exclusive"),
    "after the answer to another question": (
        _message(_attribute(66, b"\x00"), sequence=9) + _message(_attribute(66, b"\x01")),
        "shared",
    ),
    "mode that nobody knows": (_message(_attribute(66, b"\x07")), None),
    "without the attribute": (_message(_COPY_ON_FORK), None),
    "without a value": (_message(_attribute(66, b"")), None),
    "acknowledgement alone": (_message(struct.pack("=i", 0), kind=3), None),
    "nothing": (b"", None),
    "shorter than it says": (_message(_attribute(66, b"\x01"))[:20], None),
    "length below the header's": (struct.pack("=IHHII", 4, 5126, 0, 1, 0), None),
}


@pytest.mark.parametrize(("data", "mode"), _ANSWERS.values(), ids=_ANSWERS)
def test_answer(data: bytes, mode: str | None) -> None:
    assert decode_answer(data, 1) == mode


def test_error_of_the_kernel() -> None:
    body = struct.pack("=i", -errno.EPERM) + encode_request(1)
    with pytest.raises(OSError, match="Operation not permitted") as caught:
        decode_answer(_message(body, kind=2), 1)
    assert caught.value.errno == errno.EPERM


def test_question() -> None:
    assert encode_request(7) == struct.pack("=IHHII", 16, 5126, 1, 7, 0)


def test_numbers_are_those_of_the_kernels_headers(tmp_path: Path) -> None:
    compiler = shutil.which("cc")
    if compiler is None or not _HEADER.exists():
        pytest.skip(f"NOT TESTED: a C compiler and {_HEADER} are missing")
    (tmp_path / "numbers.c").write_text(_PROGRAM)
    subprocess.run([compiler, "numbers.c", "-o", "numbers"], cwd=tmp_path, check=True)
    out = subprocess.run([tmp_path / "numbers"], capture_output=True, text=True, check=True).stdout
    assert re.findall(r"\d+", out) == ["20", "5126", "66"]


@given(st.binary(max_size=200))
def test_no_answer_breaks_the_decoder(data: bytes) -> None:
    mode = None
    # An error that the kernel answers is raised as one.
    with contextlib.suppress(OSError):
        mode = decode_answer(data, 1)
    assert mode in {None, "shared", "exclusive"}
