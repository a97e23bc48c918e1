"""Errors of the admin listener: each is JSON, ``{"error": <one sentence>, "code": <snake_case>}``."""

import json
import logging
from collections.abc import Awaitable, Callable, Mapping
from email.utils import formatdate
from http import HTTPStatus
from typing import Final

from aiohttp import web

from proxy.ops.admin.headers import HARDENING

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

log = logging.getLogger(__name__)


class RefusalError(Exception):
    """A request that is not answered; ``str(error)`` is the sentence.

    Args:
        status: Of the answer.
        code: For programs.
        sentence: For people: what was wrong, and what to do.
        headers: Of the answer, besides.
    """

    def __init__(
        self, status: HTTPStatus, code: str, sentence: str, *, headers: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(sentence)
        self.status = status
        self.code = code
        self.headers = headers or {}


MISTAKEN: Final = RefusalError(
    HTTPStatus.INTERNAL_SERVER_ERROR, "internal_error", "The proxy made a mistake; its log has more."
)
MALFORMED: Final = RefusalError(
    HTTPStatus.BAD_REQUEST, "bad_request", "The request is malformed; plain HTTP/1.1 is spoken here."
)
TOO_LONG: Final = RefusalError(
    HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE,
    "head_too_long",
    "The request line or a header is too long, or there are too many headers.",
)
TOO_LARGE: Final = RefusalError(
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "request_too_large", "No call here takes a body of that size."
)
UNEXPECTED: Final = RefusalError(
    HTTPStatus.EXPECTATION_FAILED,
    "expectation_failed",
    "The only Expect that is known here is 100-continue (RFC 9110 10.1.1).",
)
LATE: Final = RefusalError(HTTPStatus.REQUEST_TIMEOUT, "request_timeout", "The body did not arrive in time.")


@web.middleware
async def errors_as_json(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Answers every error, aiohttp's own included, in one form."""
    try:
        return await handler(request)
    except RefusalError as refusal:
        return answer(refusal)
    except web.HTTPException as error:
        return answer(translated(request, error))
    except Exception:
        log.exception("the admin listener failed to answer %s %s", request.method, request.path)
        return answer(MISTAKEN)


def translated(request: web.Request, error: web.HTTPException) -> RefusalError:
    """What an error of aiohttp's own is called here."""
    match error:
        case web.HTTPMethodNotAllowed():
            allowed = error.headers["Allow"]
            sentence = f"{request.path} takes {allowed}, not {request.method}."
            return RefusalError(
                HTTPStatus.METHOD_NOT_ALLOWED, "method_not_allowed", sentence, headers={"Allow": allowed}
            )
        case web.HTTPNotFound():
            return RefusalError(HTTPStatus.NOT_FOUND, "not_found", "There is nothing here; / shows what there is.")
    return RefusalError(HTTPStatus(error.status), "refused", f"{error.reason}.")


def answer(refusal: RefusalError) -> web.Response:
    """The answer of the application, before it is sent."""
    return web.json_response(_said(refusal), status=refusal.status, headers=refusal.headers)


def serialized(refusal: RefusalError, *, has_body: bool) -> bytes:
    """The answer to what no application has seen, behind which the connection ends."""
    body = json.dumps(_said(refusal)).encode()
    fields = {
        **HARDENING,
        **refusal.headers,
        "Content-Type": "application/json; charset=utf-8",
        "Content-Length": len(body),
        "Date": formatdate(usegmt=True),
        "Connection": "close",
    }
    lines = [
        f"HTTP/1.1 {refusal.status} {refusal.status.phrase}",
        *(f"{name}: {said}" for name, said in fields.items()),
    ]
    return "\r\n".join([*lines, "", ""]).encode() + (body if has_body else b"")


def _said(refusal: RefusalError) -> dict[str, str]:
    return {"error": str(refusal), "code": refusal.code}
