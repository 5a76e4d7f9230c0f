"""The containers of a rendered RDMA pod as processes of this machine: same command, arguments, programs and variables.

Volumes have other paths, python3 is the Python that runs the tests, and what the image would bring (LMCache, torch, the
command lmcache) are stand-ins from the folder `image`.
"""

import json
import os
import re
import stat
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from inference_cache.domain import names
from inference_cache.domain.desired import build_desired
from inference_cache.domain.desired.agent import AGENT_MOUNT, PACKAGE
from inference_cache.domain.desired.attached import RUN_MOUNT, TRANSPORT_KEY
from inference_cache.domain.desired.config import CONFIG_MOUNT
from inference_cache.domain.kinds import CONFIG_MAP, STATEFUL_SET
from inference_cache.domain.scope import Scope
from tests.golden.cases import load_scope
from tests.preflight.trees import Pod

IMAGE: Final = Path(__file__).with_name("image")
SECRET: Final = "wJalrXUtnFEMI/K7MDENG"
DEADLINE: Final = 60
_KEYS: Final = {"AWS_ACCESS_KEY_ID": "AKIAOFTHEPOD", "AWS_SECRET_ACCESS_KEY": SECRET}
# What the interpreter needs, whatever the container's environment is.
_PATH: Final = "/usr/bin:/bin"


@dataclass
class Container:
    """One container.

    Attributes:
        scope: What is rendered.
        root: Folder that stands for the pod: its volumes and, in `machine`, what it sees.
        name: Name of the container.
        variables: More environment, as image and device plugin bring it.
    """

    scope: Scope
    root: Path
    name: str = names.PREFLIGHT_CONTAINER
    variables: dict[str, str] = field(default_factory=dict)

    @property
    def run_folder(self) -> Path:
        """The volume that preflight and launcher share."""
        return self.root / RUN_MOUNT[1:]

    @property
    def message(self) -> Path:
        """Where the termination message goes."""
        return self.root / "termination-log"

    def prepare(self, pod: Pod | None = None, config: Mapping[str, Any] | None = None) -> None:
        """Lay out volumes and machine; config changes fields of transport.json."""
        objects = {item.name: item.body for item in build_desired(self.scope) if item.kind is CONFIG_MAP}
        volumes = {item["name"]: item for item in self._pod()["volumes"]}
        for mount in self._find()["volumeMounts"]:
            reference = volumes[mount["name"]].get("configMap")
            if reference is None:
                continue
            folder = self.root / mount["mountPath"][1:]
            folder.mkdir(parents=True)
            for key, text in objects[reference["name"]]["data"].items():
                (folder / key).write_text(text, encoding="utf-8")
        self.run_folder.mkdir(parents=True)
        if pod is not None:
            pod.build(self.root / "machine")
        if config is not None:
            self.write_config({**self.read_config(), **config})

    def read_config(self) -> dict[str, Any]:
        """Return transport.json."""
        return dict(json.loads((self.root / CONFIG_MOUNT[1:] / TRANSPORT_KEY).read_text(encoding="utf-8")))

    def write_config(self, content: object) -> None:
        """Write transport.json anew."""
        (self.root / CONFIG_MOUNT[1:] / TRANSPORT_KEY).write_text(json.dumps(content), encoding="utf-8")

    def start(self, *options: str) -> "subprocess.Popen[str]":
        """Start the container's process."""
        container = self._find()
        program, *rest = [self._move(part) for part in [*container["command"], *container.get("args", [])]]
        assert program == "python3"
        given = {item["name"]: self._move(item.get("value") or _KEYS[item["name"]]) for item in container["env"]}
        environment = {"PATH": f"{self._make_commands()}:{_PATH}"} | given | self.variables
        return subprocess.Popen(
            [sys.executable, *rest, *options],
            cwd=self._move(container.get("workingDir", "/")),
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )

    def finish(self, *options: str) -> tuple[int, str]:
        """Run the container to its end; returns exit code and output."""
        with self.start(*options) as process:
            output, _ = process.communicate(timeout=DEADLINE)
        return process.returncode, output

    def _make_commands(self) -> Path:
        """Return a folder with the command that the launcher starts: it shows how it was started."""
        folder = self.root / "commands"
        folder.mkdir(exist_ok=True)
        script = "import json, os, resource, sys; print(json.dumps({'arguments': sys.argv[1:], 'environment': dict(os.environ), 'memlock': resource.getrlimit(resource.RLIMIT_MEMLOCK), 'pid': os.getpid()}))"
        (folder / "lmcache").write_text(f"#!{sys.executable}\n{script}\n", encoding="utf-8")
        (folder / "lmcache").chmod((folder / "lmcache").stat().st_mode | stat.S_IXUSR)
        return folder

    def _pod(self) -> dict[str, Any]:
        (workload,) = (item for item in build_desired(self.scope) if item.kind is STATEFUL_SET)
        return dict(workload.body["spec"]["template"]["spec"])

    def _find(self) -> dict[str, Any]:
        return next(dict(item) for item in self._pod()["initContainers"] if item["name"] == self.name)

    def _move(self, text: str) -> str:
        return re.sub(rf"(?<![\w.-])({AGENT_MOUNT}|{CONFIG_MOUNT}|{RUN_MOUNT})(?![\w.-])", rf"{self.root}\1", text)


def build_container(root: Path, case: str, name: str = names.PREFLIGHT_CONTAINER, **variables: str) -> Container:
    """Return a container of a golden case."""
    assert (AGENT_MOUNT, PACKAGE) == ("/etc/inference-cache-agent", "cache_agent")
    # The stand-ins must not be found by the launcher, and the programs must not depend on the tests' own modules.
    assert "PYTHONPATH" not in os.environ or str(IMAGE) not in os.environ["PYTHONPATH"]
    return Container(load_scope(case), root, name, dict(variables))
