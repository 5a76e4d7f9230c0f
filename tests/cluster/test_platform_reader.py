"""The reader of the API server's version and of the table's extension: what it keeps, and when it says that it changed."""

import asyncio
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any, Final

import pytest
from kubernetes.aio.client.exceptions import ApiException

from inference_cache.cluster import metrics, platform_reader
from inference_cache.cluster.connection import Connection
from inference_cache.cluster.errors import RefusedError, UnavailableError
from inference_cache.cluster.gateway import Gateway
from inference_cache.cluster.platform_reader import PlatformReader, parse_server_version
from inference_cache.domain.assemble import Platform
from inference_cache.domain.kinds import CONFIG_MAP, Kind
from inference_cache.domain.reasons import Reason
from inference_cache.domain.version_extension import CONFIG_MAP_KEY, CONFIG_MAP_NAME
from inference_cache.domain.versions import BUILT_IN_TABLE

_PERIOD: Final = 300.0
_PAIR: Final = "pairs: [{vllm: 0.32.1, lmcache: 0.5.6, optionsOf: {vllm: 0.32.0, lmcache: 0.5.6}}]"
_OTHER: Final = "pairs: [{vllm: 0.32.2, lmcache: 0.5.6, optionsOf: {vllm: 0.32.0, lmcache: 0.5.6}}]"
_FAULTY: Final = "pairs: [{vllm: v0.32.1}]"

Answer = str | None | Exception
Version = tuple[str, str] | Exception


@pytest.mark.parametrize(
    ("major", "minor", "version"),
    [
        ("1", "37", (1, 37)),
        ("1", "33+", (1, 33)),
        ("1", "30-gke.100", (1, 30)),
        ("2", "0", (2, 0)),
        ("", "", None),
        ("1", "", None),
        ("1", "+33", None),
        ("v1", "33", None),
        ("None", "None", None),
    ],
)
def test_version_of_the_server(major: str, minor: str, version: tuple[int, int] | None) -> None:
    assert parse_server_version(major, minor) == version


class _Gateway(Gateway):
    """Answers from a list, one entry for each look."""

    def __init__(self, answers: list[Answer]) -> None:
        self.answers = answers
        self.looks = 0

    async def read(self, kind: Kind, namespace: str, name: str) -> dict[str, Any] | None:
        assert (kind, namespace, name) == (CONFIG_MAP, "operator", CONFIG_MAP_NAME)
        answer = self.answers[min(self.looks, len(self.answers) - 1)]
        self.looks += 1
        if isinstance(answer, Exception):
            raise answer
        return None if answer is None else {"data": {CONFIG_MAP_KEY: answer}}


class _Run:
    """A reader that looked a number of times, without waiting in between."""

    def __init__(
        self, monkeypatch: pytest.MonkeyPatch, answers: list[Answer], versions: list[Version] | None = None
    ) -> None:
        self.delays: list[float] = []
        self.seen: list[Platform] = []
        versions = versions or [("1", "37")]
        looks = max(len(answers), len(versions))
        self._gateway = _Gateway(answers)
        asked = iter([*versions, *[versions[-1]] * looks])

        async def ask(*_: Any, **__: Any) -> Any:
            version = next(asked)
            if isinstance(version, Exception):
                raise version
            return SimpleNamespace(major=version[0], minor=version[1])

        async def pause(delay: float) -> None:
            self.delays.append(delay)
            if len(self.delays) == looks:
                raise asyncio.CancelledError

        monkeypatch.setattr(f"{platform_reader.__name__}.VersionApi.get_code", ask)
        monkeypatch.setattr(f"{platform_reader.__name__}.asyncio.sleep", pause)
        connection: Any = SimpleNamespace(api=None)
        self.reader = self._build(connection, lambda: self.seen.append(self.reader.platform))
        with pytest.raises(asyncio.CancelledError):
            asyncio.run(self.reader.run())

    def _build(self, connection: Connection, changed: Callable[[], None]) -> PlatformReader:
        return PlatformReader(connection, self._gateway, Platform("operator", "mirror/engine:1"), _PERIOD, changed)

    @property
    def pairs(self) -> list[list[str]]:
        """Versions of vLLM in the table at each change."""
        return [[pair.vllm for pair in platform.versions.pairs] for platform in self.seen]


def test_nothing_is_known_before_the_first_look() -> None:
    connection: Any = None
    reader = PlatformReader(connection, _Gateway([None]), Platform("operator"), _PERIOD, lambda: None)
    assert not reader.known
    assert reader.platform == Platform("operator")


