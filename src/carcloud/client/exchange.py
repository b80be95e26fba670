"""Calls as values, without input or output: what is asked, and how the answer is read."""

import re
import ssl
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, Generic, Protocol, TypeVar
from urllib.parse import quote

import httpx
import msgspec

from carcloud.client.errors import NotCarcloud, Unreachable
from carcloud.client.types import Page, Tagged

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)

PAGE = 500  # the largest page that the API gives
Moment = datetime | str  # an aware datetime, or RFC 3339 text


@dataclass(frozen=True, slots=True)
class Call(Generic[T]):
    """One request and the reading of its answer.

    `route` is a path of the OpenAPI document; `place` fills its braces. Query arguments that are
    None are left out. `kind` is what the JSON of the answer holds; `shape` makes the result.
    """

    method: str
    route: str
    shape: Callable[[httpx.Response], T]
    kind: Any = None
    place: Mapping[str, str] = field(default_factory=dict)
    query: Mapping[str, Any] = field(default_factory=dict)
    body: Any = None  # a Struct or dict for JSON; bytes or pieces of bytes as they are
    headers: Mapping[str, str] = field(default_factory=dict)
    reads: bool = False  # changes nothing, so that it may be repeated

    @property
    def path(self) -> str:
        """The path that is asked."""
        return re.sub(r"\{(\w+)\}", lambda at: quote(self.place[at[1]], safe=""), self.route)

    @property
    def once(self) -> bool:
        """Whether it can be sent once only, because its body comes in pieces."""
        return not isinstance(self.body, msgspec.Struct | msgspec.Raw | dict | bytes | None)

    def options(self) -> dict[str, Any]:
        """The request as httpx takes it."""
        headers = dict(self.headers)
        content = self.body
        if isinstance(content, msgspec.Struct | msgspec.Raw | dict):
            content = msgspec.json.encode(content)
            headers["content-type"] = "application/json"
        query = {name: _text(value) for name, value in self.query.items() if value is not None}
        return {
            "method": self.method,
            "url": self.path,
            "params": query,
            "headers": headers,
            "content": content,
        }


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, datetime):
        if value.tzinfo is None:
            raise ValueError("a time without a zone: give it one, such as datetime.UTC")
        return value.isoformat()
    return str(value)


def get(
    route: str, kind: type[T], /, *, place: Mapping[str, str] | None = None, **query: Any
) -> Call[T]:
    """A GET whose JSON is a `kind`."""
    return Call("GET", route, reader(kind), kind, place or {}, query, reads=True)


def whole(
    route: str, kind: type[T], /, *, place: Mapping[str, str] | None = None, **query: Any
) -> Call[tuple[T, ...]]:
    """A GET of a list that comes in one page."""
    asked: Call[Page[T]] = get(route, Page[kind], place=place, **query)  # type: ignore[valid-type]
    return shaped(asked, lambda page: page.items)


def send(
    method: str,
    route: str,
    kind: type[T],
    *,
    place: Mapping[str, str] | None = None,
    body: Any = None,
    etag: str | None = None,
) -> Call[T]:
    """A change whose answer is a `kind`; `etag` names the revision that it is meant for."""
    headers = {} if etag is None else {"if-match": etag}
    return Call(method, route, reader(kind), kind, place or {}, {}, body, headers)


def content(route: str, *, place: Mapping[str, str], **query: Any) -> Call[bytes]:
    """A GET of a file."""
    return Call("GET", route, lambda answer: answer.content, bytes, place, query, reads=True)


def nothing(method: str, route: str, *, place: Mapping[str, str]) -> Call[None]:
    """A change that has no answer."""
    return Call(method, route, lambda _answer: None, None, place)


