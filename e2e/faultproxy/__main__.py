"""The proxy as a process: ``python -m e2e.faultproxy {forward,reverse}``.

Prints one JSON line with its addresses once it listens, and ends in good order on SIGTERM or SIGINT.
"""

import argparse
import asyncio
import json
import signal
import ssl
from collections.abc import Sequence
from contextlib import AsyncExitStack
from pathlib import Path

from e2e.faultproxy.control import RULES, ControlApi
from e2e.faultproxy.kubeconfig import write_kubeconfig
from e2e.faultproxy.routes import Endpoint, ForwardRoutes, ReverseRoute, Routes
from e2e.faultproxy.server import ProxyServer


def _parser() -> argparse.ArgumentParser:
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument("--listen", default="127.0.0.1:0", help="host:port for clients; port 0 takes a free one")
    common.add_argument("--control-port", type=int, help="port of the control API on 127.0.0.1; 0 takes a free one")
    common.add_argument("--rules", type=Path, help="JSON file with a list of rules to start with")
    common.add_argument("--tls-cert", type=Path, help="PEM certificate for clients; plain http without one")
    common.add_argument("--tls-key", type=Path, help="PEM key of --tls-cert")
    parser = argparse.ArgumentParser(prog="python -m e2e.faultproxy", description=__doc__)
    modes = parser.add_subparsers(dest="mode", required=True)
    forward = modes.add_parser("forward", parents=[common], help="forward proxy for clients with HTTP_PROXY set")
    forward.add_argument(
        "--route", action="append", default=[], help="suffix=host:port, for example .s3.internal=127.0.0.1:7070"
    )
    reverse = modes.add_parser("reverse", parents=[common], help="in front of a Kubernetes API server")
    reverse.add_argument("--kubeconfig", type=Path, required=True, help="kubeconfig that names the API server")
    reverse.add_argument("--write-kubeconfig", type=Path, help="write a kubeconfig that leads through the proxy")
    reverse.add_argument("--ca-file", type=Path, help="CA of --tls-cert, for --write-kubeconfig")
    return parser


async def _serve(arguments: argparse.Namespace) -> None:
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopping.set)
    routes: Routes
    if arguments.mode == "forward":
        routes = ForwardRoutes.parse(arguments.route)
    else:
        routes = ReverseRoute.to_kubeconfig(arguments.kubeconfig)
    tls = None
    if arguments.tls_cert is not None:
        tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        tls.load_cert_chain(arguments.tls_cert, arguments.tls_key)
    listen = Endpoint.parse(arguments.listen)
    async with AsyncExitStack() as stack:
        proxy = await stack.enter_async_context(ProxyServer(routes, host=listen.host, port=listen.port, tls=tls))
        if arguments.rules is not None:
            proxy.set_rules(RULES.validate_json(arguments.rules.read_bytes()))
        addresses = {"url": proxy.url}
        if arguments.control_port is not None:
            control = await stack.enter_async_context(ControlApi(proxy, port=arguments.control_port))
            addresses["control"] = control.url
        if arguments.mode == "reverse" and arguments.write_kubeconfig is not None:
            write_kubeconfig(arguments.kubeconfig, arguments.write_kubeconfig, proxy.url, ca_pem_file=arguments.ca_file)
        print(json.dumps(addresses), flush=True)
        await stopping.wait()


def main(argv: Sequence[str] | None = None) -> None:
    """Run the proxy until it is told to stop."""
    asyncio.run(_serve(_parser().parse_args(argv)))


if __name__ == "__main__":
    main()
