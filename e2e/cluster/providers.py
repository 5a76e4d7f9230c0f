"""Who runs the control plane: processes of this machine, kind, or a cluster that exists; one environment variable decides.

Everything else of a cluster (KWOK for fake nodes, the S3 server, operator and simulator as processes of this machine) is
the same for all of them. Only the local provider offers what needs the API server's flags: an audit log and its keys.
"""

import os
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Final, Protocol

import yaml

from .binaries import CONTROL_PLANE, Binary, build_kind_binary
from .control_plane import build_apiserver, build_controllers, build_etcd, prepare_control_plane
from .layout import ADMIN, EXISTING, KIND, LOCAL, MARK, Layout, Workplace, build_layout, write_private
from .polling import ClusterError, wait_for

VARIABLE: Final = "INFERENCE_CACHE_E2E_PROVIDER"
KIND_CONFIG: Final = Path(__file__).with_name("kind.yaml")
_START_SECONDS: Final = 60.0
_DOCKER_SECONDS: Final = 20
_KIND_SECONDS: Final = 600


class Provider(Protocol):
    """Runs control planes of one kind.

    Attributes:
        binaries: What it needs beside the binaries of the surroundings.
        attempts: How often a start is tried.
    """

    binaries: tuple[Binary, ...]
    attempts: int

    def check(self) -> None:
        """Check prerequisites before anything is built or started.

        Raises:
            ClusterError: One is missing; the text says what to do.
        """

    def bring_up(self, place: Workplace) -> Layout:
        """Return when the API server answers and the administrator's kubeconfig is written.

        Raises:
            ClusterError: It did not come up.
        """


class LocalProvider:
    """Processes of this machine; complete, and up in seconds."""

    binaries: tuple[Binary, ...] = CONTROL_PLANE
    attempts = 2

    def check(self) -> None:
        """Everything is built."""

    def bring_up(self, place: Workplace) -> Layout:
        """Start etcd, API server, controller manager and scheduler."""
        layout = prepare_control_plane(place)
        place.control.start(build_etcd(layout))
        place.control.start(build_apiserver(layout))

        def ready() -> bool:
            if (place.folder / "failure").exists():
                raise ClusterError("a process of the control plane ended")
            # The controller manager and the scheduler lose seconds if they start before this object exists.
            needed = ("configmap", "extension-apiserver-authentication", "--namespace=kube-system")
            questions = (("get", "--raw", "/readyz"), ("get", *needed))
            return all(_kubectl(layout, *question).returncode == 0 for question in questions)

        wait_for(ready, _START_SECONDS, "the API server did not become ready", pause=0.1)
        for spec in build_controllers(layout):
            place.control.start(spec)
        return layout


class ExistingProvider:
    """A cluster that somebody else runs; at the end only what this tool put there is removed.

    Args:
        kubeconfig: Its administrator's.
    """

    binaries: tuple[Binary, ...] = ()
    attempts = 1

    def __init__(self, kubeconfig: Path) -> None:
        self._kubeconfig = kubeconfig

    def check(self) -> None:
        """The kubeconfig exists."""
        if not self._kubeconfig.is_file():
            raise ClusterError(f"KUBECONFIG={self._kubeconfig} is no file; give the path of one kubeconfig")

    def bring_up(self, place: Workplace) -> Layout:
        """Copy the kubeconfig and see whether the API server answers."""
        layout = _adopt(place, EXISTING, self._kubeconfig)
        answer = _kubectl(layout, "get", "--raw", "/readyz", "--request-timeout=10s")
        if answer.returncode != 0:
            raise ClusterError(f"the API server of {self._kubeconfig} does not answer: {answer.stderr.strip()}")
        command = _kubectl_command(layout, "delete", "nodes,namespaces", "-l", f"{MARK}={layout.mark}", "--wait=false")
        place.control.ask("at-end", argv=command)
        return layout


