"""Routes for objects: lists with folders, upload, download, tags, previews.

A key is an argument of the query and not of the path: keys may hold `..`, `//` and everything else
that proxies and browsers tidy away in paths.
"""

import asyncio
from typing import Annotated, Any

import msgspec
from litestar import Request, Router, delete, get, put
from litestar.datastructures import ResponseHeader
from litestar.openapi.datastructures import ResponseSpec
from litestar.params import FromQuery, JSONBody, QueryParameter
from litestar.types import ASGIApp

from carcloud.codecs.s3.headers import DEFAULT_TYPE, META, checked_tags
from carcloud.codecs.s3.uri import MOST_KEY
from carcloud.model.time import iso
from carcloud.services.storage.api import (
    MOST_PUT,
    Body,
    Bucket,
    Entry,
    ObjectFacts,
    ObjectInfo,
    Summary,
    TablePreview,
)
from carcloud.web.api.buckets import BucketPath, mine
from carcloud.web.callers import allows
from carcloud.web.describe import errors
from carcloud.web.download import Download, wanted_range
from carcloud.web.given import TheCaller, TheStorage
from carcloud.web.paging import decode_cursor, encode_cursor
from carcloud.web.problems import Refused

BLOCK = 1 << 20  # bytes that are collected before a thread is asked to write them
# what a browser may show in place; everything else is saved, because a tenant's object must never
# run as a page of the console
SHOWN = ("image/png", "image/jpeg", "image/gif", "image/webp", "image/avif", "image/bmp")
_SANDBOX = "default-src 'none'; sandbox"

Key = Annotated[str, QueryParameter(min_length=1, max_length=MOST_KEY, description="Key")]
Version = Annotated[str | None, QueryParameter(max_length=40, description="A version of it")]
Limit = Annotated[int, QueryParameter(ge=1, le=1000)]
_Text = Annotated[str, QueryParameter(max_length=MOST_KEY)]
_FILE = ResponseSpec(
    bytes, description="The bytes", media_type=DEFAULT_TYPE, generate_examples=False
)


class ObjectView(msgspec.Struct, frozen=True):
    """An object, or one version of it."""

    key: str
    size: int
    etag: str
    modified: str
    version: str
    latest: bool = True
    marker: bool = False


class ObjectPage(msgspec.Struct, frozen=True):
    """A page of objects; `folders` are keys up to the delimiter."""

    items: list[ObjectView]
    folders: list[str]
    next_cursor: str | None


class ObjectDetail(msgspec.Struct, frozen=True):
    """An object with all that is known of it."""

    key: str
    size: int
    etag: str
    modified: str
    version: str
    content_type: str
    metadata: dict[str, str]
    headers: dict[str, str]
    tags: dict[str, str]
    checksum: str | None
    parts: int
    sealed: bool


@get(
    "/buckets/{bucket:str}/objects",
    summary="List objects",
    description="`delimiter=/` gives folders. `versions=true` lists old versions too.",
    opt=allows("objects:read", narrowed=True),
    responses=errors(400, 401, 403, 404, 503),
)
async def list_objects(
    bucket: BucketPath,
    caller: TheCaller,
    storage: TheStorage,
    prefix: _Text = "",
    delimiter: _Text = "",
    cursor: FromQuery[str | None] = None,
    limit: Limit = 200,
    versions: FromQuery[bool] = False,
) -> ObjectPage:
    """Objects in order of key."""
    after, version = decode_cursor(cursor, tuple[str, str]) if cursor else ("", "")

    def work() -> Any:
        box = mine(storage, caller, bucket, "objects:read")
        if versions:
            return storage.lists.versions(box, prefix, delimiter, after, version, limit)
        return storage.lists.current(box, prefix, delimiter, after, limit)

    page = await asyncio.to_thread(work)
    more = None
    if page.next_key is not None:
        more = encode_cursor((page.next_key, page.next_version or ""))
    return ObjectPage([_view(one) for one in page.entries], list(page.prefixes), more)


