"""Sockets on pod addresses: one web application per surface, one listening socket per running process."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping

from aiohttp import web

from .machine import Role
from .sandbox import Sandbox

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
SANDBOXES = web.AppKey("sandboxes", Mapping[str, Sandbox])


def find_sandbox(request: web.Request) -> Sandbox:
    """Return the pod that a request was sent to, known by the connection's local address.

    Raises:
        ConnectionResetError: The pod has just gone.
    """
    transport = request.transport
    address = None if transport is None else transport.get_extra_info("sockname")[0]
    sandbox = request.app[SANDBOXES].get(address or "")
    if sandbox is None:
        raise ConnectionResetError("no pod has this address")
    return sandbox


@web.middleware
async def hang_when_told(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Answer nothing while the pod's behaviour says so."""
    await find_sandbox(request).answering.wait()
    return await handler(request)


class Listeners:
    """The open sockets of all pods.

    Args:
        apps: The application of each surface.
    """

    def __init__(self, apps: Mapping[Role, web.Application]) -> None:
        # A completion stops when its client hangs up, as in the real engine.
        self._runners = {
            role: web.AppRunner(app, access_log=None, handler_cancellation=True, shutdown_timeout=0.1)
            for role, app in apps.items()
        }
        self._open: dict[tuple[str, Role], tuple[int, asyncio.Server]] = {}

    async def start(self) -> None:
        """Make the applications ready; opens nothing."""
        for runner in self._runners.values():
            await runner.setup()

    async def reconcile(self, ip: str, wanted: Mapping[Role, int]) -> None:
        """Open and close sockets until exactly the wanted ports of a pod are open.

        Raises:
            OSError: The address cannot be listened on.
        """
        for role in self._runners:
            port, server = self._open.get((ip, role), (None, None))
            if port == wanted.get(role):
                continue
            if server is not None:
                self._close(ip, role)
            if role in wanted:
                self._open[ip, role] = wanted[role], await self._listen(ip, role, wanted[role])

    async def close(self) -> None:
        """Close everything."""
        for ip, role in list(self._open):
            self._close(ip, role)
        for runner in self._runners.values():
            await runner.cleanup()

    async def _listen(self, ip: str, role: Role, port: int) -> asyncio.Server:
        server = self._runners[role].server
        assert server is not None, "started"
        return await asyncio.get_running_loop().create_server(server, ip, port, backlog=128)

    def _close(self, ip: str, role: Role) -> None:
        port, server = self._open.pop((ip, role))
        server.close()
        web_server = self._runners[role].server
        assert web_server is not None, "started"
        # A process that ends takes its connections with it.
        for connection in web_server.connections:
            transport = connection.transport
            if transport is not None and transport.get_extra_info("sockname")[:2] == (ip, port):
                transport.abort()
