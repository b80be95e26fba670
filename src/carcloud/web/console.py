"""The console's built files: cached for ever when their name has a hash, else asked again."""

import asyncio
import hashlib
import mimetypes
from pathlib import Path
from typing import Any

from litestar import Request, Response, get
from litestar.exceptions import NotFoundException
from litestar.handlers import HTTPRouteHandler

PAGES = Path(__file__).parent / "pages"
FOR_EVER = "public, max-age=31536000, immutable"
ASK_AGAIN = "no-cache"
NOT_BUILT = """<!doctype html><html lang="en"><meta charset="utf-8"><title>carcloud</title>
<h1>carcloud</h1><p>The console is not built yet. In the checkout, type
<code>./dev build</code>, then load this page again.</p>
<p lang="zh">控制台尚未构建。请在代码目录运行 <code>./dev build</code>，然后刷新本页。</p>
<p><a href="/docs">HTTP API</a></p></html>
"""
# what the operating system's table may lack
_TYPES = {
    ".css": "text/css",
    ".geojson": "application/geo+json",
    ".html": "text/html",
    ".js": "text/javascript",
    ".json": "application/json",
    ".map": "application/json",
    ".mjs": "text/javascript",
    ".pbf": "application/x-protobuf",
    ".pmtiles": "application/octet-stream",
    ".svg": "image/svg+xml",
    ".woff2": "font/woff2",
}


def routes(pages: Path = PAGES) -> HTTPRouteHandler:
    """Everything that is no API: a file of the console, or its first page."""

    @get(["/", "/{path:path}"], include_in_schema=False)
    async def console(request: Request[Any, Any, Any]) -> Response[bytes]:
        path = request.url.path.lstrip("/")
        if path == "v1" or path.startswith("v1/"):
            raise NotFoundException(f"there is no {request.url.path}")
        return await asyncio.to_thread(_answer, pages, path, request.headers.get("if-none-match"))

    return console


def _answer(pages: Path, path: str, known_etag: str | None) -> Response[bytes]:
    root = pages.resolve()
    file = (root / path).resolve()
    if path and file.is_relative_to(root) and file.is_file():
        return _file(file, path, known_etag)
    if path.startswith("assets/") or Path(path).suffix in _TYPES:
        raise NotFoundException(f"there is no /{path}")
    index = root / "index.html"
    if index.is_file():
        return _file(index, "index.html", known_etag)
    return Response(NOT_BUILT.encode(), media_type="text/html",
                    headers={"Cache-Control": ASK_AGAIN})  # fmt: skip


def _file(file: Path, path: str, known_etag: str | None) -> Response[bytes]:
    data = file.read_bytes()
    etag = f'"{hashlib.blake2b(data, digest_size=12).hexdigest()}"'
    # Vite puts a content hash into the name of every file below assets/
    headers = {"ETag": etag, "Cache-Control": FOR_EVER if path.startswith("assets/") else ASK_AGAIN}
    if known_etag == etag:
        return Response(b"", status_code=304, headers=headers)
    guessed = _TYPES.get(file.suffix) or mimetypes.guess_type(file.name)[0]
    kind = guessed or "application/octet-stream"
    return Response(data, media_type=kind, headers=headers)