def reader(kind: type[T]) -> Callable[[httpx.Response], T]:
    """Reads the JSON of an answer; raises `NotCarcloud` for anything else. Keeps the ETag."""

    def read(answer: httpx.Response) -> T:
        try:
            found: Any = msgspec.json.decode(answer.content, type=kind)
        except msgspec.ValidationError as error:
            reason = f"answered something else than the API promises: {error}"
            raise NotCarcloud(str(answer.url), reason) from error
        except msgspec.DecodeError as error:
            raise NotCarcloud(str(answer.url), "did not answer with JSON") from error
        if isinstance(found, Tagged):
            found = msgspec.structs.replace(found, etag=answer.headers.get("etag", ""))
        return found  # type: ignore[no-any-return]

    return read


def shaped(call: Call[T], change: Callable[[T], Any]) -> Call[Any]:
    """The same call with another result, made of the first."""
    return replace(call, shape=lambda answer: change(call.shape(answer)))


class PageOf(Protocol[T_co]):
    """A page of any list."""

    @property
    def items(self) -> Iterable[T_co]: ...
    @property
    def next_cursor(self) -> str | None: ...


class Listing(Generic[T]):
    """A list that is asked for page by page, up to `limit` items (None = all)."""

    def __init__(self, first: Call[Any], limit: int | None) -> None:
        self.first = first
        self.left = limit

    def begin(self) -> Call[PageOf[T]] | None:
        """The call for the first page; None = nothing is wanted."""
        return self._page(None)

    def took(self, page: PageOf[T]) -> tuple[list[T], Call[PageOf[T]] | None]:
        """The items of a page that are wanted, and the call for the next one."""
        items = list(page.items)
        if self.left is not None:
            items = items[: self.left]
            self.left -= len(items)
        more = bool(items) and page.next_cursor is not None
        return items, self._page(page.next_cursor) if more else None

    def _page(self, cursor: str | None) -> Call[PageOf[T]] | None:
        size = PAGE if self.left is None else min(self.left, PAGE)
        if size <= 0:
            return None
        return replace(self.first, query={**self.first.query, "cursor": cursor, "limit": size})


class Stream(Protocol[T_co]):
    """An answer that is read as it comes."""

    @property
    def ended(self) -> bool:
        """Whether it has told all."""

    @property
    def can_go_on(self) -> bool:
        """Whether `ask` may be called after it broke off."""

    def ask(self) -> Call[Any]:
        """The call that begins it, or goes on where it broke off."""

    def feed(self, piece: bytes) -> Iterable[T_co]:
        """What is complete with this piece."""


class Bytes:
    """A body as it comes."""

    ended = True  # whenever the connection ends in good order

    def __init__(self, call: Call[Any]) -> None:
        self._call = call
        self.can_go_on = True

    def ask(self) -> Call[Any]:
        """The call."""
        return self._call

    def feed(self, piece: bytes) -> Iterable[bytes]:
        """The piece itself."""
        self.can_go_on = False  # it would begin anew
        return (piece,)


class EventReader:
    """Server-sent events out of pieces of their text: (name, data) of each."""

    def __init__(self) -> None:
        self._rest = b""
        self._name = ""

    def feed(self, piece: bytes) -> Iterable[tuple[str, bytes]]:
        """The events whose `data` line is complete with this piece."""
        *lines, self._rest = (self._rest + piece).split(b"\n")
        for line in lines:
            if line.startswith(b"event: "):
                self._name = line[7:].decode()
            elif line.startswith(b"data: "):
                yield self._name, line[6:]


def http_options(url: str, token: str, timeout_s: float) -> dict[str, Any]:
    """What a client of httpx takes; raises `Unreachable` for what is no address."""
    try:
        base = httpx.URL(url)
    except httpx.InvalidURL as error:
        raise Unreachable(url, str(error)) from error
    headers = {"authorization": f"Bearer {token}"} if token else {}
    timeout = httpx.Timeout(timeout_s, connect=min(10.0, timeout_s))
    given = {"base_url": base, "headers": headers, "timeout": timeout}
    if base.scheme == "http":  # the authorities of the world, not read, would take 30 ms
        given["verify"] = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    return given
