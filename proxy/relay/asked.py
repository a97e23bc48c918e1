"""What a browser's request for an event stream says: of which one, from where on, and who it is."""

from proxy.hermes.contract import ListChannel, OpenStream
from proxy.hermes.resuming import resume_after
from proxy.http.downstream.request import Request
from proxy.http.headers import values
from proxy.ownership.callers import fingerprint
from proxy.relay.broadcast import Key

Shared = OpenStream | ListChannel
"""Calls whose event streams browsers can share."""


def viewer_of(request: Request) -> str:
    """Which browser it is: its credentials, its address, and its name."""
    agent = b" ".join(values(request.raw_headers, b"user-agent")).decode("latin-1")
    return f"{fingerprint(request.raw_headers)} {request.account.client} {agent}"


def resumes_after(request: Request) -> int | None:
    """The number of the last event that the browser has of its turn, if it says so."""
    header = b",".join(values(request.raw_headers, b"last-event-id")).decode("latin-1")
    return resume_after(request.target.decode("latin-1"), header)


def key_of(request: Request, call: Shared) -> Key:
    """Turns are the same for all who may see them; a channel is only shared by those who cannot be told apart."""
    if isinstance(call, OpenStream):
        return Key(call.stream_id)
    return Key(None, request.target.decode("latin-1"), fingerprint(request.raw_headers))
