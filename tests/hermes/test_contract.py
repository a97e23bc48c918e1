"""Requests are read as Hermes reads them: the outcomes here were seen on v0.52.262 over a raw socket."""

import json

import pytest

from proxy.hermes.contract import (
    CHANGE_PATHS,
    EVENT_STREAM_PATHS,
    SIDE_PATHS,
    Cancel,
    Change,
    EventStream,
    Health,
    ListChannel,
    OpenStream,
    Other,
    SessionChannel,
    Start,
    Status,
    Steer,
    Steering,
    classify,
    kicks_off,
    read_steering,
    session_of_start,
    steer_without_text,
)

CANCEL = "/api/chat/cancel"
DEEP = b"[" * 200_000


@pytest.mark.parametrize(
    ("target", "call"),
    [
        ("/api/chat/cancel?stream_id=x", Cancel("x")),
        ("/api/chat/stream?stream_id=x&after_seq=7&replay=1", OpenStream("x")),
        ("/api/chat/stream/status?stream_id=x", Status("x")),
        ("/api/session/stream?session_id=s", SessionChannel("s")),
        ("/health", Health()),
        ("/", Other()),
        ("/api/session?session_id=s", Other()),
        ("/api/chat/start", Other()),
    ],
)
def test_gets(target: str, call: object) -> None:
    assert classify("GET", target) == call


def test_posts_that_take_a_turn_of_their_session() -> None:
    assert classify("POST", "/api/chat/start") == Start(takes_turn=True)


def test_a_goal_takes_a_turn_if_its_body_says_so() -> None:
    assert classify("POST", "/api/goal") == Start(takes_turn=True, is_goal=True)


@pytest.mark.parametrize("path", sorted(CHANGE_PATHS))
def test_posts_that_change_their_session(path: str) -> None:
    """F17; in any spelling, and by POST only."""
    assert classify("POST", path) == classify("POST", f"/{path}?x=1") == Change(path)
    assert classify("GET", path) == Other()


def test_one_change_is_a_whole_turn() -> None:
    assert [path for path in CHANGE_PATHS if Change(path).is_turn] == ["/api/chat"]


@pytest.mark.parametrize(
    "path",
    [
        *("/api/session/update", "/api/session/rename", "/api/session/anchor-scene", "/api/session/new"),
        *("/api/session/import", "/api/sessions/cleanup", "/api/session/recovery/repair-safe", "/api/share/revoke"),
    ],
)
def test_posts_that_change_no_messages_of_a_session_that_they_name(path: str) -> None:
    assert classify("POST", path) == Other()


@pytest.mark.parametrize("path", sorted(SIDE_PATHS))
def test_posts_that_start_a_side_stream(path: str) -> None:
    assert classify("POST", path) == Start(takes_turn=False)


@pytest.mark.parametrize("path", ["/api/chat/steer/", "/api/chat/start/", "/API/chat/start", CANCEL, "/health"])
def test_posts_that_start_nothing(path: str) -> None:
    assert classify("POST", path) == Other()


@pytest.mark.parametrize(
    "target", ["//api/chat/start", "/api/chat/start?x=1", "/api/chat/start;x", "http://h/api/chat/start#x"]
)
def test_other_spellings_of_a_start(target: str) -> None:
    assert classify("POST", target) == Start(takes_turn=True)


@pytest.mark.parametrize("target", ["/api/chat/steer", "//api/chat/steer", "/api/chat/steer?x=1"])
def test_a_steer(target: str) -> None:
    assert classify("POST", target) == Steer()
    assert classify("GET", target) == Other()


def test_the_list_of_sessions_has_a_channel() -> None:
    assert classify("GET", "/api/sessions/events") == ListChannel()


@pytest.mark.parametrize("path", sorted(EVENT_STREAM_PATHS))
def test_other_event_streams(path: str) -> None:
    assert classify("GET", path) == EventStream()


@pytest.mark.parametrize("accept", ["text/event-stream", "Text/Event-Stream;q=1", "text/html, text/event-stream"])
def test_what_asks_for_an_event_stream_is_one(accept: str) -> None:
    assert classify("GET", "/api/anything", accept) == EventStream()


