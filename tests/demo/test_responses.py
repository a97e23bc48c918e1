from __future__ import annotations

import gzip
import json
from typing import TYPE_CHECKING

from proxy.demo.responses import render_error
from proxy.demo.wire import BadRequestError

if TYPE_CHECKING:
    from tests.demo.conftest import Play


async def test_every_response_says_who_serves_and_reports_violations(play: Play, release: str) -> None:
    reply = await (await play(release)).client.get("/health")
    names = [name for name, _value in reply.headers]
    assert names[:5] == ["Server", "Date", "Content-Type", "Content-Length", "Cache-Control"]
    assert names[-2:] == ["Content-Security-Policy-Report-Only", "Report-To"]
    assert (reply.header("Server") or "").startswith("HermesWebUI Python/")


async def test_large_json_is_gzipped_for_who_accepts_it(play: Play) -> None:
    client = (await play()).client
    session_id = await client.session()
    await (await client.stream(await client.start(session_id, "n=300 d=0"))).to_end()
    path = f"/api/session?session_id={session_id}"
    plain, packed = await client.get(path), await client.get(path, Accept_Encoding="gzip, br")
    assert plain.header("Content-Encoding") is None
    assert packed.header("Content-Encoding") == "gzip"
    assert json.loads(gzip.decompress(packed.body)) == plain.json


async def test_small_json_is_left_alone(play: Play) -> None:
    reply = await (await play()).client.get("/api/chat/cancel", Accept_Encoding="gzip")
    assert reply.header("Content-Encoding") is None
    assert reply.body == b'{\n  "error": "stream_id required"\n}'


def test_an_error_page_escapes_what_it_quotes() -> None:
    page = render_error(BadRequestError(400, "Bad request syntax ('<script>')", bare=True))
    assert page.startswith(b"<!DOCTYPE HTML>")
    assert b"&lt;script&gt;" in page
