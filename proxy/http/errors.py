"""Why a request got no ordinary answer, and whose fault that is.

::

    ProxyError
    ├── BrowserError                 the browser's fault
    │   ├── BadRequestError          400  malformed or ambiguous
    │   ├── LocalOnlyError           403  only for clients nearer to the backend
    │   ├── CrossSiteError           403  another site's page asked, which must not
    │   ├── RequestTimeoutError      408  its head or its body did not arrive in time
    │   ├── IdempotencyConflictError 409  its Idempotency-Key was another request's
    │   ├── RequestTooLargeError     413  its body is over a limit of ours
    │   ├── TargetTooLongError       414  its request line is over 64 KiB
    │   ├── TooManyLoginsError       429  its client failed to log in too often
    │   ├── TooManyConnectionsError  429  its client has too many connections open
    │   ├── HeadersTooLargeError     431  a header is over 64 KiB, or there are too many or too much
    │   ├── UnsupportedRequestError  501  a method or transfer coding nobody here knows
    │   └── UnsupportedVersionError  505  neither HTTP/1.0 nor HTTP/1.1
    ├── BackendError                 the backend's fault
    │   ├── BackendUnreachableError  502  it takes no connection
    │   ├── BackendBrokenError       502  it hung up, or does not speak HTTP
    │   ├── AnswerTooLargeError      502  its answer is over a limit of ours
    │   └── BackendTooSlowError      504  it did not answer in time
    ├── NoCapacityError              503  ours: no slot is free
    │   ├── CrowdedOutError          503  its browser is slow, and others wait
    │   └── NoRoomError              503  ours: too much of bodies is held
    └── DrainingError                503  ours: nothing new begins

Raised before a response head has gone out, each becomes the JSON error that its ``status``,
``code`` and sentence spell. Raised afterwards, each aborts the browser's connection: a second
head would end up in the first one's body.
"""

from __future__ import annotations

from typing import ClassVar


class ProxyError(Exception):
    """Root of the tree.

    Args:
        sentence: For the person at the browser; ``str(error)`` is that.
        retry_after: Whole seconds to wait before trying again, where that is worth saying.
    """

    status: ClassVar[int] = 500
    code: ClassVar[str] = "internal_error"

    def __init__(self, sentence: str, *, retry_after: int | None = None) -> None:
        super().__init__(sentence)
        self.retry_after = retry_after


class BrowserError(ProxyError):
    """The request cannot be carried out as it came."""

    status = 400
    code = "bad_request"


class BadRequestError(BrowserError):
    """Malformed, or two parties could read it differently (RFC 9112 §11.2)."""


class LocalOnlyError(BrowserError):
    """The backend would answer this to clients near to it only, and takes every client for one (F9)."""

    status = 403
    code = "local_only"


class CrossSiteError(BrowserError):
    """A page of another site asked for what only the backend's own page may."""

    status = 403
    code = "cross_site"


class RequestTimeoutError(BrowserError):
    """The head, or the rest of the body, did not arrive in time."""

    status = 408
    code = "request_timeout"


class IdempotencyConflictError(BrowserError):
    """Its key came with another body before, so its client confuses two requests."""

    status = 409
    code = "idempotency_key_conflict"


class RequestTooLargeError(BrowserError):
    """A body that has to be held is over the limit for holding it (P7)."""

    status = 413
    code = "request_too_large"


class TargetTooLongError(BrowserError):
    """The request line is longer than the backend would read."""

    status = 414
    code = "target_too_long"


class TooManyLoginsError(BrowserError):
    """One more failure to log in would count against everybody at the backend (F9)."""

    status = 429
    code = "too_many_logins"


class TooManyConnectionsError(BrowserError):
    """One client takes more connections than it may (P7)."""

    status = 429
    code = "too_many_connections"


class HeadersTooLargeError(BrowserError):
    """A header line is too long, or there are too many of them (RFC 6585 §5)."""

    status = 431
    code = "headers_too_large"


class UnsupportedRequestError(BrowserError):
    """A method or transfer coding that is not implemented (RFC 9112 §6.1)."""

    status = 501
    code = "not_implemented"


class UnsupportedVersionError(BrowserError):
    """An HTTP version other than 1.0 and 1.1."""

    status = 505
    code = "version_not_supported"


class BackendError(ProxyError):
    """The backend gave no usable answer."""

    status = 502
    code = "backend_broken"


class BackendUnreachableError(BackendError):
    """No connection could be made."""

    code = "backend_unreachable"


class BackendBrokenError(BackendError):
    """The connection broke, or what came was not HTTP."""


class AnswerTooLargeError(BackendError):
    """An answer that has to be held is over the limit for holding it (P7)."""

    code = "answer_too_large"


class BackendTooSlowError(BackendError):
    """Connecting, taking the request or answering took too long."""

    status = 504
    code = "backend_too_slow"


class NoCapacityError(ProxyError):
    """Every slot of a lane is taken (F7: the backend has 128 threads)."""

    status = 503
    code = "no_capacity"


class CrowdedOutError(NoCapacityError):
    """Its slot went to others, who waited for it while the browser did not get on."""

    code = "crowded_out"


class NoRoomError(NoCapacityError):
    """As much of what browsers send is held as may be (P7)."""

    code = "no_room"


class DrainingError(ProxyError):
    """What runs may come to its end, and nothing new begins."""

    status = 503
    code = "draining"
