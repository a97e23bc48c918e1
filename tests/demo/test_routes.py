from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.demo.conftest import Play

LATER = "v0.52.262"


async def test_a_preflight_is_answered_by_release(play: Play, release: str) -> None:
    """F8: the old ones answer with no framing, on a connection that stays open."""
    stage = await play(release)
    connection = await stage.client.connect()
    await connection.send(stage.client.encode("OPTIONS", "/api/chat/start"))
    head = await connection.head()
    assert head.status == 200
    assert head.header("Content-Length") == ("0" if release == LATER else None)
    assert head.header("Access-Control-Allow-Origin") == (None if release == LATER else "*")
    assert await connection.is_silent(0.05)


async def test_the_later_release_echoes_only_its_own_origin(play: Play) -> None:
    client = (await play(LATER)).client
    origin = f"http://{client.host}"
    own = await client.call("OPTIONS", "/api/chat/start", Origin=origin)
    assert (own.header("Access-Control-Allow-Origin"), own.header("Vary")) == (origin, "Origin")
    other = await client.call("OPTIONS", "/api/chat/start", Origin="http://evil")
    assert other.header("Access-Control-Allow-Origin") is None


@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "PATCH", "DELETE"])
async def test_an_unknown_path_is_404(play: Play, method: str) -> None:
    reply = await (await play()).client.call(method, "/api/nope")
    assert (reply.status, reply.json) == (404, {"error": "not found"})


async def test_a_target_that_cannot_be_split_is_500(play: Play) -> None:
    reply = await (await play()).client.get("http://[/x")
    assert (reply.status, reply.json) == (500, {"error": "Internal server error"})


async def test_a_bad_length_closes(play: Play) -> None:
    stage = await play()
    connection = await stage.client.connect()
    await connection.send(stage.client.encode("POST", "/api/session/new", Content_Length="x"))
    assert (await connection.reply()).json == {"error": "Invalid Content-Length: 'x'"}
    assert await connection.rest() == b""


async def test_the_page_is_told_where_it_is(play: Play, release: str) -> None:
    stage = await play(release)
    alone = (await stage.client.get("/demo/config.json")).json
    assert alone == {"release": release, "direct": stage.backend.url, "guarded": None, "csrf_token": None}
    stage.backend.guarded = "http://127.0.0.1:1"
    assert (await stage.client.get("/demo/config.json")).json["guarded"] == "http://127.0.0.1:1"


@pytest.mark.parametrize(("claimed", "status"), [("8.8.8.8", 403), ("10.0.0.1", 200), ("", 200)])
async def test_who_is_local_goes_by_what_is_claimed_on_old_releases(
    play: Play, release: str, claimed: str, status: int
) -> None:
    """F9."""
    client = (await play(release)).client
    reply = await client.call("POST", "/api/onboarding/probe", X_Forwarded_For=claimed)
    assert reply.status == (200 if release == LATER else status)
