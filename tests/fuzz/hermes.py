"""How Hermes reads a request: with Python's own server, which is what it runs on."""

from http.client import parse_headers
from http.server import BaseHTTPRequestHandler
from io import BytesIO
from typing import Any


class HermesReader(BaseHTTPRequestHandler):
    """A request as Hermes has it, from the bytes that it gets.

    Attributes:
        refused: The status with which it would be refused unread, if it would.
        trailers: What stood behind a body in chunks, once that was read.
    """

    def __init__(self, wire: BytesIO) -> None:
        self.refused: int | None = None
        self.trailers: list[tuple[str, str]] = []
        self.client_address = ("127.0.0.1", 1)
        self.rfile, self.wfile = wire, BytesIO()
        self.raw_requestline = wire.readline(65_537)
        if not self.parse_request() and self.refused is None:
            self.refused = 0

    def body(self) -> bytes:
        """What follows the head. Hermes leaves chunks unread (F8); here they are read as RFC 9112 §7.1.3 has it."""
        if self.headers["Transfer-Encoding"] is None:
            return self.rfile.read(int(self.headers["Content-Length"] or 0))
        content = b""
        while size := int(self.rfile.readline(), 16):
            content += self.rfile.read(size)
            assert self.rfile.read(2) == b"\r\n"
        self.trailers = parse_headers(self.rfile).items()
        return content

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:
        self.refused = int(code)

    def log_message(self, *args: Any) -> None:
        """It is not that chatty here."""
