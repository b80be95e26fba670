"""Of every table it is decided whose its rows are, and of every secret that it stays here."""

import re
from pathlib import Path

import pytest
from sqlalchemy import Column, ForeignKey, LargeBinary, MetaData, String, Table

from carcloud.app.schema.tables import TABLES
from carcloud.services.tenant_life import left_out
from carcloud.services.tenant_life.api import Reach, Undecided
from carcloud.services.tenant_life.certificate import NOT_REACHED
from carcloud.services.tenant_life.reach import JOINS, NOBODYS

SECRET = ("password", "secret", "hash", "token", "key", "totp", "sealed", "wrapped")


def test_every_table_is_decided() -> None:
    reach = Reach(TABLES)  # raises for a table that nobody decided about
    names = reach.names()
    assert set(names) | NOBODYS.keys() == {name for one in TABLES for name in one.tables}
    assert JOINS.keys() | NOBODYS.keys() <= reach.tables.keys()
    for name in names:  # what refers comes before what it refers to
        behind = [other for _, other, _ in reach._references(reach.tables[name])]
        assert all(names.index(name) < names.index(other) for other in behind), name


def test_a_new_table_without_a_decision_is_refused() -> None:
    fresh = MetaData()
    Table("of_whom", fresh, Column("id", String(10), primary_key=True))
    with pytest.raises(Undecided, match="of_whom"):
        Reach([*TABLES, fresh])
    tied = MetaData()
    Table("mine", tied, Column("tenant", String(40), primary_key=True))
    Table("tied", tied, Column("mine", ForeignKey("mine.tenant"), primary_key=True))
    assert Reach([tied]).names() == ["tied", "mine"]


def test_every_column_that_may_be_secret_is_decided() -> None:
    undecided = []
    for table in (table for one in TABLES for table in one.tables.values()):
        name = str(table.name)
        if name in NOBODYS or name in left_out.TABLES:
            continue
        known = {*left_out.COLUMNS.get(name, ()), *left_out.NO_SECRETS.get(name, ())}
        for column in table.columns:
            binary = isinstance(column.type, LargeBinary)
            named = any(word in column.name.split("_") for word in SECRET)
            if (binary or named) and column.name not in known:
                undecided.append(f"{name}.{column.name}")
    assert undecided == [], "left_out.py must say whether an export has these"


def test_what_is_left_out_exists() -> None:
    tables = {name: table for one in TABLES for name, table in one.tables.items()}
    assert left_out.TABLES.keys() <= tables.keys()
    for columns in (left_out.COLUMNS, left_out.NO_SECRETS):
        for name, wanted in columns.items():
            assert set(wanted) <= set(tables[name].columns.keys()), name


def test_the_console_can_say_what_a_certificate_does_not_reach() -> None:
    """The words of certificates are kept for good, in English; the console has their keys."""
    console = Path(__file__).parents[2] / "frontend" / "src"
    known = (console / "lib" / "tenant-life.ts").read_text()
    for words in NOT_REACHED:
        key = re.search(rf"'{re.escape(words)}':\s*'(\w+)'", known)
        assert key is not None, f"frontend/src/lib/tenant-life.ts does not know {words!r}"
        for language in ("en", "zh"):
            texts = (console / "i18n" / language / "tenant-life.ts").read_text()
            assert f"'tenantLife.not.{key[1]}'" in texts, (language, words)
