"""What is fuzzed: for each target a check of any bytes, and the words its inputs are made of."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.fuzz.calls import check_answer, check_call, check_event, check_start
from tests.fuzz.fields import check_fields
from tests.fuzz.requests import check_request_stream
from tests.fuzz.responses import check_response_stream
from tests.fuzz.settings import check_settings
from tests.fuzz.streams import check_stream
from tests.fuzz.traces import check_trace

CORPUS = Path(__file__).parent / "corpus"

JSON = (
    b"{",
    b"}",
    b"[",
    b"]",
    b'"',
    b":",
    b",",
    b"null",
    b"true",
    b"1e999",
    b"9" * 400,
    b"NaN",
    b"\\ud800",
    b"[" * 400,
)


@dataclass(frozen=True)
class Target:
    """Something that takes bytes from strangers.

    Attributes:
        name: Also of its folder in the corpus.
        check: Raises for bytes on which a property does not hold.
        words: What random inputs are made of.
    """

    name: str
    check: Callable[[bytes], None]
    words: tuple[bytes, ...]

    @property
    def folder(self) -> Path:
        return CORPUS / self.name

    def corpus(self) -> Iterator[Path]:
        """Inputs that have found something, or that lead to what is worth mutating."""
        return (path for path in sorted(self.folder.iterdir()) if path.is_file())


TARGETS = (
    Target(
        "streams",
        check_stream,
        (
            *(b"\n", b"\r", b"\r\n", b"\n\n", b":", b" ", b"\0", b"\xef\xbb\xbf", b"\xef", b"\xff", b"\xe2\x80\xa6"),
            *(b"data", b"data: ", b"event: done", b"event", b"id: a:7", b"id:\0", b"retry: 1", b": heartbeat\n\n"),
        ),
    ),
    Target(
        "calls",
        check_call,
        (
            *(
                b"\0",
                b"\1",
                b"/",
                b"//",
                b"?",
                b"#",
                b";",
                b"&",
                b"=",
                b"%",
                b"%2F",
                b"%00",
                b":",
                b"@",
                b"[",
                b"]",
                b".",
            ),
            *(b"http://h", b"/api/chat/cancel", b"/api/chat/stream", b"/status", b"/api/session/stream", b"stream_id="),
            *(
                b"/api/chat/start",
                b"/api/btw",
                b"/api/terminal/",
                b"/api/auth/login",
                b"/inject_test",
                b"session_id=",
                b"stream%5Fid=x",
                b"+",
                b"\\",
                b"\xff",
                b"x",
            ),
        ),
    ),
    Target("starts", check_start, (*JSON, b'{"session_id": "', b'"session_id"', b"\xff\xfe", b"\xef\xbb\xbf", b"x\0")),
    Target(
        "answers",
        check_answer,
        (
            *JSON,
            *(b'"stream_id": "x"', b'"session_id"', b'"active_stream_id"', b'"cancelled": true', b'"uptime_seconds": '),
            *(b'"active": false', b'"journal": {"terminal": true', b'"runs": [{"stream_id": "x"}]', b'"phase"'),
        ),
    ),
    Target(
        "events",
        check_event,
        (*JSON, b'"type": "cancelled"', b'"old_session_id": "a"', b'"new_session_id": "b"', b'"session_id": "s"'),
    ),
    Target(
        "requests",
        check_request_stream,
        (
            *(
                b"\r\n",
                b"\n",
                b"\r",
                b"\r\n\r\n",
                b" ",
                b"\t",
                b":",
                b",",
                b"\0",
                b"\x0b",
                b"\x85",
                b"\xff",
                b"0",
                b"5",
            ),
            *(b"GET / HTTP/1.1\r\nHost: h\r\n", b"POST /a HTTP/1.1\r\nHost: h\r\n", b"Content-Length: 5\r\n\r\nhello"),
            *(
                b"Transfer-Encoding: chunked\r\n\r\n",
                b"0\r\n\r\n",
                b"5;a=b\r\nhello\r\n",
                b"Connection: ",
                b"Upgrade: h2c",
            ),
            *(
                b"websocket",
                b"Host: ",
                b"X-A: b",
                b"http://[::1]@",
                b"HTTP/1.0",
                b"%",
                b"Expect: 100-continue",
                b" c\r\n",
            ),
        ),
    ),
    Target(
        "responses",
        check_response_stream,
        (
            *(
                b"\r\n",
                b"\n",
                b"\r",
                b"\r\n\r\n",
                b"\n\n",
                b" ",
                b"\t",
                b":",
                b",",
                b"\0",
                b"\x85",
                b"\xff",
                b"0",
                b"5",
            ),
            *(b"HTTP/1.1 200 OK\r\n", b"HTTP/1.0 404 \r\n", b"HTTP/1.1 100 Continue\r\n\r\n", b"HTTP/1.1 204 No\r\n"),
            *(b"Content-Length: 5\r\n\r\nhello", b"Transfer-Encoding: chunked\r\n\r\n", b"5;a=b\r\nhello\r\n"),
            *(
                b"0\r\n\r\n",
                b"X-A: b\r\n",
                b"Connection: close\r\n",
                b"Upgrade: h2c\r\n",
                b" \r\n",
                b"HTTP/1.1 304 Not\r\n",
            ),
        ),
    ),
    Target(
        "fields",
        check_fields,
        (
            *(
                b"\n",
                b":",
                b",",
                b" ",
                b'"',
                b"[",
                b"]",
                b"\r",
                b"\0",
                b"\xff",
                b"\0",
                b"\1",
                b"\2",
                b"\3",
                b"\4",
                b"\5",
            ),
            *(b"Host:h", b"Connection:", b"X-Forwarded-For:", b"x-forwarded-proto:https", b"Content-Length:5", b"TE:"),
            *(b"1.1.1.1", b"10.0.0.1:80", b"::ffff:127.0.0.1", b"[2001:db8::1]:1", b"fe80::1%", b"unknown", b"Expect:"),
        ),
    ),
    Target(
        "settings",
        check_settings,
        (
            *(
                b"\n",
                b": ",
                b"- ",
                b"  ",
                b"{",
                b"}",
                b"[",
                b"]",
                b"&a",
                b"*a",
                b"<<",
                b"? ",
                b"|",
                b"!!binary ",
                b"!!set",
            ),
            *(
                b"listen",
                b"upstream",
                b"url",
                b"port",
                b"relay",
                b"buffer",
                b"client",
                b"trusted_proxies",
                b"trace",
                b"path",
            ),
            *(
                b"8788",
                b"5s",
                b"0x" + b"f" * 4000,
                b"1:2",
                b".inf",
                b".nan",
                b"2001-13-45",
                b"~",
                b"http://[",
                b"unix:///",
            ),
            *(
                b'"\\ud800"',
                b'"\\0"',
                b"[" * 400,
                b"#",
                b"%YAML 1.1\n---",
                b"\x85",
                b"__",
                b"\xff",
                b"10.0.0.0/8",
                b"---\n",
            ),
        ),
    ),
    Target(
        "traces",
        check_trace,
        (
            *JSON,
            *(
                b"\n",
                b'{"t": 1, "event": "',
                b"trace_begun",
                b"trace_gap",
                b"observed",
                b"cancel_judged",
                b"relay_opened",
            ),
            *(b'"stream": "x"', b'"session": "s"', b'"relay": "r-1"', b'"cancel": "c-1"', b'"part": 1', b'"time": 1'),
        ),
    ),
)