@get(
    "/buckets/{bucket:str}/object",
    summary="Read an object",
    description="`Range` asks for a part. Images are shown in place with `show=true`.",
    opt=allows("objects:read", narrowed=True),
    responses={200: _FILE, 206: _FILE, **errors(400, 401, 403, 404, 409, 416, 503)},
)
async def read_object(
    request: Request[Any, Any, Any],
    bucket: BucketPath,
    key: Key,
    caller: TheCaller,
    storage: TheStorage,
    version: Version = None,
    show: FromQuery[bool] = False,
) -> ASGIApp:
    """The bytes of an object."""

    def work() -> tuple[Bucket, ObjectInfo]:
        box = mine(storage, caller, bucket, "objects:read")
        return box, storage.objects.find(box, key, version)

    box, info = await asyncio.to_thread(work)
    span = wanted_range(request.headers.get("range"), info.size)

    async def read(start: int, length: int) -> bytes:
        def taken() -> bytes:
            return b"".join(storage.objects.read(box, info, start, start + length))

        return await asyncio.to_thread(taken)

    return Download(read, info.size, span, _headers(info, show=show))


@get(
    "/buckets/{bucket:str}/object/facts",
    summary="Read what is known of an object",
    opt=allows("objects:read", narrowed=True),
    responses=errors(400, 401, 403, 404, 503),
)
async def read_facts(
    bucket: BucketPath, key: Key, caller: TheCaller, storage: TheStorage, version: Version = None
) -> ObjectDetail:
    """Metadata, tags and checksum."""

    def work() -> ObjectInfo:
        box = mine(storage, caller, bucket, "objects:read")
        return storage.objects.find(box, key, version)

    return _detail(await asyncio.to_thread(work))


class ChannelView(msgspec.Struct, frozen=True):
    """A channel of a recording; `messages` null = not told."""

    topic: str
    encoding: str
    schema: str
    messages: int | None


class PreviewView(msgspec.Struct, frozen=True):
    """What is in an object. `kind` is `parquet` or `mcap`; the fields of the other are empty."""

    kind: str
    note: str = ""
    rows: int | None = None
    columns: list[tuple[str, str]] = []
    first: list[list[str | None]] = []
    written_by: str = ""
    messages: int | None = None
    channels: list[ChannelView] = []
    chunks: int | None = None
    attachments: int | None = None
    start: str | None = None
    end: str | None = None
    compressions: list[str] = []


@get(
    "/buckets/{bucket:str}/object/preview",
    summary="Look into a Parquet or MCAP object",
    description="Columns and first rows, or channels, counts and times, without downloading it.",
    opt=allows("objects:read", narrowed=True),
    responses=errors(400, 401, 403, 404, 409, 503),
)
async def read_preview(
    bucket: BucketPath, key: Key, caller: TheCaller, storage: TheStorage, version: Version = None
) -> PreviewView:
    """What is in an object."""

    def work() -> PreviewView:
        box = mine(storage, caller, bucket, "objects:read")
        info = storage.objects.find(box, key, version)
        return _preview(storage.preview(box, info))

    return await asyncio.to_thread(work)


@put(
    "/buckets/{bucket:str}/object",
    summary="Put an object",
    description="The body is the object, up to 5 GiB; its Content-Type is kept.",
    opt={**allows("objects:write", narrowed=True), "streamed": True},
    request_max_body_size=None,
    response_headers=[ResponseHeader(name="ETag", documentation_only=True)],
    responses={
        200: ResponseSpec(ObjectDetail, description="Kept", generate_examples=False),
        **errors(400, 401, 403, 404, 409, 413, 503, 507),
    },
    status_code=200,
)
async def put_object(
    request: Request[Any, Any, Any],
    bucket: BucketPath,
    key: Key,
    caller: TheCaller,
    storage: TheStorage,
) -> ObjectDetail:
    """Put an object; it is durable when the answer comes."""
    if len(key.encode()) > MOST_KEY or "\0" in key:
        raise Refused(400, "a key has at most 1024 bytes and no NUL", field="key")
    said = request.headers.get("content-length", "")
    length = int(said) if said.isascii() and said.isdigit() else None
    if length is not None and length > MOST_PUT:
        raise Refused(413, "an object may have 5 GiB here; use the S3 interface for more")
    given = request.headers.get("content-type", DEFAULT_TYPE)[:1024]
    kind = given if given.isascii() and given.isprintable() else DEFAULT_TYPE

    def begin() -> tuple[Bucket, Body]:
        box = mine(storage, caller, bucket, "objects:write")
        storage.check_room(caller.tenant, length or 0)
        return box, storage.objects.body(box)

    box, body = await asyncio.to_thread(begin)
    try:
        await _receive(request, body)
        if length is not None and body.size != length:
            raise Refused(400, "the body ended too early", field="body")

        def finish() -> ObjectInfo:
            storage.check_room(caller.tenant, body.size)
            return storage.objects.put(box, key, body.finish(), ObjectFacts({"content-type": kind}))

        return _detail(await asyncio.to_thread(finish))
    except BaseException:
        await asyncio.shield(asyncio.to_thread(body.abort))
        raise


