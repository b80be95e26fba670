"""Methods of a client itself: status, tables, SQL, and any route by its path."""

from collections.abc import Mapping
from typing import Any

import httpx
import msgspec

from carcloud.client.arrow import MEDIA, FileFormat
from carcloud.client.exchange import Bytes, Call, Listing, Stream, get, nothing, reader, shaped
from carcloud.client.methods import call, many
from carcloud.client.types import File, Items, Page, Rows, Status, Table

_QUERY = "/v1/query"


class Question(msgspec.Struct, frozen=True, omit_defaults=True):
    """The body of a query."""

    sql: str
    rows: int | None = None
    id: str | None = None


class Cloud:
    """What both clients have, without input or output."""

    @call
    def status(self) -> Call[Status]:
        """How the cloud is doing now."""
        return get("/v1/status", Status)

    @call
    def tables(self) -> Call[tuple[Table, ...]]:
        """The tables that SQL can read, with their columns."""
        return shaped(get("/v1/tables", Items[Table]), lambda found: found.items)

    @call
    def drop_table(self, name: str) -> Call[None]:
        """Take away a table that a job made, with all its rows."""
        return nothing("DELETE", "/v1/tables/{table}", place={"table": name})

    @call
    def query_rows(self, sql: str, *, rows: int | None = None, id: str | None = None) -> Call[Rows]:
        """The rows of one SELECT as JSON carries them: times as text."""
        return Call("POST", _QUERY, reader(Rows), Rows, body=Question(sql, rows, id), reads=True)

    @call
    def query_file(
        self,
        sql: str,
        kind: FileFormat = "parquet",
        *,
        rows: int | None = None,
        id: str | None = None,
    ) -> Call[File]:
        """The rows of one SELECT as a CSV, Parquet or Arrow file."""
        body, headers = Question(sql, rows, id), {"accept": MEDIA[kind]}
        return Call("POST", _QUERY, _file, bytes, body=body, headers=headers, reads=True)

    @call
    def cancel_query(self, id: str) -> Call[None]:
        """End a query of one's own that runs, by the `id` it was given."""
        return nothing("DELETE", "/v1/queries/{query_id}", place={"query_id": id})

    @call
    def send(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, Any] | None = None,
        json: Any = None,
        content: bytes | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Call[httpx.Response]:
        """Any route by its path, for those that have no method here."""
        body = content if json is None else msgspec.Raw(msgspec.json.encode(json))
        return Call(
            method, path, lambda answer: answer, None, {}, query or {}, body, headers or {},
            reads=method == "GET",
        )  # fmt: skip

    @many
    def items(
        self, path: str, /, limit: int | None = None, **query: Any
    ) -> Listing[dict[str, Any]]:
        """Any list by its path, page after page."""
        return Listing(get(path, Page[dict[str, Any]], **query), limit)

    @many
    def stream(self, path: str) -> Stream[bytes]:
        """Any body by its path, as it comes."""
        return Bytes(get(path, bytes))


def _file(answer: httpx.Response) -> File:
    return File(answer.content, answer.headers.get("x-truncated") == "true")
