"""The console's built files: cached for ever when their name has a hash, else asked again.

The build writes compressed copies beside the files (`index.js.br`, `index.js.gz`); a browser gets
the smallest that it takes, under the file's own address.
"""

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
ENCODINGS = {"br": ".br", "gzip": ".gz"}  # content coding -> suffix of the copy, best first
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
        known = request.headers.get("if-none-match")
        codings = accepted(request.headers.get("accept-encoding", ""))
        return await asyncio.to_thread(_answer, pages, path, known, codings)

    return console


def accepted(header: str) -> tuple[str, ...]:
    """The codings of ours that an Accept-Encoding header takes, best first (RFC 9110, 12.5.3)."""
    weights: dict[str, float] = {}
    for part in header.lower().split(","):
        name, _, weight = part.partition(";")
        weights[name.strip()] = _weight(weight)
    rest = weights.get("*", 0.0)
    return tuple(name for name in ENCODINGS if weights.get(name, rest) > 0)


def _weight(text: str) -> float:
    name, _, value = text.strip().partition("=")
    if name.strip() != "q":
        return 1.0
    try:
        return float(value)
    except ValueError:
        return 0.0


def _answer(
    pages: Path, path: str, known_etag: str | None, codings: tuple[str, ...] = ()
) -> Response[bytes]:
    root = pages.resolve()
    if path and (file := _found(root, path)):
        return _file(file, path, known_etag, codings)
    if path.startswith("assets/") or Path(path).suffix in _TYPES:
        raise NotFoundException(f"there is no /{path}")
    index = root / "index.html"
    if index.is_file():
        return _file(index, "index.html", known_etag, codings)
    return Response(NOT_BUILT.encode(), media_type="text/html",
                    headers={"Cache-Control": ASK_AGAIN})  # fmt: skip


def _found(root: Path, path: str) -> Path | None:
    """The file of a path; raises `NotFoundException` for what no file can be called."""
    try:
        file = (root / path).resolve()
        return file if file.is_relative_to(root) and file.is_file() else None
    except (ValueError, OSError) as error:  # a NUL, a name that is too long
        raise NotFoundException("there is no such page") from error


def _file(
    file: Path, path: str, known_etag: str | None, codings: tuple[str, ...]
) -> Response[bytes]:
    coding, source = _smallest(file, codings)
    data = source.read_bytes()
    # each coding is a representation of its own, so the tag is of the bytes that are sent
    etag = f'"{hashlib.blake2b(data, digest_size=12).hexdigest()}"'
    # Vite puts a content hash into the name of every file below assets/
    headers = {
        "ETag": etag,
        "Cache-Control": FOR_EVER if path.startswith("assets/") else ASK_AGAIN,
        "Vary": "Accept-Encoding",
    }
    if known_etag is not None and etag in known_etag:  # the header may list several
        return Response(b"", status_code=304, headers=headers)
    if coding:
        headers["Content-Encoding"] = coding
    guessed = _TYPES.get(file.suffix) or mimetypes.guess_type(file.name)[0]
    kind = guessed or "application/octet-stream"
    return Response(data, media_type=kind, headers=headers)


def _smallest(file: Path, codings: tuple[str, ...]) -> tuple[str, Path]:
    for coding in codings:
        copy = file.with_name(file.name + ENCODINGS[coding])
        if copy.is_file():
            return coding, copy
    return "", file
