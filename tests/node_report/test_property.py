"""Whatever the files hold, the validator neither fails nor writes what the API server would refuse."""

import json
import tempfile
from pathlib import Path
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from cache_agent.node_report import build_object, hash_content
from e2e.nodetree import GID, Function, Interface, Machine, Memlock, Port, RDMADevice, build_host
from inference_cache.api.node_report import InferenceCacheNodeReport
from tests.node_report.cases import probe, report_of

_WORD = st.text(alphabet="abcdefgh0123456789_", min_size=1, max_size=12)
_LINE = st.one_of(
    st.text(alphabet=st.characters(codec="utf-8", exclude_characters="\0"), max_size=90),
    st.sampled_from(("-1", "0", "0x10", "99999999999999999999", "4: ACTIVE", "1e9 Gb/sec", "100 Gb/sec (4X EDR)")),
)
_GIDS = st.dictionaries(
    st.integers(0, 9), st.builds(GID, st.sampled_from(("fe80::1", "0000:0000", "")), _LINE), max_size=4
)
_PORTS = st.builds(
    Port,
    number=st.integers(0, 300),
    link_layer=st.one_of(st.sampled_from(("Ethernet", "InfiniBand")), _LINE),
    state=_LINE,
    physical_state=_LINE,
    rate=_LINE,
    subnet_manager_lid=st.integers(0, 2**17),
    gids=_GIDS,
    table=st.integers(0, 4),
)
_FILES = (
    *("proc/modules", "proc/self/limits", "proc/meminfo", "proc/sys/kernel/osrelease", "sys/bus/pci/devices"),
    *("proc/sys/kernel/random/boot_id", "sys/kernel/mm/hugepages/hugepages-2048kB/nr_hugepages", "sys/module"),
    *("sys/bus/pci/devices/0000:17:00.0", "sys/class/infiniband/mlx5_0/ports/1/gids", "sys/devices/system/node"),
    *("sys/class/infiniband/mlx5_0/ports", "sys/class/net/ens23np0/mtu", "sys/class/infiniband/mlx5_0/fw_ver"),
)


def _unique(functions: list[Function]) -> tuple[Function, ...]:
    """Give functions, interfaces and devices names that differ, as the kernel does."""
    named = []
    for number, item in enumerate(functions):
        interfaces = tuple(
            Interface(
                f"e{number}x{place}{one.name}", one.state, one.mtu, one.speed, one.port_name.replace("/", ""), one.index
            )
            for place, one in enumerate(item.interfaces)
        )
        rdma = item.rdma and RDMADevice(
            f"r{number}{item.rdma.name}", item.rdma.firmware, f"uverbs{number}", ports=item.rdma.ports
        )
        facts: dict[str, Any] = {"address": f"0000:{number:02x}:00.0", "interfaces": interfaces, "rdma": rdma}
        named.append(Function(**{**vars(item), **facts}))
    return tuple(named)


_FUNCTIONS = st.lists(
    st.builds(
        Function,
        address=st.just("0000:00:00.0"),
        device=_WORD,
        vendor=st.sampled_from(("15b3", "8086", "")),
        pci_class=st.sampled_from(("020000", "020700", "030000", "0")),
        numa_node=st.integers(-9, 9000),
        total_vfs=st.one_of(st.none(), st.integers(-1, 70_000)),
        current_vfs=st.integers(-1, 70_000),
        interfaces=st.lists(
            st.builds(
                Interface, _WORD, _LINE, st.integers(-5, 2**33), st.integers(-2, 2**40), _LINE, st.integers(0, 9)
            ),
            max_size=2,
        ).map(tuple),
        rdma=st.one_of(
            st.none(),
            st.builds(
                RDMADevice,
                _WORD,
                _LINE,
                ports=st.lists(_PORTS, max_size=3, unique_by=lambda port: port.number).map(tuple),
            ),
        ),
    ),
    max_size=6,
).map(_unique)
_MACHINES = st.one_of(
    st.builds(
        Machine,
        functions=_FUNCTIONS,
        gpus=st.integers(0, 3),
        kernel=_LINE,
        boot_id=_LINE,
        modules=st.lists(_WORD, max_size=4).map(tuple),
        memlock=st.builds(Memlock, st.one_of(_LINE, st.integers(0, 2**70).map(str)), st.just("unlimited")),
        huge_pages_total=st.integers(-1, 2**50),
    ),
    st.sets(st.sampled_from(_FILES), max_size=4).map(lambda paths: _damaged("removed", paths)),
    st.sets(st.sampled_from(_FILES), max_size=4).map(lambda paths: _damaged("unreadable", paths)),
)


def _damaged(how: str, paths: set[str]) -> Machine:
    # Of a folder and a file in it, the folder is enough.
    kept = tuple(sorted(path for path in paths if not any(path.startswith(f"{other}/") for other in paths)))
    kept = tuple(path for path in kept if "sys/bus/pci/devices" not in kept or not path.startswith("sys/class"))
    return build_host(**{how: kept})


@settings(max_examples=120, deadline=None)
@given(_MACHINES)
def test_any_tree_makes_a_valid_report(machine: Machine) -> None:
    with tempfile.TemporaryDirectory() as folder:
        facts = probe(machine, Path(folder) / "tree")
    report = report_of(facts)
    InferenceCacheNodeReport.model_validate(report)
    body = json.dumps(build_object("node", report))
    assert len(body) < 100_000
    body.encode("ascii")
    assert hash_content(json.loads(body)["report"]) == hash_content(report)
