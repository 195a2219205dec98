"""HTTP: one aiohttp session; says of every failure whether the request may have reached the venue."""

from __future__ import annotations

from typing import TYPE_CHECKING

from connectors.contract import Answer, Wire
from connectors.errors import NotSent, OutcomeUnknown

if TYPE_CHECKING:
    import aiohttp


class Http:
    """Sends sealed requests. TLS is verified by the library's defaults; redirects are not followed."""

    def __init__(self) -> None:
        self._session: aiohttp.ClientSession | None = None

    async def send(self, base: str, wire: Wire, timeout: float) -> Answer:
        """Send and read the whole answer, whatever its status.

        Raises NotSent when no connection was made, OutcomeUnknown when the request may have left.
        """
        import aiohttp

        if self._session is None:
            self._session = aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar())
        limit = aiohttp.ClientTimeout(total=timeout, sock_connect=min(timeout, 5.0))
        from yarl import URL

        url = URL(base + wire.path, encoded=True)
        try:
            async with self._session.request(
                wire.method, url, headers=dict(wire.headers), data=wire.body, timeout=limit, allow_redirects=False
            ) as response:
                body = await response.read()
                headers = {name.lower(): value for name, value in response.headers.items()}
                return Answer(response.status, body, headers)
        except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError) as error:
            raise NotSent(f"no connection to {url.host}: {type(error).__name__}") from None
        except TimeoutError:
            raise OutcomeUnknown(f"no answer from {url.host} within {timeout:g} s") from None
        except aiohttp.ClientError as error:
            raise OutcomeUnknown(f"the connection to {url.host} broke: {type(error).__name__}") from None

    async def close(self) -> None:
        """Close all connections."""
        if self._session is not None:
            await self._session.close()
            self._session = None
