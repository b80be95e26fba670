"""Which vehicles a gateway lets in: one short transaction for a whole flood of logins."""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

from sqlalchemy import Connection, delete, insert, select, update

from carcloud.model import ids
from carcloud.model.ids import Tenant, VehicleId
from carcloud.services.tenancy.api import AuditEntry, Seal, record_changes, suspended_among
from carcloud.services.vehicles import keys, rows, tokens
from carcloud.services.vehicles import proof as proofs
from carcloud.services.vehicles.room import Room
from carcloud.services.vehicles.store import credentials, logins, vehicles
from carcloud.services.vehicles.types import (
    Admission,
    DataKey,
    Lifecycle,
    Login,
    NewVehicle,
    Proof,
    Vehicle,
)

_CHUNK = 500  # ids in one SELECT
_ACTOR = "gateway"


class Desk:
    """Answers the logins of one transaction. `auto_register`: tenant of unknown vehicles."""

    def __init__(
        self, db: Connection, seal: Seal, *, auto_register: Tenant | None, now: int
    ) -> None:
        self._db = db
        self._seal = seal
        self._auto_register = auto_register
        self._now = now
        self._room = Room()
        self._new: list[Vehicle] = []
        self._first_time: list[Vehicle] = []
        self._stopped: set[Tenant] = set()
        self._data_keys: dict[str, tuple[DataKey, ...]] = {}

    def answer(self, wanting: Sequence[Login]) -> list[Admission]:
        """One admission for each login, in order."""
        known = self._known({login.vehicle for login in wanting})
        wanting = self._with_editions(wanting)
        answers = [replace(self._answer(login, known), edition=login.edition) for login in wanting]
        rows.insert_vehicles(self._db, self._new)
        self._activate()
        pairs = zip(wanting, answers, strict=True)
        self._remember([login for login, answer in pairs if answer.refusal is None])
        return answers

    def _known(self, wanted: Iterable[str]) -> dict[str, Any]:
        found: dict[str, Any] = {}
        ordered = possible(wanted)
        columns = [c for c in credentials.c if c.name != "vehicle"]
        query = select(vehicles, *columns, logins.c.time.label("last_login"))
        query = query.outerjoin(credentials).outerjoin(logins, logins.c.vehicle == vehicles.c.id)
        for start in range(0, len(ordered), _CHUNK):
            chunk = query.where(vehicles.c.id.in_(ordered[start : start + _CHUNK]))
            found.update((row["id"], dict(row)) for row in self._db.execute(chunk).mappings())
        self._data_keys = keys.data_keys_of(self._db, self._seal, found)
        tenants = {Tenant(row["tenant"]) for row in found.values()}
        self._stopped = suspended_among(
            self._db, tenants | ({self._auto_register} if self._auto_register else set())
        )
        return found

    def _with_editions(self, wanting: Sequence[Login]) -> list[Login]:
        """Logins that tell no edition of their protocol keep that of the last login by it."""
        silent = possible({login.vehicle for login in wanting if login.edition is None})
        found: dict[tuple[str, str], str | None] = {}
        for start in range(0, len(silent), _CHUNK):
            chunk = logins.c.vehicle.in_(silent[start : start + _CHUNK])
            query = select(logins.c.vehicle, logins.c.protocol, logins.c.edition).where(chunk)
            found.update(((row[0], row[1]), row[2]) for row in self._db.execute(query))
        return [
            login
            if login.edition is not None
            else replace(login, edition=found.get((login.vehicle, login.protocol)))
            for login in wanting
        ]

    def _answer(self, login: Login, known: dict[str, Any]) -> Admission:
        try:
            vehicle = ids.vehicle(login.vehicle)
        except ids.InvalidId:
            return Admission(VehicleId(login.vehicle), "invalid")
        row = known.get(vehicle)
        if row is None:
            return self._stranger(vehicle, login, known)
        proof = proofs.of(login)
        refusal = proofs.refusal(row, proof, self._stopped)
        if refusal is not None:
            return Admission(vehicle, refusal)
        if row["lifecycle"] == Lifecycle.REGISTERED.value:
            row["lifecycle"] = Lifecycle.ACTIVE.value
            self._first_time.append(rows.vehicle(row))
        return self._admitted(vehicle, row, login, proof)

    def _stranger(self, vehicle: VehicleId, login: Login, known: dict[str, Any]) -> Admission:
        if self._auto_register is None or login.protocol in tokens.PROVEN:
            return Admission(vehicle, "unknown")
        if self._auto_register in self._stopped:
            return Admission(vehicle, "suspended")
        if not self._room.has(self._db, self._auto_register):
            return Admission(vehicle, "quota")
        new = NewVehicle(id=vehicle, lifecycle=Lifecycle.ACTIVE, protocol=login.protocol)
        made = rows.made(self._auto_register, new, self._now)
        self._new.append(made)
        nothing = dict.fromkeys((*(column.name for column in credentials.c), "last_login"))
        known[vehicle] = {**nothing, **rows.columns(made), "tenant": made.tenant, "id": made.id}
        known[vehicle]["created"] = made.created
        admitted = self._admitted(vehicle, known[vehicle], login, proofs.of(login))
        return replace(admitted, registered_now=True)

    def _admitted(
        self, vehicle: VehicleId, row: dict[str, Any], login: Login, proof: Proof
    ) -> Admission:
        before, row["last_login"] = row["last_login"], login.time or self._now
        return Admission(
            vehicle=vehicle,
            refusal=None,
            tenant=Tenant(row["tenant"]),
            model=row["model"],
            public_key=row["public_key"],
            algorithm=row["algorithm"],
            tls_fingerprint=row["tls_fingerprint"],
            cipher_key=self._seal.open(vehicle, row["cipher_key"]),
            cipher=row["cipher"],
            data_keys=self._data_keys.get(vehicle, ()),
            proof=proof,
            time=row["last_login"],
            before=before,
        )

    def _activate(self) -> None:
        """Vehicles that connect for the first time become active."""
        for vehicle in self._first_time:
            change = {"lifecycle": Lifecycle.ACTIVE.value, "updated": self._now}
            row = update(vehicles).where(vehicles.c.id == vehicle.id)
            self._db.execute(row.values(**change, revision=vehicle.revision + 1))
        before = {"lifecycle": Lifecycle.REGISTERED.value}
        after = {"lifecycle": Lifecycle.ACTIVE.value}
        entries = [
            AuditEntry(
                vehicle.tenant, _ACTOR, "vehicle.register", vehicle.id, None, rows.told(vehicle)
            )
            for vehicle in self._new
        ] + [
            AuditEntry(vehicle.tenant, _ACTOR, "vehicle.activate", vehicle.id, before, after)
            for vehicle in self._first_time
        ]
        record_changes(self._db, entries)

    def _remember(self, admitted: Sequence[Login]) -> None:
        """Keep the last login of each vehicle."""
        last = {login.vehicle: login for login in admitted}
        if not last:
            return
        ordered = sorted(last)
        for start in range(0, len(ordered), _CHUNK):
            chunk = ordered[start : start + _CHUNK]
            self._db.execute(delete(logins).where(logins.c.vehicle.in_(chunk)))
        self._db.execute(insert(logins), [_login_row(last[id], self._now) for id in ordered])


def possible(wanted: Iterable[str]) -> list[str]:
    """Those that can be vehicles' ids, sorted; others (with a NUL, say) no database can look up."""
    found: list[str] = []
    for one in sorted(wanted):
        try:
            found.append(ids.vehicle(one))
        except ids.InvalidId:
            continue
    return found


def _login_row(login: Login, now: int) -> dict[str, Any]:
    return {
        "vehicle": login.vehicle,
        "protocol": login.protocol[:40],
        "address": login.address[:60],
        "iccid": login.iccid[:20].replace("\0", "\ufffd") if login.iccid else None,
        "edition": login.edition,
        "time": login.time or now,
    }