@pytest.mark.parametrize("accept", ["", "*/*", "application/json"])
def test_what_does_not_ask_for_an_event_stream_is_none(accept: str) -> None:
    assert classify("GET", "/api/anything", accept) == Other()


def test_asking_for_an_event_stream_does_not_hide_a_guarded_call() -> None:
    assert classify("GET", f"{CANCEL}?stream_id=x", "text/event-stream") == Cancel("x")
    assert classify("POST", "/api/chat/start", "text/event-stream") == Start(takes_turn=True)


@pytest.mark.parametrize("method", ["HEAD", "POST", "PUT", "DELETE", "OPTIONS", "get", "Get"])
def test_only_a_get_cancels(method: str) -> None:
    """Hermes answers them 501, 404, or as a preflight; it compares the method with its case."""
    assert classify(method, f"{CANCEL}?stream_id=x") == Other()


@pytest.mark.parametrize("method", ["HEAD", "PUT", "PATCH", "post"])
def test_only_a_post_starts(method: str) -> None:
    assert classify(method, "/api/chat/start") == Other()


@pytest.mark.parametrize(
    "target",
    [
        "//api/chat/cancel?stream_id=x",
        "////api/chat/cancel?stream_id=x",
        "http://host/api/chat/cancel?stream_id=x",
        "HTTP://user@host:1/api/chat/cancel?stream_id=x",
        "http:/api/chat/cancel?stream_id=x",
        "http://host;y/api/chat/cancel?stream_id=x",
        "http://[v1.a]/api/chat/cancel?stream_id=x",
        "any:/api/chat/cancel?stream_id=x",
        "\x01/api/chat/cancel?stream_id=x",
        "/api/chat/cancel;y?stream_id=x",
        "/api/chat/cancel;?stream_id=x",
        "/api/chat/cancel?stream_id=x#y",
        "/api/chat/cancel?stream_id=%78",
        "/api/chat/cancel?stream%5Fid=x",
        "/api/chat/cancel?stream_id=x&stream_id=y",
        "/api/chat/cancel?stream_id=&stream_id=x",
        "/api/chat/cancel?&&y=1&stream_id=x&",
        "/api/chat/cancel?" + "y=1&" * 2000 + "stream_id=x",
    ],
)
def test_spellings_of_the_same_cancel(target: str) -> None:
    """P1: no stale cancel slips by in another spelling."""
    assert classify("GET", target) == Cancel("x")


@pytest.mark.parametrize(
    ("query", "stream_id"),
    [
        ("stream_id=a+b", "a b"),
        ("stream_id=a%20b", "a b"),
        ("stream_id=a%2Bb", "a+b"),
        ("stream_id=a;x=1", "a;x=1"),
        ("stream_id=a%26stream_id=b", "a&stream_id=b"),
        ("stream_id=a=b", "a=b"),
        ("stream_id=%ff", "\N{REPLACEMENT CHARACTER}"),
        ("stream_id=%00x", "\0x"),
        ("stream_id=%zz", "%zz"),
        ("stream_id=%F0%9F%92%A9", "\N{PILE OF POO}"),
    ],
)
def test_a_stream_id_is_decoded_as_hermes_decodes_it(query: str, stream_id: str) -> None:
    assert classify("GET", f"{CANCEL}?{query}") == Cancel(stream_id)


@pytest.mark.parametrize(
    "query", ["", "?", "?stream_id", "?stream_id=", "??stream_id=x", "?y;stream_id=x", "?STREAM_ID=x", "#?stream_id=x"]
)
def test_a_cancel_without_a_stream_id_is_the_backends_to_refuse(query: str) -> None:
    assert classify("GET", CANCEL + query) == Cancel("")


