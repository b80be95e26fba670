"""Which rows of which table are a tenant's: by its column, or by what they refer to.

Tables are followed by themselves where they have a column `tenant` or a foreign key to a table
that has. Of all others it is said here; a table of which nobody has said it raises `Undecided`.
"""

from collections.abc import Iterable, Iterator
from typing import Any

from sqlalchemy import ColumnElement, MetaData, Table, or_, select

from carcloud.model.ids import Tenant
from carcloud.services.tenant_life.errors import Undecided

JOINS = {  # rows that refer without a foreign key: column, and what it refers to
    "storage_objects": ("bucket", "storage_buckets", "id"),
    "storage_extents": ("object", "storage_objects", "id"),
    "storage_uploads": ("bucket", "storage_buckets", "id"),
    "storage_parts": ("upload", "storage_uploads", "id"),
}
NOBODYS = {  # tables of the installation, and why no tenant's data is in them
    "record_versions": "one number",
    "tenant_deletions": "what is left of a tenant: counts, times, and who asked",
    "spent_sign_ins": "hashes, for minutes",
    "sign_in_failures": "hashes, for minutes",
}


class Reach:
    """The tables of an installation and the way from each to a tenant."""

    def __init__(self, tables: Iterable[MetaData]) -> None:
        """Raises `Undecided`."""
        self.tables: dict[str, Table] = {
            str(table.name): table for metadata in tables for table in metadata.tables.values()
        }
        self._depths: dict[str, int] = {}
        for name in self.tables:
            self._depth(name)

    def names(self) -> list[str]:
        """Tables that hold rows of tenants, those first that refer to others."""
        found = (name for name in self.tables if name not in NOBODYS)
        return sorted(found, key=lambda name: (-self._depth(name), name))

    def own(self, name: str, tenant: Tenant) -> ColumnElement[bool]:
        """Rows that are the tenant's."""
        return next(self._ways(name, tenant))

    def all(self, name: str, tenant: Tenant) -> ColumnElement[bool]:
        """These, and those of other tenants that refer to what is the tenant's."""
        return or_(*self._ways(name, tenant))

    def _ways(self, name: str, tenant: Tenant) -> Iterator[ColumnElement[bool]]:
        table = self.tables[name]
        if name == "tenants":
            yield table.c.id == tenant
            return
        if name == "usage_positions":  # `lake.<tenant>.<table>`
            yield table.c.source.startswith(f"lake.{tenant}.", autoescape=True)
            return
        if "tenant" in table.c:
            yield table.c.tenant == tenant
        for column, other, key in self._references(table):
            mine = select(self.tables[other].c[key]).where(self.own(other, tenant))
            yield table.c[column].in_(mine)

    def _references(self, table: Table) -> Iterator[tuple[str, str, str]]:
        """(column, table, its column) of what rows refer to; tenants and the table itself not."""
        if (join := JOINS.get(str(table.name))) is not None:
            yield join
        for foreign in table.foreign_key_constraints:
            target: Any = foreign.referred_table
            if len(foreign.elements) == 1 and target.name not in ("tenants", table.name):
                element = foreign.elements[0]
                yield str(element.parent.name), str(target.name), str(element.column.name)

    def _depth(self, name: str) -> int:
        """How many tables lie between this and the tenants."""
        if name in ("tenants", *NOBODYS):
            return 0
        if name not in self._depths:
            table = self.tables[name]
            behind = [self._depth(other) for _, other, _ in self._references(table)]
            known = behind or "tenant" in table.c or name == "usage_positions"
            if not known or any(other in NOBODYS for _, other, _ in self._references(table)):
                raise Undecided(f"whose are the rows of {name}? tenant_life/reach.py must say")
            self._depths[name] = 1 + max(behind, default=0)
        return self._depths[name]
