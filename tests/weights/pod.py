"""The weights container of a rendered pod as a process of this machine.

Arguments, environment and the content of the agent's ConfigMap are those of the pod; only the volumes have other paths, and
python3 is the Python that runs the tests.
"""

import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from cache_agent.report import show_bytes
from inference_cache.domain import names
from inference_cache.domain.desired import build_desired
from inference_cache.domain.desired.agent import AGENT_MOUNT, PACKAGE
from inference_cache.domain.fingerprint import MODELS_ROOT, weights_path
from inference_cache.domain.kinds import STATEFUL_SET
from inference_cache.domain.scope import Scope
from tests.support.builders import build_sample_scope
from tests.weights.hub import Hub, Trouble

MEGABYTE: Final = 2**20
# A repeated run of prime length: bytes that land at an offset which is not their own do not go unnoticed.
PATTERN: Final = bytes(range(251)) * (8 * MEGABYTE // 251 + 1)
SHARD: Final = "model-00001-of-00002.safetensors"
CONFIG: Final = "config.json"
FILES: Final = {
    CONFIG: b'{"architectures": ["LlamaForCausalLM"]}',
    SHARD: PATTERN[: 8 * MEGABYTE],
    "model-00002-of-00002.safetensors": PATTERN[: 2 * MEGABYTE],
    "extra/empty.txt": b"",
}
TOTAL: Final = sum(map(len, FILES.values()))
MIDWAY: Final = 5 * MEGABYTE
TOKEN: Final = "hf_kUyRw3TnVbThatIsSecret"
WITH_TOKEN: Final = {"model.source.huggingFace.tokenSecretRef": {"name": "hub", "key": "token"}}
# Otherwise tests would wait for the pauses between attempts.
HASTE: Final = "--retry-seconds=0.01"
DEADLINE: Final = 60
# Far below a second on a machine that has nothing else to do.
PROMPTLY: Final = 5


@dataclass
class Pod:
    """The weights container of one pod, and the pod's volumes.

    Attributes:
        root: Folder that stands for the node.
        scope: What is rendered.
        hub: The hub that is asked.
        token: Content of the Secret.
        variables: More environment, as an image or a webhook may bring it.
        output: What the last run wrote.
    """

    root: Path
    scope: Scope
    hub: Hub
    token: str = TOKEN
    variables: dict[str, str] = field(default_factory=dict)
    output: str = field(default="", init=False)

    @property
    def folder(self) -> Path:
        """Where the engine looks for the weights."""
        return Path(self._move(weights_path(self.scope.fingerprint)))

    @property
    def partials(self) -> list[Path]:
        """Files that are under way."""
        return [path for path in (self.folder / ".partial").rglob("*") if path.is_file()]

    @contextmanager
    def start(self, *options: str) -> Iterator["subprocess.Popen[bytes]"]:
        """Start the container's process; what still runs at the end of the block, or at the deadline, is killed."""
        container = find_container(self.scope, names.WEIGHTS_CONTAINER)
        assert container["command"][0] == "python3"
        self._mount_agent()
        given = {item["name"]: self._move(item.get("value", self.token)) for item in container["env"]}
        environment = given | self.hub.environment
        command = [sys.executable, *container["command"][1:], *container["args"], HASTE, *options]
        process = subprocess.Popen(
            [self._move(part) for part in command],
            bufsize=0,
            cwd="/",
            env=environment | self.variables,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        timer = threading.Timer(DEADLINE, kill, [process])
        with process:
            timer.start()
            try:
                yield process
            finally:
                timer.cancel()
                kill(process)

    def fetch(self, *options: str) -> int:
        """Run the container to its end and return its exit code."""
        with self.start(*options) as process:
            self.output = process.communicate()[0].decode()
        return process.returncode

    @contextmanager
    def hold_midway(self) -> Iterator["subprocess.Popen[bytes]"]:
        """Start the container; the block begins when all is there but the end of the large file, which does not come."""
        self.hub.troubles[SHARD] = [(Trouble.HELD, MIDWAY)]
        there = TOTAL - len(FILES[SHARD]) + MIDWAY
        with self.start("--progress-seconds=0.05") as process:
            finished = [f"fetched {name}," for name in FILES if name != SHARD]
            read_until(process, *finished, f"{show_bytes(there)} of {show_bytes(TOTAL)}")
            yield process

    def read_weights(self) -> dict[str, bytes]:
        """Return the fetched files by path, without what the program keeps for itself."""
        paths = (path for path in self.folder.rglob("*") if path.is_file())
        found = {str(path.relative_to(self.folder)): path for path in paths}
        return {name: path.read_bytes() for name, path in found.items() if not name.startswith(".")}

    def _mount_agent(self) -> None:
        """Lay out the volume as the kubelet does: files are links into a folder that one rename would replace."""
        wanted = names.agent_name(self.scope.identity.name)
        (agent,) = (item for item in build_desired(self.scope) if item.name == wanted)
        folder = Path(self._move(f"{AGENT_MOUNT}/{PACKAGE}"))
        if folder.exists():
            return
        (folder / "..2026_11_24").mkdir(parents=True)
        (folder / "..data").symlink_to("..2026_11_24")
        for name, text in agent.body["data"].items():
            (folder / "..data" / name).write_text(text, encoding="utf-8")
            (folder / name).symlink_to(f"..data/{name}")

    def _move(self, text: str) -> str:
        return re.sub(rf"(?<![\w.-])({MODELS_ROOT}|{AGENT_MOUNT})(?![\w.-])", rf"{self.root}\1", text)


def kill(process: "subprocess.Popen[bytes]") -> None:
    """Kill the process and its children, as the end of its first process ends a container."""
    # A process that was waited for may have left its number to another one.
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGKILL)


def find_container(scope: Scope, name: str) -> dict[str, Any]:
    """Return a container of the rendered pod."""
    spec = find_pod_spec(scope)
    (found,) = (item for item in (*spec["initContainers"], *spec["containers"]) if item["name"] == name)
    return dict(found)


def find_pod_spec(scope: Scope) -> dict[str, Any]:
    """Return the spec of the rendered pods."""
    (workload,) = (item for item in build_desired(scope) if item.kind is STATEFUL_SET)
    return dict(workload.body["spec"]["template"]["spec"])


def read_until(process: "subprocess.Popen[bytes]", *texts: str) -> str:
    """Return the output as soon as all texts are in it."""
    assert process.stdout is not None
    seen = ""
    while missing := [text for text in texts if text not in seen]:
        more = process.stdout.read(65536)
        assert more, f"ended without {missing}: {seen}"
        seen += more.decode()
    return seen


def build_pod(
    root: Path,
    changes: Mapping[str, Any] | None = None,
    *,
    scope: Scope | None = None,
    token: str = TOKEN,
    hub_token: str = "",
    **hub: Any,
) -> Pod:
    """Return a pod and a hub that has what its spec asks for, with other facts of the hub by name."""
    scope = scope or build_sample_scope(changes)
    source = scope.settled.spec.model.source.hugging_face
    assert source is not None
    known: dict[str, Any] = {
        "repository": source.repository,
        "revision": source.revision,
        "files": FILES,
        "token": hub_token,
    }
    return Pod(root, scope, Hub(**(known | hub)), token)
