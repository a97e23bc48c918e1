"""The header fields that every answer of the admin listener has."""

from typing import Final

from aiohttp import web

HARDENING: Final = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}


async def harden(_request: web.BaseRequest, response: web.StreamResponse) -> None:
    """Gives an answer the fields that every one has, and takes away the one that names versions."""
    response.headers.update(HARDENING)
    response.headers.popall("Server", None)
