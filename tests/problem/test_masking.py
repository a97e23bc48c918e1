"""What is taken out of a report, and what is left in it."""

import pytest

from proxy.problem.knowing import known_secrets, names_a_secret
from proxy.problem.masking import MASKED, Masker

SECRET = "Zm9yYmlkZGVu"


@pytest.fixture
def masker() -> Masker:
    return Masker([])


@pytest.mark.parametrize(
    "said",
    [
        f"http://me:{SECRET}@hermes:8787/x",
        f"redis://:{SECRET}@cache",
        f"https://me:p@ss{SECRET}@hermes/",
        f"GET /api/chat/stream?stream_id={SECRET}&n=1 failed",
        f"Cookie: a=1; hermes_session={SECRET}; b=2",
        f"'set-cookie': 'hermes_session={SECRET}; Path=/'",
        f"Authorization: Bearer {SECRET}",
        f"it said bearer {SECRET} to us",
        f"Basic {SECRET}",
        f"password={SECRET}",
        f'{{"admin_token": "{SECRET}"}}',
        f"OPENAI_API_KEY={SECRET}",
        f"client-secret: {SECRET}",
        f"hermes_session={SECRET}",
        f"it said eyJhbGciOiJub25lIn0.{SECRET}.{SECRET}",
        f"it was 0{SECRET}ABCDEFGHIJ that failed",
    ],
)
def test_what_looks_like_a_secret_is_taken_out_of_a_text(masker: Masker, said: str) -> None:
    assert SECRET not in masker.text(said)
    assert MASKED in masker.text(said)


@pytest.mark.parametrize(
    "said",
    [
        "Hermes does not answer at http://127.0.0.1:8787: it takes no connection.",
        "the guard failed while it was judging a cancel; the request passes unguarded",
        "2031-05-07T09:30:00.250Z",
        "no terminal event in time",
        "Set HERMES_WEBUI_TRUST_FORWARDED_FOR=1 and HERMES_WEBUI_TRUSTED_PROXY_CIDRS.",
        "/api/sessions/57ea3000…/messages",
        "c-f76ec9a7f592",
        "fc00::/7",
    ],
)
def test_other_text_stays_as_it_is(masker: Masker, said: str) -> None:
    assert masker.text(said) == said


def test_known_secrets_are_taken_out_wherever_and_however_they_stand() -> None:
    secret = 'a "b" & c/ü'
    masker = Masker([secret])
    for said in (f"x{secret}y", r"x a \"b\" & c/\u00fc y", "x a%20%22b%22%20%26%20c%2F%C3%BC y"):
        assert secret not in masker.text(said)
        assert "b" not in masker.text(said).replace(MASKED, "")


def test_secrets_are_known_by_the_names_of_their_variables() -> None:
    environment = {
        "HERMES_WEBUI_PASSWORD": "short-one",
        "HERMES_COOKIE": "session=part; other=longer-part",
        "STREAM_GUARD__ADMIN__TOKEN": "a-long-token",
        "STREAM_GUARD__ADMIN__TOKEN_FILE": "/run/where",
        "PATH": "/usr/bin",
        "PIN_SECRET": "abc",
    }
    known = known_secrets(environment, [None, "given"])
    assert set(known) == {
        "short-one",
        "session=part; other=longer-part",
        "part",
        "longer-part",
        "a-long-token",
        "given",
    }
    assert list(known) == sorted(known, key=len, reverse=True)


@pytest.mark.parametrize(
    ("name", "does"), [("token", True), ("admin_password", True), ("token_file", False), ("url", False)]
)
def test_a_name_says_whether_something_is_a_secret(name: str, does: bool) -> None:  # noqa: FBT001 - a test's parameter
    assert names_a_secret(name) is does


def test_settings_keep_all_but_what_is_secret(masker: Masker) -> None:
    settings = {"token": SECRET, "token_file": "/run/token", "none": None, "url": f"http://a:{SECRET}@b", "n": [1, "x"]}
    assert masker.looked_through({**settings, "cookie": None}) == {
        "token": MASKED,
        "token_file": "/run/token",
        "none": None,
        "url": f"http://{MASKED}@b",
        "n": [1, "x"],
        "cookie": None,
    }


def test_of_reports_only_text_is_shown_that_is_known_to_be_harmless(masker: Masker) -> None:
    line = {"event": "request_ended", "status": 200, "client": "203.0.113.7", "body": SECRET, "is": True, "token": 7}
    assert masker.shown_only(line) == {**line, "client": MASKED, "body": MASKED, "token": MASKED}
    assert masker.shown_only({f"{SECRET} x": 1, "reason": f"password={SECRET}"}) == {
        MASKED: 1,
        "reason": f"password={MASKED}",
    }


def test_ids_are_only_begun_and_still_told_apart(masker: Masker) -> None:
    first, second, third = "57ea3000aaaa", "57ea3000bbbb", "07e4e4e4"
    line = {"session": f"stream:{first}", "stream": first, "streams": [second, third, first], "stream_id": second}
    assert masker.shown_only(line) == {
        "session": "stream:57ea3000",
        "stream": "57ea3000",
        "streams": ["57ea3000~2", "07e4e4e4", "57ea3000"],
        "stream_id": "57ea3000~2",
    }
    assert masker.shown_only({"stream": "57ea3000"}) == {"stream": "57ea3000"}
