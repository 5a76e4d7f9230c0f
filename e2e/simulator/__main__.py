"""Command line of the simulator: wires the parts together and runs until it is told to end."""

import argparse
import asyncio
import logging
import resource
import signal
import tempfile
from pathlib import Path

from aiohttp import web

from . import control, lmcache_surface, vllm_surface
from .addresses import AddressPool
from .api import connect
from .behaviours import Behaviours
from .kubelet import Kubelet
from .listeners import Listeners
from .machine import Role
from .sandbox import Sandbox


def main() -> None:
    """Run the simulator."""
    parser = argparse.ArgumentParser(prog="python -m e2e.simulator", description=__doc__)
    parser.add_argument("--kubeconfig", type=Path, required=True)
    parser.add_argument("--pod-cidr", required=True, help="loopback range; engine pods get its upper half")
    parser.add_argument("--control-port", type=int, required=True, help="of the control API on 127.0.0.1")
    parser.add_argument("--time-scale", type=float, default=1.0, help="factor for the delays of crash loops")
    parser.add_argument("--default-start-seconds", type=float, default=0.2, help="until an engine answers")
    parser.add_argument("--all-nodes", action="store_true", help="serve pods of nodes that are not marked as fake too")
    parser.add_argument("--folder", type=Path, help="for files of pods' volumes; without it a temporary one")
    options = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    _raise_file_limit()
    with tempfile.TemporaryDirectory(prefix="icd-simulator-") as folder:
        options.folder = options.folder or Path(folder)
        asyncio.run(_run(options))


async def _run(options: argparse.Namespace) -> None:
    api = await connect(options.kubeconfig)
    behaviours = Behaviours()
    sandboxes: dict[str, Sandbox] = {}
    apps = {Role.ENGINE: vllm_surface.build_app(sandboxes), Role.CACHE: lmcache_surface.build_app(sandboxes)}
    listeners = Listeners(apps)
    kubelet = Kubelet(
        api,
        AddressPool(options.pod_cidr),
        listeners,
        behaviours,
        sandboxes,
        default_start_seconds=options.default_start_seconds,
        time_scale=options.time_scale,
        all_nodes=options.all_nodes,
        folder=options.folder,
    )

    def describe_pods() -> list[dict[str, object]]:
        return [sandbox.describe() for sandbox in kubelet.pods.values()]

    runner = web.AppRunner(control.build_app(behaviours, describe_pods, kubelet.wake_all), access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", options.control_port).start()
    await listeners.start()
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    follow = asyncio.create_task(kubelet.run())
    announce = asyncio.create_task(_announce(kubelet, options.control_port))
    ended = asyncio.create_task(stop.wait())
    try:
        await asyncio.wait({follow, ended}, return_when=asyncio.FIRST_COMPLETED)
        if follow.done():
            follow.result()
    finally:
        for task in (follow, announce, ended):
            task.cancel()
        await kubelet.close()
        await listeners.close()
        await runner.cleanup()
        await api.close()


async def _announce(kubelet: Kubelet, port: int) -> None:
    await kubelet.listed.wait()
    print(f"simulator ready: control API on http://127.0.0.1:{port}", flush=True)


def _raise_file_limit() -> None:
    # Two sockets a pod and their connections; the soft limit is often 1024.
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


if __name__ == "__main__":
    main()
