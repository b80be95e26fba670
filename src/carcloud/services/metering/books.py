"""Price books: which prices are valid for whom and when. A book is never edited.

New prices are a new book; the old one is ended first. So a statement can always be worked out
again from what is on record.
"""

import re
import secrets
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import msgspec
from sqlalchemy import Connection, delete, insert, or_, select, update

from carcloud.model.ids import DEFAULT_TENANT, Tenant
from carcloud.services.metering import periods
from carcloud.services.metering.errors import Exists, Invalid, Unknown
from carcloud.services.metering.prices import checked
from carcloud.services.metering.store import books, statements
from carcloud.services.metering.types import Price, PriceBook, Statement
from carcloud.services.tenancy.api import AuditEntry, record_changes

_CURRENCY = re.compile(r"[A-Z]{3}")
_FOR_EVER = 999_912


def create(db: Connection, book: PriceBook, actor: str, now: int) -> PriceBook:
    """Keep a new book; raises `Invalid`, `Exists` where another one is valid."""
    _check(book)
    for other in every(db):
        if other.tenant == book.tenant and _overlap(other, book):
            raise Exists(f"{other.name!r} is valid in some of these months: end it first")
    made = replace(book, id=secrets.token_hex(8), created=now, actor=actor)
    row = {
        "id": made.id, "tenant": made.tenant, "name": made.name, "currency": made.currency,
        "decimals": made.decimals, "first_period": made.first_period,
        "last_period": made.last_period, "prices": msgspec.json.encode(made.prices).decode(),
        "created": now, "actor": actor,
    }  # fmt: skip
    db.execute(insert(books).values(**row))
    _record(db, made, actor, "price-book.create", None, _told(made))
    return made


def end(db: Connection, id: str, last_period: int, actor: str) -> PriceBook:
    """Let a book end with a month; raises `Unknown`, `Invalid`."""
    old = get(db, id)
    if last_period < old.first_period:
        raise Invalid("last_period", "the book begins later; remove it instead")
    if old.last_period is not None and last_period > old.last_period:
        raise Invalid("last_period", "a book that ends cannot be made longer")
    used = _last_used(db, old)
    if used is not None and last_period < used:
        raise Invalid("last_period", f"the statement of {periods.text(used)} uses it")
    db.execute(update(books).where(books.c.id == id).values(last_period=last_period))
    new = replace(old, last_period=last_period)
    _record(db, old, actor, "price-book.end", _told(old), _told(new))
    return new


def remove(db: Connection, id: str, actor: str) -> None:
    """Take back a book that no statement uses; raises `Unknown`, `Exists`."""
    old = get(db, id)
    used = _last_used(db, old)
    if used is not None:
        raise Exists(f"the statement of {periods.text(used)} uses it: end it instead")
    db.execute(delete(books).where(books.c.id == id))
    _record(db, old, actor, "price-book.remove", _told(old), None)


def get(db: Connection, id: str) -> PriceBook:
    """A book; raises `Unknown`."""
    row = db.execute(select(books).where(books.c.id == id)).mappings().first()
    if row is None:
        raise Unknown(f"there is no price book {id!r}")
    return _book(row)


def every(db: Connection, tenant: Tenant | None = None) -> list[PriceBook]:
    """All books, or those that concern a tenant, newest months first."""
    query = select(books)
    if tenant is not None:
        query = query.where(or_(books.c.tenant.is_(None), books.c.tenant == tenant))
    ordered = query.order_by(books.c.first_period.desc(), books.c.id)
    return [_book(row) for row in db.execute(ordered).mappings()]


def valid(known: list[PriceBook], tenant: Tenant, period: int) -> PriceBook | None:
    """The book of a tenant and month: its own before the one for all."""
    fitting = [book for book in known if _covers(book, period) and book.tenant in (None, tenant)]
    return max(fitting, key=lambda book: book.tenant is not None, default=None)


def _covers(book: PriceBook, period: int) -> bool:
    return book.first_period <= period <= (book.last_period or _FOR_EVER)


def _overlap(one: PriceBook, other: PriceBook) -> bool:
    first = max(one.first_period, other.first_period)
    return first <= min(one.last_period or _FOR_EVER, other.last_period or _FOR_EVER)


def _check(book: PriceBook) -> None:
    if not 1 <= len(book.name) <= 100 or not book.name.isprintable():
        raise Invalid("name", "1 to 100 printable characters")
    if not _CURRENCY.fullmatch(book.currency):
        raise Invalid("currency", "three capital letters (ISO 4217)")
    if not 0 <= book.decimals <= 6:
        raise Invalid("decimals", "0 to 6")
    if book.last_period is not None and book.last_period < book.first_period:
        raise Invalid("last_period", "the last month is before the first")
    for meter, price in book.prices.items():
        checked(meter, price)


def _last_used(db: Connection, book: PriceBook) -> int | None:
    """The last month with a closed statement that this book priced."""
    used = [
        row.period
        for row in db.execute(select(statements.c.period, statements.c.document))
        if msgspec.json.decode(row.document, type=Statement).price_book == book.id
    ]
    return max(used, default=None)


def _record(
    db: Connection,
    book: PriceBook,
    actor: str,
    action: str,
    before: Mapping[str, object] | None,
    after: Mapping[str, object] | None,
) -> None:
    tenant = book.tenant or DEFAULT_TENANT
    record_changes(db, [AuditEntry(tenant, actor, action, book.id, before, after)])


def _told(book: PriceBook) -> dict[str, object]:
    prices: object = msgspec.to_builtins(book.prices)
    return {
        "name": book.name, "currency": book.currency, "tenant": book.tenant,
        "first_period": book.first_period, "last_period": book.last_period, "prices": prices,
    }  # fmt: skip


def _book(row: Any) -> PriceBook:
    return PriceBook(
        id=row["id"],
        name=row["name"],
        currency=row["currency"],
        prices=msgspec.json.decode(row["prices"], type=dict[str, Price]),
        first_period=row["first_period"],
        last_period=row["last_period"],
        tenant=None if row["tenant"] is None else Tenant(row["tenant"]),
        decimals=row["decimals"],
        created=row["created"],
        actor=row["actor"],
    )