class KindProvider:
    """Kubernetes in Docker, where `docker info` answers.

    The order of commands and the pins are tested; a whole cluster of this provider has not been run, as no Docker engine
    was at hand.
    """

    binaries: tuple[Binary, ...] = (build_kind_binary(),)
    attempts = 1

    def check(self) -> None:
        """Docker answers."""
        remedy = f"start Docker, or use {VARIABLE}={LOCAL}, which needs none"
        try:
            _call("docker", "info", seconds=_DOCKER_SECONDS)
        except FileNotFoundError:
            raise ClusterError(f"the kind provider needs Docker, and there is no docker on PATH; {remedy}") from None
        except ClusterError as error:
            raise ClusterError(f"{error}; {remedy}") from None

    def bring_up(self, place: Workplace) -> Layout:
        """Create a cluster of this process's own; a cluster of somebody else is never taken over."""
        kind, name = str(place.bin_dir / self.binaries[0].name), f"inference-cache-{os.getpid()}-{place.slot}"
        if name in _call(kind, "get", "clusters", seconds=_DOCKER_SECONDS).split():
            raise ClusterError(f"a kind cluster named {name} exists; run `{kind} delete cluster --name {name}`")
        kubeconfig = place.folder / "kubeconfigs" / "kind.yaml"
        options = ("--name", name, "--kubeconfig", str(kubeconfig))
        place.control.ask("at-end", argv=[kind, "delete", "cluster", *options])
        place.report(f"Creating the kind cluster {name}; the first time fetches its image.")
        _call(kind, "create", "cluster", *options, "--config", str(KIND_CONFIG), "--wait=120s", seconds=_KIND_SECONDS)
        return _adopt(place, KIND, kubeconfig)


def choose_provider(environment: Mapping[str, str]) -> Provider:
    """Return the provider that INFERENCE_CACHE_E2E_PROVIDER names: local (default), kind or existing.

    Raises:
        ClusterError: The variable has another value, or `existing` came without KUBECONFIG.
    """
    match environment.get(VARIABLE) or LOCAL:
        case "local":
            return LocalProvider()
        case "kind":
            return KindProvider()
        case "existing":
            path = environment.get("KUBECONFIG")
            # No default: tests must never run by accident against the cluster that somebody used last.
            if not path:
                raise ClusterError(f"{VARIABLE}={EXISTING} needs KUBECONFIG with the path of one kubeconfig")
            return ExistingProvider(Path(path).absolute())
        case other:
            raise ClusterError(f"{VARIABLE}={other} is unknown; use {LOCAL}, {KIND} or {EXISTING}")


def _adopt(place: Workplace, provider: str, kubeconfig: Path) -> Layout:
    kubectl = str(place.bin_dir / "kubectl")
    # kubectl turns relative paths into content, and leaves only what the current context needs.
    options = ("--raw", "--minify", "--flatten", "-o", "yaml")
    text = _call(kubectl, f"--kubeconfig={kubeconfig}", "config", "view", *options, seconds=_DOCKER_SECONDS)
    server = yaml.safe_load(text)["clusters"][0]["cluster"]["server"]
    layout = build_layout(place, provider, server, {})
    write_private(layout.kubeconfig(ADMIN), text)
    return layout


def _kubectl_command(layout: Layout, *arguments: str) -> list[str]:
    return [str(layout.bin_dir / "kubectl"), f"--kubeconfig={layout.kubeconfig(ADMIN)}", *arguments]


def _kubectl(layout: Layout, *arguments: str) -> "subprocess.CompletedProcess[str]":
    command = _kubectl_command(layout, *arguments)
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=_START_SECONDS)


def _call(*command: str, seconds: float) -> str:
    try:
        out = subprocess.run(command, capture_output=True, text=True, check=False, timeout=seconds)
    except subprocess.TimeoutExpired:
        raise ClusterError(f"{' '.join(command)} did not end within {seconds:.0f} s") from None
    if out.returncode != 0:
        raise ClusterError(f"{' '.join(command)} failed: {(out.stderr or out.stdout)[-3000:].strip()}")
    return out.stdout
