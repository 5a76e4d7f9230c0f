"""How requests to an address from a spec are sent: bounded in time and in size, whatever the other side does.

botocore's own transport limits single reads only, so a server that sends one byte now and then holds a thread for ever,
and one that never ends its answer fills the memory. This one takes botocore's signed request and gives it the answer.
It trusts the system's certificate authorities unless it is given others, and honours the proxy variables of the environment.
"""

import asyncio
import io
import ssl
from collections.abc import Iterator
from functools import cache
from typing import Any, Final

import aiohttp
from botocore import exceptions as aws
from botocore.awsrequest import AWSPreparedRequest, AWSResponse
from botocore.compat import HTTPHeaders
from yarl import URL

_CONNECT_SECONDS: Final = 3
_TOTAL_SECONDS: Final = 6
_MAX_BYTES: Final = 64 * 1024


class OversizedAnswerError(ValueError):
    """The answer is longer than any that the request can have."""


class _Raw(io.BytesIO):
    """The body in the form that botocore reads it."""

    def stream(self, **_: Any) -> Iterator[bytes]:
        """Yield the whole body."""
        yield self.read()


@cache
def _trust_system() -> ssl.SSLContext:
    return ssl.create_default_context()


def build_trust(authorities: str | None) -> ssl.SSLContext:
    """Return the trust in the system's certificate authorities, or in those of a PEM text alone.

    Raises:
        SSLError: The text holds no usable certificate.
    """
    return _trust_system() if authorities is None else ssl.create_default_context(cadata=authorities)


def send_bounded(request: AWSPreparedRequest, trust: ssl.SSLContext | None = None, **_: Any) -> AWSResponse:
    """Send a request; a handler for botocore's event before-send, whose return value takes the place of the transport.

    Raises:
        SSLError: The certificate is not trusted.
        EndpointConnectionError: Name not resolved, or connection refused.
        ConnectTimeoutError: No connection within 3 seconds.
        ReadTimeoutError: No whole answer within 6 seconds.
        OversizedAnswerError: An answer of more than 64 KiB.
        HTTPClientError: Anything else.
    """
    url = str(request.url)
    try:
        return asyncio.run(_exchange(request, trust or _trust_system()))
    except aiohttp.ClientSSLError as error:
        raise aws.SSLError(endpoint_url=url, error=error) from error
    except aiohttp.ConnectionTimeoutError as error:
        raise aws.ConnectTimeoutError(endpoint_url=url, error=error) from error
    except TimeoutError as error:
        raise aws.ReadTimeoutError(endpoint_url=url, error=error) from error
    except aiohttp.ClientConnectorError as error:
        raise aws.EndpointConnectionError(endpoint_url=url, error=error) from error
    except aiohttp.ServerDisconnectedError as error:
        raise aws.ConnectionClosedError(endpoint_url=url, error=error) from error
    except OversizedAnswerError:
        raise
    except (aiohttp.ClientError, OSError, ValueError) as error:
        raise aws.HTTPClientError(request=request, error=error) from error


async def _exchange(request: AWSPreparedRequest, trust: ssl.SSLContext) -> AWSResponse:
    headers = {name: _as_text(value) for name, value in request.headers.items()}
    async with (
        aiohttp.ClientSession(
            timeout=aiohttp.ClientTimeout(total=_TOTAL_SECONDS, sock_connect=_CONNECT_SECONDS),
            auto_decompress=False,
            trust_env=True,
        ) as session,
        session.request(
            request.method,
            URL(str(request.url), encoded=True),
            headers=headers,
            data=request.body or None,
            skip_auto_headers=("Content-Type", "Accept-Encoding"),
            allow_redirects=False,
            ssl=trust,
        ) as response,
    ):
        body = bytearray()
        async for block in response.content.iter_any():
            body += block
            if len(body) > _MAX_BYTES:
                raise OversizedAnswerError(f"the answer is longer than {_MAX_BYTES // 1024} KiB")
        found = HTTPHeaders()
        for name, value in response.headers.items():
            found[name] = value
        return AWSResponse(str(request.url), response.status, found, _Raw(bytes(body)))


def _as_text(value: str | bytes) -> str:
    return value.decode() if isinstance(value, bytes) else value
