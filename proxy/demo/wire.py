"""Requests, as Python's ``BaseHTTPRequestHandler`` reads them.

Hermes is a ``ThreadingHTTPServer``, and the facts about its connections (F8) are that class's
habits: the body of a refused request stays unread, ``Transfer-Encoding`` is not looked at, a
response without framing leaves the connection open. They are kept here on purpose.
"""

import asyncio
import http.client
import io
from dataclasses import dataclass
from email.message import Message
from http import HTTPStatus
from urllib.parse import parse_qs, urlparse

LINE_LIMIT = 65536
"""Bytes of a request line or header line; the longer is answered 414 or 431."""
HEADER_LIMIT = 100
METHODS = frozenset({"GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})


class BadRequestError(Exception):
    """A request that Python's server refuses by itself, with an HTML page.

    Attributes:
        status: The response's status.
        message: Its reason, as ``send_error`` puts it in the status line.
        explanation: The page's last line.
        bare: Written without a head, as to an HTTP/0.9 client.
    """

    def __init__(self, status: int, message: str = "", explanation: str = "", *, bare: bool = False) -> None:
        super().__init__(message)
        self.status = status
        self.message = message or HTTPStatus(status).phrase
        self.explanation = explanation or HTTPStatus(status).description
        self.bare = bare


class BadLengthError(ValueError):
    """A ``Content-Length`` that is no length: what follows cannot be told from a request."""


@dataclass(frozen=True)
class Request:
    """One request's head.

    Attributes:
        method: The method, case kept.
        target: The request target as it came, but for the leading ``//`` that Python folds.
        headers: Its headers, case-insensitive.
        raw: The head's bytes as received.
        bare: It is an HTTP/0.9 request: the answer has no head.
        keep_alive: Whether the client lets the connection live on.
        expects_continue: An HTTP/1.1 client waits for ``100 Continue``.
    """

    method: str
    target: str
    headers: Message
    raw: bytes
    bare: bool
    keep_alive: bool
    expects_continue: bool

    @property
    def path(self) -> str:
        """The target's path, still percent-encoded."""
        return urlparse(self.target).path

    def query(self, name: str, default: str = "") -> str:
        """The first value of the query parameter ``name``, or ``default``."""
        return parse_qs(urlparse(self.target).query).get(name, [default])[0]

    def header(self, name: str) -> str:
        """The header ``name``, or an empty string."""
        return str(self.headers.get(name, ""))

    @property
    def length(self) -> int:
        """``Content-Length``; a request without one has no body, chunked or not (F8).

        Raises:
            BadLengthError: it is not a number, or negative.
        """
        raw = str(self.headers.get("Content-Length", 0))
        try:
            length = int(raw)
        except ValueError:
            raise BadLengthError(f"Invalid Content-Length: {raw!r}") from None
        if length < 0:
            raise BadLengthError(f"Invalid Content-Length: {length}")
        return length


async def read_request(reader: asyncio.StreamReader) -> Request | None:
    """The next request's head, or ``None`` at the end of the connection.

    Raises:
        BadRequestError: Python's server would refuse it.
    """
    line = await _read_line(reader, BadRequestError(414))
    if not line.strip():
        return None
    method, target, version = _parse_request_line(line)
    head = await _read_headers(reader) if version else b""
    headers = http.client.parse_headers(io.BytesIO(head))
    connection = str(headers.get("Connection", "")).lower()
    modern = version >= (1, 1)
    return Request(
        method=method,
        target="/" + target.lstrip("/") if target.startswith("//") else target,
        headers=headers,
        raw=line + head,
        bare=not version,
        keep_alive=connection == "keep-alive" or (modern and connection != "close"),
        expects_continue=modern and str(headers.get("Expect", "")).lower() == "100-continue",
    )


async def _read_line(reader: asyncio.StreamReader, too_long: BadRequestError) -> bytes:
    try:
        return await reader.readline()
    except ValueError:
        raise too_long from None


async def _read_headers(reader: asyncio.StreamReader) -> bytes:
    too_long = BadRequestError(431, "Line too long", f"got more than {LINE_LIMIT} bytes when reading header line")
    lines = [await _read_line(reader, too_long)]
    while lines[-1] not in {b"\r\n", b"\n", b""}:
        if len(lines) > HEADER_LIMIT:
            raise BadRequestError(431, "Too many headers", f"got more than {HEADER_LIMIT} headers")
        lines.append(await _read_line(reader, too_long))
    return b"".join(lines)


def _parse_request_line(line: bytes) -> tuple[str, str, tuple[int, ...]]:
    text = line.decode("iso-8859-1").rstrip("\r\n")
    words = text.split()
    version = _parse_version(words[-1]) if len(words) > 2 else ()  # noqa: PLR2004  method, target, version
    if len(words) not in {2, 3}:
        raise BadRequestError(400, f"Bad request syntax ({text!r})", bare=not version)
    if not version and words[0] != "GET":
        raise BadRequestError(400, f"Bad HTTP/0.9 request type ({words[0]!r})", bare=True)
    return words[0], words[1], version


def _parse_version(word: str) -> tuple[int, ...]:
    major, dot, minor = word.removeprefix("HTTP/").partition(".")
    if not (word.startswith("HTTP/") and dot and major.isdigit() and minor.isdigit()):
        raise BadRequestError(400, f"Bad request version ({word!r})", bare=True)
    if int(major) > 1:
        raise BadRequestError(505, f"Invalid HTTP version ({major}.{minor})", bare=True)
    return int(major), int(minor)
