"""How Hermes reads a request: with Python's own server, which is what it runs on."""

from http.server import BaseHTTPRequestHandler
from io import BytesIO
from typing import Any


class HermesReader(BaseHTTPRequestHandler):
    """A request's head as Hermes has it, from the bytes that it gets.

    Attributes:
        refused: The status with which it would be refused unread, if it would.
    """

    def __init__(self, wire: BytesIO) -> None:
        self.refused: int | None = None
        self.client_address = ("127.0.0.1", 1)
        self.rfile, self.wfile = wire, BytesIO()
        self.raw_requestline = wire.readline(65_537)
        if not self.parse_request() and self.refused is None:
            self.refused = 0

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:
        self.refused = int(code)

    def log_message(self, *args: Any) -> None:
        """It is not that chatty here."""
