"""What counters prove: two witnesses must agree, and a port that is busy or silent proves nothing."""

import json
import urllib.parse
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

import pytest

from cache_agent.node_tree import Tree
from cache_agent.preflight_checks import Pin, examine
from cache_agent.preflight_config import parse_config
from cache_agent.preflight_machine import look
from cache_agent.preflight_proof import (
    OBJECT_BYTES,
    OBJECTS,
    PREFIX,
    Counts,
    Run,
    TransferProcess,
    Trial,
    blot,
    count,
    draw_model,
    judge,
    prove,
    subtract,
)
from tests.preflight.trees import ADDRESSES, RDMA_ADAPTER, TWO_RAILS, build_config

_TOTAL: Final = OBJECTS * OBJECT_BYTES
_QUIET: Final = Counts(0, 0, 0, 0)
_CONTROL: Final = 100_000
_DONE: Final = {"stage": "done", "error": ""}

JUDGEMENTS: Final[dict[str, tuple[Counts, Counts, float, tuple[bool, bool]]]] = {
    "both ports moved": (_QUIET, Counts(_TOTAL, _TOTAL, _CONTROL, _CONTROL), 1, (True, False)),
    "more than the bytes, as headers count": (
        _QUIET,
        Counts(2 * _TOTAL, 2 * _TOTAL, _CONTROL, _CONTROL),
        1,
        (True, False),
    ),
    "one byte less out": (_QUIET, Counts(_TOTAL - 1, _TOTAL, 0, 0), 1, (False, False)),
    "one byte less in": (_QUIET, Counts(_TOTAL, _TOTAL - 1, 0, 0), 1, (False, False)),
    "only out": (_QUIET, Counts(_TOTAL, 0, 0, 0), 1, (False, False)),
    "ports stood still": (_QUIET, Counts(0, 0, _CONTROL, _CONTROL), 1, (False, False)),
    "over TCP": (_QUIET, Counts(0, 0, _TOTAL, _TOTAL), 1, (False, True)),
    "over TCP, while others used the port": (_QUIET, Counts(_TOTAL, _TOTAL, _TOTAL, _TOTAL), 1, (False, True)),
    "in over TCP": (_QUIET, Counts(_TOTAL, 0, 0, _TOTAL), 1, (False, True)),
    "counters of the port that cannot be read": (Counts(None, 0, 0, 0), Counts(None, _TOTAL, 0, 0), 1, (False, False)),
    "a little traffic of others": (
        Counts(1000, 1000, 0, 0),
        Counts(_TOTAL + 1000, _TOTAL + 1000, 0, 0),
        1,
        (True, False),
    ),
    "moved as much as the others do": (Counts(_TOTAL // 8, 0, 0, 0), Counts(_TOTAL, _TOTAL, 0, 0), 1, (False, False)),
    "busy port": (Counts(_TOTAL, _TOTAL, 0, 0), Counts(3 * _TOTAL, 3 * _TOTAL, 0, 0), 1, (False, False)),
    "port that is busy for as long as the transfer took": (
        Counts(_TOTAL // 8, 0, 0, 0),
        Counts(9 * _TOTAL, _TOTAL, 0, 0),
        8,
        (False, False),
    ),
}


@pytest.mark.parametrize(("idle", "moved", "ratio", "expected"), JUDGEMENTS.values(), ids=JUDGEMENTS.keys())
def test_judgement(idle: Counts, moved: Counts, ratio: float, expected: tuple[bool, bool]) -> None:
    found = judge(idle, moved, ratio)
    assert found.works
    assert (found.proven, found.over_tcp) == expected
    assert found.detail


class Machine:
    """A pod whose counters move while the transfer runs."""

    def __init__(self, root: Path, *, rdma: int = 0, net: int = 0, result: Mapping[str, Any] = _DONE) -> None:
        TWO_RAILS.build(root)
        self.root, self.rdma, self.net, self.result = root, rdma, net, result
        self.asked: list[tuple[dict[str, Any], str, float]] = []
        self.write(0, 0)
        config = parse_config(build_config(TWO_RAILS.config))
        sight = look(root, TWO_RAILS.environment, config.resource, config.networks, lambda name: ADDRESSES[name])
        self.pins: tuple[Pin, ...] = examine(config, sight, {}).pins

    def write(self, rdma: int, net: int) -> None:
        for device in ("mlx5_2", "mlx5_3"):
            folder = self.root / "sys/class/infiniband" / device / "ports/1/counters"
            for name in ("port_xmit_data", "port_rcv_data"):
                (folder / name).write_text(f"{1000 + rdma // 8}\n", encoding="utf-8")
        rows = [f"  {name}: {7 + net // 2} 1 0 0 0 0 0 0 {7 + net // 2} 1 0 0 0 0 0 0" for name in ("eth0", "net1")]
        text = "\n".join(["Inter-|   Receive  |  Transmit", " face |bytes packets|bytes packets", *rows])
        (self.root / "proc/net").mkdir(exist_ok=True)
        (self.root / "proc/net/dev").write_text(text, encoding="utf-8")

    def run(self, adapter: dict[str, Any], model: str, _: Mapping[str, str], seconds: float) -> Run:
        self.asked.append((adapter, model, seconds))
        self.write(self.rdma, self.net)
        return Run(self.result, "the client's last words")

    def prove(self) -> Trial:
        trial, output = prove(Tree(self.root), self.pins, RDMA_ADAPTER, "m", {}, 60, self.run, lambda _: None)
        assert output == "the client's last words"
        return trial


def test_bytes_of_all_rails_are_added_up_in_units_of_four(tmp_path: Path) -> None:
    machine = Machine(tmp_path / "root", rdma=_TOTAL)
    before = count(Tree(machine.root), machine.pins)
    machine.write(_TOTAL, 0)
    assert subtract(count(Tree(machine.root), machine.pins), before) == Counts(_TOTAL, _TOTAL, 0, 0)
    machine.write(0, 0)
    assert machine.prove().proven


def test_interfaces_are_watched_too(tmp_path: Path) -> None:
    assert Machine(tmp_path / "root", rdma=_TOTAL, net=2 * _TOTAL).prove().over_tcp


def test_ports_that_stand_still_prove_nothing(tmp_path: Path) -> None:
    trial = Machine(tmp_path / "root").prove()
    assert (trial.works, trial.proven, trial.over_tcp) == (True, False, False)


@pytest.mark.parametrize(
    ("result", "works"),
    [
        ({"stage": "import", "error": "ModuleNotFoundError: No module named 'lmcache'"}, None),
        ({"stage": "build", "error": "RuntimeError: Dell ObjectScale Engine support not available!"}, False),
        ({"stage": "compare", "error": "RuntimeError"}, False),
        ({"stage": "crash", "error": "exit code -11"}, False),
        ({}, False),
    ],
)
def test_failed_transfer_proves_nothing_whatever_the_ports_counted(
    result: Mapping[str, Any], works: bool | None, tmp_path: Path
) -> None:
    trial = Machine(tmp_path / "root", rdma=2 * _TOTAL, result=result).prove()
    assert (trial.works, trial.proven) == (works, False)
    assert str(result.get("error")) in trial.detail


def test_counter_that_is_missing_on_one_rail_is_not_made_up(tmp_path: Path) -> None:
    machine = Machine(tmp_path / "root", rdma=4 * _TOTAL)
    (machine.root / "sys/class/infiniband/mlx5_3/ports/1/counters/port_rcv_data").unlink()
    found = count(Tree(machine.root), machine.pins)
    assert found.rdma_in is None
    assert found.rdma_out is not None


def test_what_is_written_is_told_from_the_cache_and_from_other_preflights() -> None:
    one, other = draw_model(), draw_model()
    assert one != other
    assert one.startswith(PREFIX)
    # Keys of the cache begin with the path of the weights, and @ ends the model text in every form of names.
    assert not {"@", "/"} & set(one)


def test_keys_do_not_reach_the_log() -> None:
    environment = {"AWS_ACCESS_KEY_ID": "AKIA1", "AWS_SECRET_ACCESS_KEY": "s3cr3t", "AWS_SESSION_TOKEN": ""}
    assert blot("AKIA1:s3cr3t at x", environment) == "(AWS_ACCESS_KEY_ID):(AWS_SECRET_ACCESS_KEY) at x"


_CANARY: Final = 'c4n/4ry+k"y=\u00e9'
_FORMS: Final[dict[str, Callable[[str], str]]] = {
    "plain": str,
    "path of a URL": urllib.parse.quote,
    "part of a URL": lambda key: urllib.parse.quote(key, safe=""),
    "part of a URL in lower case": lambda key: urllib.parse.quote(key, safe="").replace("%2F", "%2f"),
    "form": urllib.parse.quote_plus,
    "JSON": json.dumps,
    "JSON in UTF-8": lambda key: json.dumps(key, ensure_ascii=False),
    "JSON for HTML": lambda key: json.dumps(key).replace("/", "\\/"),
}


@pytest.mark.parametrize("name", ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"])
@pytest.mark.parametrize("write", _FORMS.values(), ids=_FORMS.keys())
def test_keys_are_found_as_clients_write_them(write: Callable[[str], str], name: str) -> None:
    # A URL in lower case has all its numbers so, and these keys have none but that of the slash with letters.
    key = "c4n/4ry" if write is _FORMS["part of a URL in lower case"] else _CANARY
    assert blot(f"at {write(key)}&", {name: key}).replace('"', "") == f"at ({name})&"


def test_key_that_is_part_of_another_or_of_the_words_for_it() -> None:
    environment = {"AWS_ACCESS_KEY_ID": "KEY", "AWS_SECRET_ACCESS_KEY": "KEY/more"}
    assert blot("KEY/more KEY", environment) == "(AWS_SECRET_ACCESS_KEY) (AWS_ACCESS_KEY_ID)"


@pytest.mark.parametrize("hangs", [False, True])
def test_cut_leaves_no_half_of_a_key(hangs: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = tmp_path / "program.py"
    # The last 4000 signs begin in the middle of the key.
    text = f"print('left/half+righthalf' + {3990 - 1} * 'x', flush=True)"
    program.write_text(f"import time\n{text}\n{'time.sleep(60)' if hangs else ''}\n", encoding="utf-8")
    monkeypatch.setattr("cache_agent.preflight_proof.PROGRAM", program)
    done = TransferProcess(tmp_path).run({}, "m", {"AWS_SECRET_ACCESS_KEY": "left/half+righthalf"}, 1 if hangs else 60)
    assert len(done.output) == 4000
    assert "righthalf" not in done.output
