"""Passes every body on as it comes, which mitmproxy holds otherwise."""

from typing import Any


def requestheaders(flow: Any) -> None:
    flow.request.stream = True


def responseheaders(flow: Any) -> None:
    flow.response.stream = True
