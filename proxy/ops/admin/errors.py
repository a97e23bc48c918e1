"""Errors of the admin listener: each is JSON, ``{"error": <one sentence>, "code": <snake_case>}``."""

import logging
from collections.abc import Awaitable, Callable, Mapping
from http import HTTPStatus
from typing import Final

from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError, LineTooLong
from aiohttp.web_protocol import RequestPayloadError

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


@web.middleware
async def errors_as_json(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Answers every error, aiohttp's own included, in one form."""
    try:
        return await handler(request)
    except RefusalError as refusal:
        return answer(refusal)
    except web.HTTPException as error:
        return answer(translated(request, error))
    except RequestPayloadError:
        malformed = answer(MALFORMED)
        malformed.force_close()  # nobody can tell where its body ends
        return malformed
    except Exception:
        log.exception("the admin listener failed to answer %s %s", request.method, request.path)
        return answer(MISTAKEN)


def translated(request: web.BaseRequest, error: web.HTTPException) -> RefusalError:
    """What an error of aiohttp's own is called here."""
    match error:
        case web.HTTPMethodNotAllowed():
            allowed = error.headers["Allow"]
            sentence = f"{request.path} takes {allowed}, not {request.method}."
            return RefusalError(
                HTTPStatus.METHOD_NOT_ALLOWED, "method_not_allowed", sentence, headers={"Allow": allowed}
            )
        case web.HTTPRequestEntityTooLarge():
            return RefusalError(
                HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "request_too_large", "No call here takes a body of that size."
            )
        case web.HTTPExpectationFailed():
            sentence = "The only Expect that is known here is 100-continue (RFC 9110 10.1.1)."
            return RefusalError(HTTPStatus.EXPECTATION_FAILED, "expectation_failed", sentence)
        case web.HTTPNotFound():
            return RefusalError(HTTPStatus.NOT_FOUND, "not_found", "There is nothing here; / shows what there is.")
    return RefusalError(HTTPStatus(error.status), "refused", f"{error.reason}.")


def unreadable(error: HttpProcessingError) -> RefusalError:
    """What a parser's error is called. Its own words repeat what was read: there may be a token in it."""
    if isinstance(error, LineTooLong) or error.message == "Too many headers received":
        return TOO_LONG
    return MALFORMED


def answer(refusal: RefusalError) -> web.Response:
    """The answer, before it is sent."""
    said = {"error": str(refusal), "code": refusal.code}
    return web.json_response(said, status=refusal.status, headers=refusal.headers)
