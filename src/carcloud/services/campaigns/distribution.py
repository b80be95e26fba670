"""Bringing campaigns and models to the vehicles that speak MQTT, as docs/agent.md says.

A round compares what each vehicle should hold with what was put for it, and puts what differs:
first the list, then the documents that are new in it. A round after which nothing has changed
writes nothing, and one that breaks off is finished by the next. A vehicle that should not collect
for a campaign any more keeps it as paused, and with it what it has not sent, until the campaign
is ended.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from sqlalchemy import Connection, select

from carcloud.model.ids import Tenant
from carcloud.model.time import now_us
from carcloud.ports.records import Records
from carcloud.services.campaigns.bringing import Parcel, bring
from carcloud.services.campaigns.documents import LIST, Document, Listed, document, listing
from carcloud.services.campaigns.running import live, still_brought
from carcloud.services.campaigns.store import metadata, vehicle_documents
from carcloud.services.campaigns.types import Distributed
from carcloud.services.vehicles.api import Vehicles

ModelDocument = Callable[[Tenant, str], Mapping[str, Any] | None]
"""The document of a vehicle model for agents; None where the model has no mapping."""

# Of one transaction: others, such as logins, wait for it on SQLite, some 100 ms at most.
_VEHICLES: Final = 500
_MESSAGES: Final = 2_000
_BYTES: Final = 4 << 20
_AGAIN_US: Final = 60_000_000  # until what could not be put is tried again
_MOST_TOLD: Final = 5  # problems of a round


def no_model(_tenant: Tenant, _model: str) -> Mapping[str, Any] | None:
    """For those who have no mappings."""
    return None


class Distribution:
    """Rounds of one process at a time. Calls block."""

    def __init__(
        self,
        records: Records,
        *,
        model_document: ModelDocument = no_model,
        now: Callable[[], int] = now_us,
    ) -> None:
        records.create(metadata)
        self._records = records
        self._vehicles = Vehicles(records)
        self._model_document = model_document
        self._now = now

    def round(self, tenant: Tenant) -> tuple[Distributed, list[str]]:
        """Put what differs; returns what was done, and the vehicles to announce."""
        now = self._now()
        wanted = self._wanted(tenant)
        with self._records.reading() as db:
            put = _put(db, tenant)
            brought = still_brought(db, tenant, now)
        compare = _Compare(brought, now)
        vehicles = sorted(wanted.keys() | put.keys())
        todo = [
            parcel
            for vehicle in vehicles
            if (parcel := compare(vehicle, wanted.get(vehicle), put.get(vehicle, {}))) is not None
        ]
        problems: list[str] = []
        documents = 0
        for chunk in _chunks(todo):
            with self._records.transaction() as db:
                done = bring(db, tenant, chunk, self._now())
            documents += done.messages
            problems += done.problems
        told = tuple(problems[:_MOST_TOLD])
        return Distributed(len(todo), documents, told), [each.vehicle for each in todo]

    def _wanted(self, tenant: Tenant) -> dict[str, list[Document]]:
        vehicles = self._vehicles.over_mqtt(tenant)
        with self._records.reading() as db:
            running = live(db, tenant)
        made = {
            (each.campaign.id, number): document(
                each.campaign.id, "campaign", number, version.document
            )
            for each in running
            for number, version in each.versions.items()
        }
        models = self._models(tenant, {each.model for each in vehicles if each.model})
        found: dict[str, list[Document]] = {}
        for vehicle in vehicles:
            mine = [models[vehicle.model]] if vehicle.model in models else []
            for each in running:
                number = each.wanted(vehicle)
                if number is not None:
                    mine.append(made[each.campaign.id, number])
            found[vehicle.id] = mine
        return found

    def _models(self, tenant: Tenant, names: Iterable[str]) -> dict[str | None, Document]:
        found: dict[str | None, Document] = {}
        for name in names:
            content = self._model_document(tenant, name)
            if content is not None:
                # A campaign may have the same id, and both have one topic: the colon tells them.
                version = int(content.get("version", 1))
                found[name] = document(f"model:{name}", "model", version, content)
        return found


@dataclass(frozen=True, slots=True)
class _Kept:
    """What was put of a document. After a problem, what was put before it."""

    listed: Listed
    put_us: int
    problem: str


def _put(db: Connection, tenant: Tenant) -> dict[str, dict[str, _Kept]]:
    table = vehicle_documents.c
    columns = (
        table.vehicle, table.id, table.kind, table.version, table.sha256, table.put_us,
        table.problem,
    )  # fmt: skip
    found: dict[str, dict[str, _Kept]] = defaultdict(dict)
    for vehicle, name, kind, version, sha256, put_us, problem in db.execute(
        select(*columns).where(table.tenant == tenant)
    ):
        found[vehicle][name] = _Kept(Listed(name, kind, version, sha256), put_us, problem)
    return found


@dataclass(frozen=True, slots=True)
class _Compare:
    """What is to be put for a vehicle; `brought`: campaigns that it may hold as paused."""

    brought: frozenset[str]
    now: int
    _lists: dict[tuple[tuple[Listed, ...], tuple[Listed, ...]], Document] = field(
        default_factory=dict
    )

    def __call__(
        self, vehicle: str, wanted: Sequence[Document] | None, put: Mapping[str, _Kept]
    ) -> Parcel | None:
        """None where nothing is. `wanted` None: it is not reached any more."""
        if not wanted and not put:
            return None
        troubled = [each for each in put.values() if each.problem]
        if any(each.put_us > self.now - _AGAIN_US for each in troubled):
            return None
        mine = {each.id: each for each in wanted or ()}
        paused = [] if wanted is None else [
            each.listed for name, each in sorted(put.items()) if self._pauses(each, name in mine)
        ]  # fmt: skip
        whole = [self._list(list(mine.values()), paused), *mine.values()]
        stale = tuple(each for each in whole if _stale(each, put.get(each.id)))
        kept = {LIST, *mine, *(each.id for each in paused)}
        gone = tuple(name for name in put if name not in kept)
        if not (stale or gone or troubled):
            return None
        settled = tuple(each for each in paused if put[each.id].problem)
        return Parcel(vehicle, stale, gone, settled)

    def _pauses(self, each: _Kept, wanted: bool) -> bool:
        there = each.listed.kind == "campaign" and each.listed.sha256 != ""
        return there and not wanted and each.listed.id in self.brought

    def _list(self, wanted: Sequence[Document], paused: Sequence[Listed]) -> Document:
        key = (tuple(each.listed for each in wanted), tuple(paused))
        if key not in self._lists:
            self._lists[key] = listing(*key)
        return self._lists[key]


def _stale(wanted: Document, put: _Kept | None) -> bool:
    return put is None or put.listed.sha256 != wanted.listed.sha256 or bool(put.problem)


def _chunks(todo: Iterable[Parcel]) -> Iterator[list[Parcel]]:
    """What is put in one transaction, in turn; at least one vehicle each."""
    chunk: list[Parcel] = []
    messages = size = 0
    for parcel in todo:
        count, more = parcel.count, parcel.bytes
        full = len(chunk) == _VEHICLES or messages + count > _MESSAGES or size + more > _BYTES
        if chunk and full:
            yield chunk
            chunk, messages, size = [], 0, 0
        chunk.append(parcel)
        messages += count
        size += more
    if chunk:
        yield chunk
