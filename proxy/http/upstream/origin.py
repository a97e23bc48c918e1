"""Where the backend is, and how to get a connection to it."""

from __future__ import annotations

import asyncio
import ssl
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from proxy.http.errors import BackendTooSlowError, BackendUnreachableError
from proxy.http.upstream.connection import UpstreamConnection

DEFAULT_PORTS = {"http": 80, "https": 443}


@dataclass(frozen=True, slots=True)
class Origin:
    """An address of the backend.

    Attributes:
        host: Name or IP address, without brackets.
        port: TCP port.
        tls: How to speak TLS to it; None for plain HTTP.
        socket: A Unix socket to use instead of host and port.
    """

    host: str
    port: int
    tls: ssl.SSLContext | None = None
    socket: Path | None = None

    @classmethod
    def parse(cls, url: str, *, ca: Path | None = None) -> Origin:
        """Read ``http://host[:port]``, ``https://host[:port]`` or ``unix:///path``.

        Args:
            url: The address.
            ca: PEM file with the authorities to trust for ``https``, instead of the system's.

        Raises:
            ValueError: anything else, or a path, query or credentials beside it.
            OSError: ``ca`` cannot be read (``ssl.SSLError`` if it holds no certificate).
        """
        parts = urlsplit(url)
        if parts.scheme == "unix" and parts.path.startswith("/") and not parts.netloc:
            return cls("localhost", 0, socket=Path(parts.path))
        if parts.scheme not in DEFAULT_PORTS or not parts.hostname:
            raise ValueError(f"{url!r} is none of http://host:port, https://host:port, unix:///path")
        if parts.path not in {"", "/"} or parts.query or parts.fragment or parts.username:
            raise ValueError(f"{url!r} may name only a host and a port")
        tls = ssl.create_default_context(cafile=ca) if parts.scheme == "https" else None
        return cls(parts.hostname, parts.port or DEFAULT_PORTS[parts.scheme], tls)

    @property
    def authority(self) -> bytes:
        """What ``Host`` says to this origin, for a request that came without one."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return (host if self.socket is not None else f"{host}:{self.port}").encode()

    @property
    def place(self) -> str:
        """The address as it is named in errors."""
        return f"unix:{self.socket}" if self.socket is not None else f"{self.host}:{self.port}"

    async def connect(self, timeout: float, patience: float) -> UpstreamConnection:  # noqa: ASYNC109 - maps it to an error
        """A new connection.

        Args:
            timeout: Seconds to wait for it.
            patience: Seconds for which it may take nothing of what is sent on it.

        Raises:
            BackendUnreachableError: refused, not resolved, or its certificate is not trusted.
            BackendTooSlowError: not connected after ``timeout`` seconds.
        """
        try:
            async with asyncio.timeout(timeout):
                return await self._dial(patience)
        except TimeoutError:
            raise BackendTooSlowError(f"The backend did not accept a connection in {timeout:g} s.") from None
        except ssl.SSLCertVerificationError as error:
            raise BackendUnreachableError(
                f"The backend's certificate is not trusted: {error.verify_message}."
            ) from error
        except OSError as error:
            raise BackendUnreachableError(f"The backend cannot be reached at {self.place}.") from error

    async def _dial(self, patience: float) -> UpstreamConnection:
        loop = asyncio.get_running_loop()

        def factory() -> UpstreamConnection:
            return UpstreamConnection(patience)

        if self.socket is not None:
            _, connection = await loop.create_unix_connection(factory, str(self.socket))
        else:
            _, connection = await loop.create_connection(factory, self.host, self.port, ssl=self.tls)
        return connection
