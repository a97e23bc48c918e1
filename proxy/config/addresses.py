"""Addresses: where to listen, where Hermes is, and which networks are trusted."""

import re
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from pathlib import Path
from typing import Annotated, Any, Final
from urllib.parse import SplitResult, urlsplit

from pydantic import AfterValidator, Field, PlainSerializer, PlainValidator, WithJsonSchema

from proxy.config.files import socket_path

_UNIX: Final = "unix://"
_LISTEN: Final = re.compile(r"(?:\[(?P<ipv6>[^\[\]]+)\]|(?P<name>[^:\[\]]+)):(?P<port>[0-9]{1,5})")
_NAME: Final = re.compile(r"[A-Za-z0-9._-]+")
_FIELD_NAME: Final = r"^[!#$%&'*+.^_`|~0-9A-Za-z-]+$"
"""A token (RFC 9110, 5.1)."""


def parse_listen(text: str) -> dict[str, Any]:
    """The ``listen`` keys that ``HOST:PORT``, ``[::1]:PORT`` or ``unix:///path`` stands for.

    Raises:
        ValueError: It has none of these forms.
    """
    if text.startswith(_UNIX):
        return {"unix": text.removeprefix(_UNIX)}
    return {**_host_and_port(text, "should be HOST:PORT, [::1]:PORT or unix:///path"), "unix": None}


def parse_admin(text: str) -> dict[str, Any]:
    """The ``admin`` keys that ``HOST:PORT`` or ``[::1]:PORT`` stands for.

    Raises:
        ValueError: It has none of these forms.
    """
    return _host_and_port(text, "should be HOST:PORT or [::1]:PORT")


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches what listens there."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def authority(host: str, port: int | None) -> str:
    """``HOST[:PORT]`` as a URL has it, an IPv6 address in brackets (RFC 3986, 3.2.2)."""
    name = f"[{host}]" if ":" in host else host
    return name if port is None else f"{name}:{port}"


def _host_and_port(text: str, wanted: str) -> dict[str, Any]:
    found = _LISTEN.fullmatch(text)
    if found is None:
        raise ValueError(f'{wanted}, not "{text}"')
    return {"host": found["ipv6"] or found["name"], "port": int(found["port"])}


def _host(host: str) -> str:
    try:
        ip_address(host)
    except ValueError:
        if not _NAME.fullmatch(host):
            raise ValueError(f'should be a host name or an address without port or brackets, not "{host}"') from None
    return host


def _upstream_url(url: str) -> str:
    # No message repeats the whole URL, as it may hold a password.
    if url.startswith(_UNIX):
        socket_path(Path(url.removeprefix(_UNIX)))
        return url
    parts = _split(url)
    if "@" in parts.netloc:
        raise ValueError("should have no user name or password; Hermes has its own login")
    if parts.path not in {"", "/"} or parts.query or parts.fragment:
        raise ValueError("should end after the host and port; paths are the browser's to choose")
    return f"{parts.scheme}://{authority(_host(parts.hostname or ''), parts.port)}"


def _split(url: str) -> SplitResult:
    # urlsplit() drops control characters without a word, and reads the port when it is asked for.
    wanted = "should be http://HOST[:PORT], https://HOST[:PORT] or unix:///path"
    if re.search(r"[\x00-\x20\x7f]", url):
        raise ValueError(f"{wanted}, without spaces")
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise ValueError(f"{wanted} ({error})") from error
    if parts.scheme not in {"http", "https"} or not parts.hostname or port == 0:
        raise ValueError(wanted)
    return parts


def _header_name(name: str) -> str:
    if not re.fullmatch(_FIELD_NAME, name):
        raise ValueError(f'should be the name of a header such as Remote-User, not "{name}"')
    return name


def _network(value: object) -> IPv4Network | IPv6Network:
    if isinstance(value, IPv4Network | IPv6Network):
        return value
    if not isinstance(value, str):
        raise ValueError(f"should be a network such as 10.0.0.0/8, not {value}")  # noqa: TRY004 - only a ValueError becomes a message
    try:
        return ip_network(value)
    except ValueError as error:
        raise ValueError(f"should be a network such as 10.0.0.0/8 ({error})") from error


Host = Annotated[str, AfterValidator(_host)]
Port = Annotated[int, Field(ge=0, le=65_535)]
UpstreamUrl = Annotated[
    str,
    AfterValidator(_upstream_url),
    WithJsonSchema({"type": "string", "pattern": r"^(https?://[^/?#@\s]+/?|unix:///.+)$"}),
]
Network = Annotated[
    IPv4Network | IPv6Network,
    PlainValidator(_network),
    PlainSerializer(str, when_used="json"),
    WithJsonSchema({"type": "string", "pattern": r"^[0-9A-Fa-f:.]+(/[0-9]{1,3})?$"}),
]
HeaderName = Annotated[str, AfterValidator(_header_name), WithJsonSchema({"type": "string", "pattern": _FIELD_NAME})]
