"""Putting documents for many vehicles in an open transaction, with what is kept of it.

The audit has one entry for each document of a transaction, with the number of vehicles and the
first and the last of them: they come in the order of their ids.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final

from sqlalchemy import Connection, bindparam, delete
from sqlalchemy.dialects import postgresql, sqlite

from carcloud.model.ids import Tenant
from carcloud.model.limits import OverLimit
from carcloud.services.campaigns.documents import LIST, Document, Listed, topic
from carcloud.services.campaigns.store import vehicle_documents
from carcloud.services.tenancy.api import AuditEntry, record_changes
from carcloud.services.vehicles.api import Draft, PutError, Unknown, put_many_in, retaining

_ACTOR: Final = "campaigns"
_LONGEST: Final = 300  # characters of a problem


@dataclass(frozen=True, slots=True)
class Parcel:
    """What is put for one vehicle: documents, in their order; ids of those that go; and those
    that stay as they are, though there was a problem before."""

    vehicle: str
    new: tuple[Document, ...]
    gone: tuple[str, ...]
    settled: tuple[Listed, ...]

    @property
    def count(self) -> int:
        """Messages."""
        return len(self.new) + len(self.gone)

    @property
    def bytes(self) -> int:
        """Bytes of the documents."""
        return sum(len(each.payload) for each in self.new)

    @property
    def drafts(self) -> list[Draft]:
        """The messages."""
        put = [retaining(topic(self.vehicle, each.id), each.payload) for each in self.new]
        return put + [retaining(topic(self.vehicle, name), b"") for name in self.gone]


@dataclass(frozen=True, slots=True)
class Brought:
    """What was put, and what could not be, with why."""

    messages: int
    problems: list[str]


@dataclass(slots=True)
class _Round:
    """What was put of the parcels, and why the rest was not."""

    put: list[Parcel] = field(default_factory=list)
    messages: int = 0
    left: list[tuple[str, Document, str]] = field(default_factory=list)  # vehicle, what, why
    unknown: list[str] = field(default_factory=list)

    def leave(self, parcel: Parcel, error: PutError, documents: Iterable[Document]) -> None:
        """These are not put."""
        for each in documents:
            name = each.id or "the list of documents"
            why = f"{name} ({len(each.payload):,} bytes): {error}"
            self.left.append((parcel.vehicle, each, why[:_LONGEST]))


def bring(db: Connection, tenant: Tenant, parcels: Sequence[Parcel], now: int) -> Brought:
    """Put what the parcels say. Where a vehicle may not have all of it, the largest documents are
    left out, so that one that is too large does not hold back the others."""
    done = _Round()
    rest = {each.vehicle: each for each in parcels}
    while rest:
        found = put_many_in(db, tenant, {name: one.drafts for name, one in rest.items()}, now=now)
        done.messages += len(found.put)
        done.put += [one for name, one in rest.items() if name not in found.refused]
        rest = dict(_smaller(rest, found.refused, done))
    keep = _Keep(db, tenant, now)
    keep.put(done.put)
    keep.problems(done.left)
    keep.forget(done.unknown)  # not registered any more
    record_changes(db, _entries(tenant, done.put))
    return Brought(done.messages, [f"{name}: {why}" for name, _, why in done.left])


def _smaller(
    parcels: Mapping[str, Parcel], refused: Mapping[str, PutError], done: _Round
) -> Iterator[tuple[str, Parcel]]:
    """Of the vehicles that were refused, what may fit."""
    for name, error in refused.items():
        parcel = parcels[name]
        if isinstance(error, Unknown):
            done.unknown.append(name)
            continue
        small = _fitting(parcel, error) if isinstance(error, OverLimit) else ()
        done.leave(parcel, error, [each for each in parcel.new if each not in small])
        if small or (parcel.new and parcel.gone):
            yield name, replace(parcel, new=small)


def _fitting(parcel: Parcel, error: OverLimit) -> tuple[Document, ...]:
    """The list and the smallest documents, in the order that they had; at least one less."""
    sizes = {one.id: retaining(topic(parcel.vehicle, one.id), one.payload).size
             for one in parcel.new}  # fmt: skip
    room, chosen = error.value - error.used, set[str]()
    for name in sorted(sizes, key=lambda one: (one != LIST, sizes[one]))[:-1]:
        room -= sizes[name]
        if room < 0:
            break
        chosen.add(name)
    return tuple(one for one in parcel.new if one.id in chosen)


def _entries(tenant: Tenant, put: Iterable[Parcel]) -> list[AuditEntry]:
    vehicles: dict[tuple[str, str, int], list[str]] = defaultdict(list)
    kinds: dict[tuple[str, str, int], str] = {}
    for parcel in put:
        for each in parcel.new:
            key = ("document.put", each.id or "documents", each.listed.version)
            vehicles[key].append(parcel.vehicle)
            kinds[key] = each.listed.kind
        for name in parcel.gone:
            vehicles["document.remove", name, 0].append(parcel.vehicle)
    return [
        AuditEntry(tenant, _ACTOR, key[0], key[1], None, _told(key[2], kinds.get(key), names))
        for key, names in vehicles.items()
    ]


def _told(version: int, kind: str | None, vehicles: Sequence[str]) -> dict[str, object]:
    what: dict[str, object] = {} if kind is None else {"kind": kind, "version": version}
    return what | {"vehicles": len(vehicles), "first": vehicles[0], "last": vehicles[-1]}


@dataclass(frozen=True, slots=True)
class _Keep:
    """What is kept of it in `vehicle_documents`."""

    db: Connection
    tenant: Tenant
    now: int

    def put(self, parcels: Iterable[Parcel]) -> None:
        """These have what their parcels say."""
        rows: list[dict[str, Any]] = []
        gone: list[dict[str, str]] = []
        for parcel in parcels:
            there = [*(each.listed for each in parcel.new), *parcel.settled]
            rows += [self._row(parcel.vehicle, each, "") for each in there]
            gone += [{"of": parcel.vehicle, "name": name} for name in parcel.gone]
        self._upsert(rows, ("kind", "version", "sha256", "put_us", "problem"))
        if gone:
            table = vehicle_documents.c
            one = (table.vehicle == bindparam("of")) & (table.id == bindparam("name"))
            mine = table.tenant == self.tenant
            self.db.execute(delete(vehicle_documents).where(mine & one), gone)

    def problems(self, left: Iterable[tuple[str, Document, str]]) -> None:
        """Of these documents vehicles have what they had before."""
        rows = [self._row(vehicle, each.listed, why) for vehicle, each, why in left]
        self._upsert(rows, ("put_us", "problem"))

    def forget(self, vehicles: Sequence[str]) -> None:
        """These are not there any more."""
        if vehicles:
            table = vehicle_documents.c
            mine = (table.tenant == self.tenant) & table.vehicle.in_(vehicles)
            self.db.execute(delete(vehicle_documents).where(mine))

    def _row(self, vehicle: str, each: Listed, problem: str) -> dict[str, Any]:
        return {
            "tenant": self.tenant, "vehicle": vehicle, "id": each.id, "kind": each.kind,
            "version": each.version, "sha256": "" if problem else each.sha256,
            "put_us": self.now, "problem": problem,
        }  # fmt: skip

    def _upsert(self, rows: Sequence[Mapping[str, Any]], changes: Iterable[str]) -> None:
        if not rows:
            return
        dialect = sqlite if self.db.dialect.name == "sqlite" else postgresql
        new: Any = dialect.insert(vehicle_documents)
        key = [vehicle_documents.c[name] for name in ("tenant", "vehicle", "id")]
        values = {name: new.excluded[name] for name in changes}
        self.db.execute(new.on_conflict_do_update(index_elements=key, set_=values), rows)