@put(
    "/buckets/{bucket:str}/object/tags",
    summary="Replace the tags of an object",
    opt=allows("objects:write", narrowed=True),
    responses=errors(400, 401, 403, 404, 503),
    status_code=204,
)
async def put_tags(
    bucket: BucketPath,
    key: Key,
    data: JSONBody[dict[str, str]],
    caller: TheCaller,
    storage: TheStorage,
) -> None:
    """Up to ten tags."""
    tags = checked_tags(data)

    def work() -> None:
        box = mine(storage, caller, bucket, "objects:write")
        storage.objects.set_tags(box, key, tags)

    await asyncio.to_thread(work)


@delete(
    "/buckets/{bucket:str}/object",
    summary="Delete an object",
    opt=allows("objects:delete", narrowed=True),
    responses=errors(400, 401, 403, 404, 503),
)
async def delete_object(
    bucket: BucketPath, key: Key, caller: TheCaller, storage: TheStorage, version: Version = None
) -> None:
    """Delete an object or a version; nothing happens if it is not there."""

    def work() -> None:
        box = mine(storage, caller, bucket, "objects:delete")
        storage.objects.delete(box, key, version)

    await asyncio.to_thread(work)


async def _receive(request: Request[Any, Any, Any], body: Body) -> None:
    held: list[bytes] = []
    size = 0
    async for piece in request.stream():
        held.append(piece)
        size += len(piece)
        if body.size + size > MOST_PUT:
            raise Refused(413, "an object may have 5 GiB here; use the S3 interface for more")
        if size >= BLOCK:
            await asyncio.to_thread(_write, body, held)
            held, size = [], 0
    await asyncio.to_thread(_write, body, held)


def _write(body: Body, held: list[bytes]) -> None:
    for piece in held:
        body.write(piece)


def _headers(info: ObjectInfo, *, show: bool) -> dict[str, str]:
    kind = info.headers.get("content-type", DEFAULT_TYPE).partition(";")[0].strip().lower()
    shown = show and kind in SHOWN
    name = info.key.rpartition("/")[2]
    plain = "".join(c if c.isascii() and (c.isalnum() or c in "._-") else "_" for c in name)
    return {
        "content-type": kind if shown else "application/octet-stream",
        "content-disposition": f'{"inline" if shown else "attachment"}; filename="{plain}"',
        "content-security-policy": _SANDBOX,
        "etag": f'"{info.etag}"',
    }


def _preview(found: TablePreview | Summary) -> PreviewView:
    if isinstance(found, TablePreview):
        return PreviewView(
            "parquet",
            found.note,
            rows=found.rows,
            columns=list(found.columns),
            first=[list(row) for row in found.first],
            written_by=found.written_by,
        )
    return PreviewView(
        "mcap",
        messages=found.messages,
        channels=[
            ChannelView(one.topic, one.encoding, one.schema, one.messages) for one in found.channels
        ],
        chunks=found.chunks,
        attachments=found.attachments,
        start=_moment(found.start_ns),
        end=_moment(found.end_ns),
        compressions=list(found.compressions),
    )


def _moment(ns: int | None) -> str | None:
    """A recorder's clock as a time; None for what no calendar holds."""
    try:
        return None if ns is None else iso(ns // 1000)
    except (ValueError, OverflowError, OSError):
        return None


def _view(one: Entry) -> ObjectView:
    return ObjectView(
        one.key, one.size, one.etag, iso(one.modified), one.version, one.latest, one.marker
    )


def _detail(info: ObjectInfo) -> ObjectDetail:
    own = {n.removeprefix(META): v for n, v in info.headers.items() if n.startswith(META)}
    rest = {name: value for name, value in info.headers.items() if not name.startswith(META)}
    checksum = info.checksum
    return ObjectDetail(
        key=info.key,
        size=info.size,
        etag=info.etag,
        modified=iso(info.modified),
        version=info.version,
        content_type=rest.pop("content-type", DEFAULT_TYPE),
        metadata=own,
        headers=rest,
        tags=dict(info.tags),
        checksum=None if checksum is None else f"{checksum.algorithm}:{checksum.value}",
        parts=info.parts,
        sealed=info.body is not None and info.body.key is not None,
    )


router = Router(
    "/",
    tags=["buckets"],
    route_handlers=[
        list_objects, read_object, read_facts, read_preview, put_object, put_tags, delete_object,
    ],
)  # fmt: skip
