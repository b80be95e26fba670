"""Bringing campaigns and models to the vehicles that speak MQTT, as docs/agent.md says.

A round compares what each vehicle should hold with what was put for it, and puts what differs:
first the list, then the documents that are new in it. A round after which nothing has changed
writes nothing, and one that breaks off is finished by the next.
"""

import json
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import Connection, delete, insert, select

from carcloud.codecs.campaign.document import document_hash
from carcloud.codecs.mqtt.topics import prefix
from carcloud.model.ids import Tenant
from carcloud.model.limits import OverLimit
from carcloud.model.time import now_us
from carcloud.ports.records import Records
from carcloud.services.campaigns import rows
from carcloud.services.campaigns.store import (
    campaign_versions,
    campaigns,
    metadata,
    vehicle_documents,
)
from carcloud.services.campaigns.targets import in_target, share
from carcloud.services.campaigns.types import Campaign, Distributed, State, Version
from carcloud.services.vehicles.api import Invalid, Reachable, Unknown, Vehicles, retain_in

ModelDocument = Callable[[Tenant, str], Mapping[str, Any] | None]
"""The document of a vehicle model for agents; None where the model has no mapping."""

LIST: Final = ""  # the id of the list itself in `vehicle_documents`
_ACTOR: Final = "campaigns"
_CHUNK: Final = 50  # vehicles in one transaction
_AGAIN_US: Final = 60_000_000  # until what could not be put is tried again
_MOST_TOLD: Final = 5  # problems of a round


def no_model(_tenant: Tenant, _model: str) -> Mapping[str, Any] | None:
    """For those who have no mappings."""
    return None


def wanted_version(
    campaign: Campaign, versions: Mapping[int, Version], vehicle: Reachable
) -> int | None:
    """The version that a vehicle should have; None = it should not have the campaign."""
    if campaign.state != State.RUNNING:
        return None
    number = campaign.running_version
    if campaign.next_version is not None:
        first = share(campaign.id, vehicle.id, "switch") < campaign.next_percent
        number = campaign.next_version if first else number
    version = versions.get(number) if number is not None else None
    if version is None or not in_target(version.target, campaign.id, vehicle):
        return None
    return number


@dataclass(frozen=True, slots=True)
class Live:
    """A running campaign with the versions that vehicles may have."""

    campaign: Campaign
    versions: Mapping[int, Version]


def live(db: Connection, tenant: Tenant, campaign: str | None = None) -> list[Live]:
    """The running campaigns of a tenant, or one of them."""
    mine = (campaigns.c.tenant == tenant) & (campaigns.c.state == State.RUNNING.value)
    if campaign is not None:
        mine &= campaigns.c.id == campaign
    query = select(campaigns).where(mine).order_by(campaigns.c.id)
    running = [rows.campaign_of(row) for row in db.execute(query).mappings()]
    return [Live(each, _versions(db, each)) for each in running]


def _versions(db: Connection, campaign: Campaign) -> dict[int, Version]:
    numbers = {campaign.running_version, campaign.next_version} - {None}
    table = campaign_versions.c
    mine = (table.tenant == campaign.tenant) & (table.campaign == campaign.id)
    found = db.execute(select(campaign_versions).where(mine & table.version.in_(numbers)))
    return {row["version"]: rows.version_of(row) for row in found.mappings()}


@dataclass(frozen=True, slots=True)
class _Document:
    """A document as vehicles get it."""

    id: str
    kind: str
    version: int
    sha256: str
    payload: bytes

    @property
    def entry(self) -> dict[str, Any]:
        """What the list says of it."""
        return {
            "id": self.id, "kind": self.kind, "version": self.version, "hash": self.sha256
        }  # fmt: skip


def _document(name: str, kind: str, version: int, content: Mapping[str, Any]) -> _Document:
    sha256 = document_hash(content)
    whole = {
        "id": name, "kind": kind, "version": version, "hash": sha256, "document": content
    }  # fmt: skip
    text = json.dumps(whole, ensure_ascii=False, separators=(",", ":"))
    return _Document(name, kind, version, sha256, text.encode())


