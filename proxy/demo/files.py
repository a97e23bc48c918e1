"""Uploads and downloads, and the page's static files."""

import hashlib
import json
import mimetypes
import re
from pathlib import Path
from urllib.parse import quote

from proxy.demo.exchange import Exchange
from proxy.demo.responses import Answer, Headers, error_answer, json_answer
from proxy.demo.wire import Request
from proxy.demo.world import World

MEBIBYTE = 1024 * 1024
FILES_LIMIT = 16
"""Files kept of one session; an upload beyond that replaces the oldest."""
PAGE = Path(__file__).parent / "page"


class Files:
    """The files of one backend; uploads are kept in memory.

    Args:
        world: Its sessions.
        max_upload: Bytes above which an upload is answered 413, its body unread.
    """

    def __init__(self, world: World, max_upload: int) -> None:
        self._world = world
        self._max_upload = max_upload

    async def upload(self, exchange: Exchange) -> Answer:
        """``POST /api/upload``: a form with ``session_id`` and ``file``."""
        if exchange.request.length > self._max_upload:
            limit = self._max_upload // MEBIBYTE
            return error_answer(f"File too large (max {limit}MB)", 413)
        fields, files = _parse_form(exchange.request.header("Content-Type"), await exchange.body())
        if "file" not in files:
            return error_answer("No file field in request")
        session = self._world.sessions.get(fields.get("session_id", ""))
        if session is None:
            return error_answer("Session not found", 404)
        name, content = files["file"]
        safe_name = re.sub(r"[^\w.\-]", "_", name)[:200]
        session.files[safe_name] = content
        while len(session.files) > FILES_LIMIT:
            del session.files[next(iter(session.files))]
        mime = _mime(safe_name)
        stored = {"filename": safe_name, "path": f"/attachments/{session.session_id}/{safe_name}"}
        about = {"size": len(content), "mime": mime, "is_image": mime.startswith("image/")}
        return json_answer({**stored, **about})

    async def download(self, exchange: Exchange) -> Answer:
        """``GET /api/file/raw``: one byte range, or all; never cached."""
        request = exchange.request
        if not request.query("session_id"):
            return error_answer("session_id is required")
        session = self._world.sessions.get(request.query("session_id"))
        if session is None:
            return error_answer("Session not found", 404)
        name = request.query("path").rpartition("/")[2]
        content = session.files.get(name)
        if content is None:
            return error_answer("not found", 404)
        forced = request.query("download") == "1"
        shown = f"{'attachment' if forced else 'inline'}; filename*=UTF-8''{quote(name)}"
        headers = (("Content-Type", _mime(name)), ("Cache-Control", "no-store"))
        return _ranged(request, content, (*headers, ("Content-Disposition", shown)))

    async def static(self, exchange: Exchange) -> Answer:
        """``GET /`` and ``GET /static/<file>``: the demo's page, revalidated by its ETag."""
        name = exchange.request.path.removeprefix("/static").strip("/") or "index.html"
        path = PAGE / name
        if path.parent != PAGE or not path.is_file():
            return error_answer("not found", 404)
        content = path.read_bytes()
        etag = f'"{hashlib.sha256(content).hexdigest()[:16]}"'
        headers = (("Content-Type", _mime(name)), ("Cache-Control", "no-cache"), ("ETag", etag))
        if exchange.request.header("If-None-Match") == etag:
            return Answer(304, b"", headers)
        return Answer(200, content, headers)


def _mime(name: str) -> str:
    kind = mimetypes.guess_type(name)[0] or "application/octet-stream"
    return f"{kind}; charset=utf-8" if kind.startswith("text/") else kind


def _ranged(request: Request, content: bytes, headers: Headers) -> Answer:
    size = len(content)
    headers = (*headers, ("Accept-Ranges", "bytes"))
    wanted = re.fullmatch(r"bytes=(\d*)-(\d*)", request.header("Range"))
    if not wanted or not any(wanted.groups()):
        return Answer(200, content, headers)
    first, last = wanted.groups()
    start = int(first) if first else max(0, size - int(last))
    stop = min(size, int(last) + 1) if first and last else size
    if start >= stop:
        return Answer(416, b"", (*headers, ("Content-Range", f"bytes */{size}")))
    part = ("Content-Range", f"bytes {start}-{stop - 1}/{size}")
    return Answer(206, content[start:stop], (*headers, part))


def _parse_form(content_type: str, body: bytes) -> tuple[dict[str, str], dict[str, tuple[str, bytes]]]:
    """The fields and files of a ``multipart/form-data`` body, as plainly as Hermes parses it.

    Raises:
        ValueError: there is no boundary.
    """
    boundary = re.search(r"boundary=([^;\s]+)", content_type)
    if not boundary:
        raise ValueError("No boundary in Content-Type")
    fields: dict[str, str] = {}
    files: dict[str, tuple[str, bytes]] = {}
    for part in body.split(b"--" + boundary.group(1).strip('"').encode())[1:]:
        head, found, content = part.partition(b"\r\n\r\n")
        name = re.search(rb'[ ;]name="([^"]*)"', head)
        if not (found and name):
            continue
        key, content = name.group(1).decode(errors="replace"), content.removesuffix(b"\r\n")
        filename = re.search(rb'filename="([^"]*)"', head)
        if filename:
            files[key] = (filename.group(1).decode(errors="replace"), content)
        else:
            fields[key] = content.decode(errors="replace")
    return fields, files


def config_answer(**config: str | None) -> Answer:
    """``GET /demo/config.json``: what the page must know of where it is."""
    body = json.dumps(config).encode()
    headers = (("Content-Type", "application/json"), ("Cache-Control", "no-store"))
    return Answer(200, body, headers)