@pytest.mark.parametrize(
    "target",
    [
        "/api/chat/cancel/?stream_id=x",
        "/api//chat/cancel?stream_id=x",
        "/api/chat/./cancel?stream_id=x",
        "/api/chat/%63ancel?stream_id=x",
        "/api;y/chat/cancel?stream_id=x",
        "/API/chat/cancel?stream_id=x",
        "/\\api/chat/cancel?stream_id=x",
        "api/chat/cancel?stream_id=x",
        "any:api/chat/cancel?stream_id=x",
        "http://host//api/chat/cancel?stream_id=x",
        "///;y/api/chat/cancel?stream_id=x",
        "/api/chat/cancel\x01?stream_id=x",
    ],
)
def test_spellings_that_hermes_finds_nothing_at(target: str) -> None:
    assert classify("GET", target) == Other()


@pytest.mark.parametrize(
    "target", ["http://[h/api/chat/cancel?stream_id=x", "http://h]/api/chat/cancel", "", "*", "?stream_id=x", "#"]
)
def test_malformed_targets_are_no_call(target: str) -> None:
    """Hermes answers 500 or 404; they pass."""
    assert classify("GET", target) == Other()
    assert classify("POST", target) == Other()


# -- the session of a start -----------------------------------------------------------------------


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-32"])
def test_the_session_that_a_start_names(encoding: str) -> None:
    """`json.loads` guesses the encoding of bytes, with or without a byte order mark; in Hermes too."""
    assert session_of_start('{"session_id": "s", "message": "…"}'.encode(encoding)) == "s"


def test_the_last_of_two_sessions_counts() -> None:
    assert session_of_start(b'{"session_id": "s", "session_id": "t"}') == "t"


@pytest.mark.parametrize(
    "body",
    [
        *(b"", b"session_id=s", b"\xff\xfe\xfd", b'{"session_id": "s"', DEEP, b'{"session_id": ' + DEEP),
        *(b"[]", b'"session_id"', b"null", b"1", b"9" * 5000),
        *(json.dumps({"session_id": value}).encode() for value in ("", None, 0, 7, True, ["s"], {"s": 1})),
        b'{"Session_Id": "s"}',
    ],
    ids=repr,
)
def test_a_start_that_names_no_session(body: bytes) -> None:
    assert session_of_start(body) is None


# -- the words of a goal --------------------------------------------------------------------------


@pytest.mark.parametrize(
    "fields",
    [
        *({"args": word} for word in ("", "status", "pause", "clear", "stop", "done", " Stop\n", "DONE")),
        *({}, {"args": None}, {"args": 0}, {"args": "  "}, {"args": "", "text": "status"}, {"args": [], "text": ""}),
        {"args": "status", "text": "write a book"},
    ],
    ids=repr,
)
def test_words_that_begin_no_turn(fields: dict[str, object]) -> None:
    """F21: what Hermes finds in `args`, else in `text`, without blanks around it and whatever its case."""
    assert not kicks_off(json.dumps(fields).encode())


@pytest.mark.parametrize(
    "fields",
    [
        *({"args": "write a book"}, {"args": "done deal"}, {"args": "", "text": "write"}, {"args": 7}),
        *({"args": "resume"}, {"args": ["stop"]}),
    ],
    ids=repr,
)
def test_words_that_may_begin_a_turn(fields: dict[str, object]) -> None:
    assert kicks_off(json.dumps(fields).encode())


@pytest.mark.parametrize("body", [b"", b"no json", b"[]"])
def test_a_goal_that_says_nothing_begins_no_turn(body: bytes) -> None:
    assert not kicks_off(body)


def test_what_a_steer_says() -> None:
    """Hermes drops the space around both."""
    assert read_steering(b'{"session_id": " s ", "text": " go\\nleft\\n"}') == Steering("s", "go\nleft")


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        DEEP,
        b'{"session_id": "s"}',
        b'{"text": "left"}',
        b'{"session_id": " ", "text": "left"}',
        b'{"session_id": "s", "text": " "}',
        b'{"session_id": "s", "text": 7}',
        b'{"session_id": ["s"], "text": "left"}',
    ],
    ids=lambda body: repr(body[:40]),
)
def test_what_is_no_steer(body: bytes) -> None:
    assert read_steering(body) is None


def test_a_steer_without_a_text_names_its_session() -> None:
    assert json.loads(steer_without_text("“s”")) == {"session_id": "“s”", "text": ""}