def _list(documents: Iterable[_Document]) -> _Document:
    content = {"documents": [each.entry for each in documents]}
    text = json.dumps(content, separators=(",", ":"), ensure_ascii=False)
    return _Document(LIST, "list", 0, document_hash(content), text.encode())


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
        wanted = self._wanted(tenant)
        with self._records.reading() as db:
            put = _put(db, tenant)
        now = self._now()
        todo = [
            vehicle
            for vehicle in sorted(wanted.keys() | put.keys())
            if _differs(wanted.get(vehicle, {}), put.get(vehicle, {}), now)
        ]
        problems: list[str] = []
        documents = 0
        for start in range(0, len(todo), _CHUNK):
            with self._records.transaction() as db:
                for vehicle in todo[start : start + _CHUNK]:
                    work = _Put(db, tenant, vehicle, self._now())
                    documents += work.bring(wanted.get(vehicle, {}), put.get(vehicle, {}), problems)
        told = tuple(problems[:_MOST_TOLD])
        return Distributed(len(todo), documents, told), todo

    def _wanted(self, tenant: Tenant) -> dict[str, dict[str, _Document]]:
        vehicles = self._vehicles.over_mqtt(tenant)
        with self._records.reading() as db:
            running = live(db, tenant)
        made = {
            (each.campaign.id, number): _document(
                each.campaign.id, "campaign", number, version.document
            )
            for each in running
            for number, version in each.versions.items()
        }
        models = self._models(tenant, {each.model for each in vehicles if each.model})
        found: dict[str, dict[str, _Document]] = {}
        for vehicle in vehicles:
            mine = [models[vehicle.model]] if vehicle.model in models else []
            for each in running:
                number = wanted_version(each.campaign, each.versions, vehicle)
                if number is not None:
                    mine.append(made[each.campaign.id, number])
            found[vehicle.id] = {document.id: document for document in mine}
        return found

    def _models(self, tenant: Tenant, names: Iterable[str]) -> dict[str | None, _Document]:
        found: dict[str | None, _Document] = {}
        for name in names:
            content = self._model_document(tenant, name)
            if content is not None:
                # A campaign may have the same id, and both have one topic: the colon tells them.
                version = int(content.get("version", 1))
                found[name] = _document(f"model:{name}", "model", version, content)
        return found


def _put(db: Connection, tenant: Tenant) -> dict[str, dict[str, Mapping[str, Any]]]:
    table = vehicle_documents.c
    columns = (table.vehicle, table.id, table.sha256, table.version, table.put_us, table.problem)
    found: dict[str, dict[str, Mapping[str, Any]]] = defaultdict(dict)
    for row in db.execute(select(*columns).where(table.tenant == tenant)).mappings():
        found[row["vehicle"]][row["id"]] = dict(row)
    return found


def _differs(
    wanted: Mapping[str, _Document], put: Mapping[str, Mapping[str, Any]], now: int
) -> bool:
    if not wanted and not put:
        return False
    if any(row["problem"] for row in put.values()):
        return all(row["put_us"] <= now - _AGAIN_US for row in put.values() if row["problem"])
    if {*wanted, LIST} != put.keys():
        return True
    return any(put[name]["sha256"] != document.sha256 for name, document in wanted.items()) or (
        put[LIST]["sha256"] != _list(wanted.values()).sha256
    )


@dataclass(frozen=True, slots=True)
class _Put:
    """Putting documents of one vehicle in an open transaction."""

    db: Connection
    tenant: Tenant
    vehicle: str
    now: int

    def bring(
        self,
        wanted: Mapping[str, _Document],
        put: Mapping[str, Mapping[str, Any]],
        problems: list[str],
    ) -> int:
        """Put what differs; returns how many messages that were."""
        listed = _list(wanted.values())
        new = [
            each
            for each in (listed, *wanted.values())
            if each.id not in put
            or put[each.id]["sha256"] != each.sha256
            or put[each.id]["problem"]
        ]
        gone = [name for name in put if name and name not in wanted]
        try:
            with self.db.begin_nested():
                for each in new:
                    self._retain(each.id, each.payload)
                for name in gone:
                    self._retain(name, b"")
        except (OverLimit, Invalid) as error:
            problems.append(f"{self.vehicle}: {error}")
            self._note(new, str(error)[:300])
            return 0
        except Unknown:  # it is not registered any more
            self._forget(list(put))
            return 0
        self._forget(gone)
        self._note(new, "")
        return len(new) + len(gone)

    def _retain(self, name: str, payload: bytes) -> None:
        topic = f"{prefix(self.vehicle)}documents{'/' if name else ''}{name}"
        retain_in(self.db, self.tenant, self.vehicle, topic, payload, actor=_ACTOR, now=self.now)

    def _note(self, documents: Sequence[_Document], problem: str) -> None:
        self._forget([each.id for each in documents])
        values = [
            {
                "tenant": self.tenant, "vehicle": self.vehicle, "id": each.id, "kind": each.kind,
                "version": each.version, "sha256": each.sha256, "put_us": self.now,
                "problem": problem,
            }
            for each in documents
        ]  # fmt: skip
        if values:
            self.db.execute(insert(vehicle_documents), values)

    def _forget(self, names: Sequence[str]) -> None:
        if names:
            table = vehicle_documents.c
            mine = (table.tenant == self.tenant) & (table.vehicle == self.vehicle)
            self.db.execute(delete(vehicle_documents).where(mine & table.id.in_(names)))
