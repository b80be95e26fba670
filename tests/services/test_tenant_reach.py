"""Of every table it is decided whose its rows are, and of every secret that it stays here."""

import pytest
from sqlalchemy import Column, ForeignKey, LargeBinary, MetaData, String, Table

from carcloud.app.schema.tables import TABLES
from carcloud.services.tenant_life import left_out
from carcloud.services.tenant_life.api import Reach, Undecided
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
