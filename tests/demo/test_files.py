from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from proxy.demo import files as files_module

if TYPE_CHECKING:
    from pathlib import Path

    from tests.demo.conftest import Client, Play, Reply

BOUNDARY = "frontier"
CONTENT = bytes(range(256)) * 8
FORM = f"multipart/form-data; boundary={BOUNDARY}"


def form(session_id: str, content: bytes = CONTENT, name: str = "notes ä.bin") -> bytes:
    parts = (
        f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="session_id"\r\n\r\n{session_id}\r\n',
        f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="file"; filename="{name}"\r\n\r\n',
    )
    return "".join(parts).encode() + content + f"\r\n--{BOUNDARY}--\r\n".encode()


async def upload(client: Client, body: bytes, **headers: str) -> Reply:
    connection = await client.connect()
    await connection.send(client.encode("POST", "/api/upload", body, **{"Content_Type": FORM, **headers}))
    return await connection.reply()


async def test_what_is_uploaded_can_be_downloaded(play: Play, release: str) -> None:
    client = (await play(release)).client
    session_id = await client.session()
    stored = await upload(client, form(session_id))
    assert stored.json["size"] == len(CONTENT)
    assert stored.json["filename"] == "notes_ä.bin"
    path = f"/api/file/raw?session_id={session_id}&path=notes_%C3%A4.bin"
    got = await client.get(path)
    assert (got.status, got.body) == (200, CONTENT)
    assert (got.header("Content-Type"), got.header("Accept-Ranges")) == ("application/octet-stream", "bytes")
    assert (await client.get(path + "&download=1")).header("Content-Disposition") == (
        "attachment; filename*=UTF-8''notes_%C3%A4.bin"
    )


@pytest.mark.parametrize(
    ("wanted", "status", "span", "range_sent"),
    [
        ("bytes=0-9", 206, slice(0, 10), "bytes 0-9/2048"),
        ("bytes=2040-", 206, slice(2040, 2048), "bytes 2040-2047/2048"),
        ("bytes=-5", 206, slice(2043, 2048), "bytes 2043-2047/2048"),
        ("bytes=9999-", 416, slice(0, 0), "bytes */2048"),
        ("bytes=-", 200, slice(0, 2048), None),
        ("lines=1-2", 200, slice(0, 2048), None),
    ],
)
async def test_a_range_of_a_file(play: Play, wanted: str, status: int, span: slice, range_sent: str | None) -> None:
    client = (await play()).client
    session_id = await client.session()
    await upload(client, form(session_id, name="a.bin"))
    got = await client.get(f"/api/file/raw?session_id={session_id}&path=a.bin", Range=wanted)
    assert (got.status, got.body, got.header("Content-Range")) == (status, CONTENT[span], range_sent)


async def test_an_oversized_upload_is_answered_before_its_body_is_read(play: Play, release: str) -> None:
    """The connection stays open, and the body is in its way (F8)."""
    stage = await play(release, max_upload=1024 * 1024)
    connection = await stage.client.connect()
    size = str(2 * 1024 * 1024)
    await connection.send(stage.client.encode("POST", "/api/upload", Content_Length=size))
    reply = await connection.reply()
    assert (reply.status, reply.json) == (413, {"error": "File too large (max 1MB)"})
    assert stage.backend.ledger.requests[0].body_size == 0
    await connection.send(stage.client.encode("GET", "/health"))
    assert (await connection.reply()).status == 200


async def test_an_oversized_body_of_any_other_post_closes(play: Play, release: str) -> None:
    stage = await play(release)
    connection = await stage.client.connect()
    await connection.send(stage.client.encode("POST", "/api/chat/start", Content_Length="99999999"))
    reply = await connection.reply()
    assert reply.status == 413
    assert reply.json == {"error": "Request body too large (99999999 bytes, max 20971520)"}
    assert await connection.rest() == b""


@pytest.mark.parametrize(
    ("kind", "body", "status", "error"),
    [
        ("text/plain", b"", 400, "No boundary in Content-Type"),
        (FORM, b"", 400, "No file field in request"),
        (FORM, form("nope"), 404, "Session not found"),
        (
            f"multipart/form-data; boundary={BOUNDARY}",
            f"--{BOUNDARY}\r\nx\r\n".encode(),
            400,
            "No file field in request",
        ),
    ],
)
async def test_an_upload_that_cannot_be_stored(play: Play, kind: str, body: bytes, status: int, error: str) -> None:
    reply = await upload((await play()).client, body, Content_Type=kind)
    assert (reply.status, reply.json) == (status, {"error": error})


async def test_only_the_latest_files_of_a_session_are_kept(play: Play) -> None:
    stage = await play()
    session_id = await stage.client.session()
    for number in range(files_module.FILES_LIMIT + 2):
        await upload(stage.client, form(session_id, b"x", f"{number}.txt"))
    kept = stage.backend.world.sessions[session_id].files
    assert len(kept) == files_module.FILES_LIMIT
    assert "0.txt" not in kept


@pytest.mark.parametrize(
    ("query", "status"), [("", 400), ("?session_id=nope&path=a", 404), ("?session_id=SID&path=a", 404)]
)
async def test_a_download_that_cannot_be_found(play: Play, query: str, status: int) -> None:
    client = (await play()).client
    query = query.replace("SID", await client.session())
    assert (await client.get(f"/api/file/raw{query}")).status == status


async def test_the_page_is_served_and_revalidated(play: Play, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "index.html").write_text("<p>page</p>")
    (tmp_path / "page.js").write_text("let x")
    monkeypatch.setattr(files_module, "PAGE", tmp_path)
    client = (await play()).client
    page = await client.get("/")
    assert (page.status, page.body) == (200, b"<p>page</p>")
    assert page.header("Content-Type") == "text/html; charset=utf-8"
    script = await client.get("/static/page.js")
    assert script.body == b"let x"
    again = await client.get("/static/page.js", If_None_Match=script.header("ETag") or "")
    assert (again.status, again.body) == (304, b"")


@pytest.mark.parametrize("path", ["/static/nope.js", "/static/../server.py", "/static/%2e%2e/server.py", "/static/a/b"])
async def test_nothing_but_the_page_is_served(play: Play, path: str) -> None:
    assert (await (await play()).client.get(path)).status == 404
