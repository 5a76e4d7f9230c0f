"""Which cluster and namespace a command speaks of, chosen from kubeconfig files as kubectl chooses."""

import os
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import yaml

from .failure import CommandError

_DEFAULT: Final = "~/.kube/config"
_IN_CLUSTER: Final = "KUBERNETES_SERVICE_HOST"
_POD_NAMESPACE: Final = Path("/var/run/secrets/kubernetes.io/serviceaccount/namespace")


@dataclass(frozen=True)
class Access:
    """A cluster to speak to.

    Attributes:
        files: Kubeconfig files; empty within a cluster, where the pod's own identity is used.
        flags: Flags of kubectl that choose the same, where the user gave them.
    """

    files: tuple[str, ...]
    context: str
    namespace: str
    flags: tuple[str, ...] = ()
    current: bool = True

    @contextmanager
    def open_kubeconfig(self) -> Iterator[Path | None]:
        """Yield the path for the client library.

        It takes the context from the last file that names one, where kubectl takes the first, and it knows no flag. So the
        choice is laid over the files as one more.
        """
        if not self.files or (self.current and len(self.files) == 1):
            yield Path(self.files[0]) if self.files else None
            return
        with tempfile.TemporaryDirectory(prefix="icd-") as folder:
            overlay = Path(folder) / "context.yaml"
            overlay.write_text(yaml.safe_dump({"current-context": self.context}), encoding="utf-8")
            yield Path(os.pathsep.join((*self.files, str(overlay))))


def choose_access(kubeconfig: Path | None, context: str | None, environment: Mapping[str, str] = os.environ) -> Access:
    """Return the cluster that flags, environment and kubeconfig choose.

    Raises:
        CommandError: There is no kubeconfig, or it does not name the context.
    """
    named = str(kubeconfig) if kubeconfig else environment.get("KUBECONFIG") or _DEFAULT
    paths = [os.path.expanduser(item) for item in named.split(os.pathsep) if item]  # noqa: PTH111 - stays text
    files = tuple(item for item in paths if Path(item).is_file())
    if not files:
        if kubeconfig is None and context is None and _IN_CLUSTER in environment:
            return Access((), "in-cluster", _read_pod_namespace())
        raise CommandError(f"no kubeconfig: {named} does not exist", "Set KUBECONFIG, or use --kubeconfig.")
    configs = [_read_config(file) for file in files]
    contexts = {
        item["name"]: item.get("context") or {}
        for config in reversed(configs)
        for item in config.get("contexts") or []
        if isinstance(item, dict) and "name" in item
    }
    current = next((config["current-context"] for config in configs if config.get("current-context")), "")
    chosen = context or current
    if chosen not in contexts:
        known = ", ".join(sorted(contexts)) or "none"
        problem = (
            f"kubeconfig {named} has no context {chosen}" if chosen else f"kubeconfig {named} names no current context"
        )
        raise CommandError(problem, f"Use --context with one of: {known}.")
    flags: tuple[str, ...] = ("--kubeconfig", str(kubeconfig)) if kubeconfig else ()
    flags += ("--context", context) if context else ()
    namespace = contexts[chosen].get("namespace") or "default"
    return Access(files, chosen, namespace, flags, current=chosen == current)


def _read_config(file: str) -> dict[str, Any]:
    try:
        config = yaml.safe_load(Path(file).read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise CommandError(
            f"kubeconfig {file} cannot be read: {' '.join(str(error).split())}", "Mend or replace it."
        ) from error
    if not isinstance(config, dict):
        raise CommandError(f"kubeconfig {file} is empty or no mapping", "Mend or replace it.")
    return config


def _read_pod_namespace() -> str:
    try:
        return _POD_NAMESPACE.read_text(encoding="utf-8").strip()
    except OSError:
        return "default"