def test_first_look_is_told_although_there_is_no_extension(monkeypatch: pytest.MonkeyPatch) -> None:
    run = _Run(monkeypatch, [None])
    assert run.seen == [Platform("operator", "mirror/engine:1", BUILT_IN_TABLE, (1, 37))]
    assert run.reader.known


def test_looks_that_find_the_same_are_told_once(monkeypatch: pytest.MonkeyPatch) -> None:
    run = _Run(monkeypatch, [_PAIR, _PAIR, _PAIR])
    assert run.pairs == [["0.32.0", "0.26.0", "0.32.1"]]
    assert len(run.delays) == 3
    assert all(0.9 * _PERIOD <= delay <= 1.1 * _PERIOD for delay in run.delays)


def test_table_is_replaced_and_not_added_to(monkeypatch: pytest.MonkeyPatch) -> None:
    run = _Run(monkeypatch, [_PAIR, _OTHER, None])
    assert run.pairs == [["0.32.0", "0.26.0", "0.32.1"], ["0.32.0", "0.26.0", "0.32.2"], ["0.32.0", "0.26.0"]]


def test_faults_are_kept_and_told_once(monkeypatch: pytest.MonkeyPatch) -> None:
    run = _Run(monkeypatch, [_FAULTY, _FAULTY])
    (platform,) = run.seen
    assert platform.versions == BUILT_IN_TABLE
    assert any(fault.startswith("pairs[0].vllm: ") for fault in platform.version_faults)
    assert metrics.version_table_faults._value.get() == len(platform.version_faults) > 0


def test_mended_text_takes_the_faults_away(monkeypatch: pytest.MonkeyPatch) -> None:
    run = _Run(monkeypatch, [_FAULTY, _PAIR])
    assert [bool(platform.version_faults) for platform in run.seen] == [True, False]
    assert run.pairs[-1] == ["0.32.0", "0.26.0", "0.32.1"]
    assert metrics.version_table_faults._value.get() == 0


@pytest.mark.parametrize("text", ["pairs: " + "[" * 20_000, "x: 2026-13-45", "!!timestamp x", "\0"])
def test_text_that_breaks_a_parser_does_not_end_the_operator(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    run = _Run(monkeypatch, [text])
    assert run.reader.known
    assert run.reader.platform.version_faults


@pytest.mark.parametrize(
    "data",
    [{}, {"data": None}, {"data": {}}, {"data": {"other": "x"}}],
    ids=["no data", "null", "empty", "another key"],
)
def test_config_map_without_the_key_is_no_fault(monkeypatch: pytest.MonkeyPatch, data: dict[str, Any]) -> None:
    async def read(*_: Any) -> dict[str, Any]:
        return data

    monkeypatch.setattr(_Gateway, "read", read)
    assert _Run(monkeypatch, [None]).reader.platform.version_faults == ()


@pytest.mark.parametrize(
    "error",
    [
        UnavailableError("down"),
        ApiException(status=503),
        OSError("no route"),
        TimeoutError(),
    ],
    ids=lambda error: type(error).__name__,
)
def test_failed_look_keeps_what_is_known_and_comes_again_soon(
    monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    run = _Run(monkeypatch, [_PAIR, error, _PAIR])
    assert run.pairs == [["0.32.0", "0.26.0", "0.32.1"]]
    assert run.delays[1] <= 10 < run.delays[0]


def test_extension_that_may_not_be_read_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    run = _Run(monkeypatch, [RefusedError(Reason.Forbidden, "get", CONFIG_MAP, CONFIG_MAP_NAME, "no")])
    assert run.reader.known
    assert run.pairs == [["0.32.0", "0.26.0"]]


def test_version_that_cannot_be_read_leaves_nothing_known(monkeypatch: pytest.MonkeyPatch) -> None:
    run = _Run(monkeypatch, [_PAIR], [ApiException(status=500)])
    assert not run.reader.known
    assert run.seen == []


def test_version_is_read_again_as_clusters_are_upgraded(monkeypatch: pytest.MonkeyPatch) -> None:
    run = _Run(monkeypatch, [None], [("1", "29"), ("1", "29"), ("1", "30+")])
    assert [platform.kubernetes for platform in run.seen] == [(1, 29), (1, 30)]


def test_version_that_says_nothing_does_not_undo_what_is_known(monkeypatch: pytest.MonkeyPatch) -> None:
    run = _Run(monkeypatch, [None], [("1", "33"), ("", "")])
    assert [platform.kubernetes for platform in run.seen] == [(1, 33)]
