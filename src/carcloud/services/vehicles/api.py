"""The registry of vehicles. Calls block briefly; every change is in the audit."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from itertools import islice

from sqlalchemy import select
from sqlalchemy.exc import IntegrityError

from carcloud.model.ids import Tenant, VehicleId
from carcloud.model.limits import OverLimit
from carcloud.model.time import now_us
from carcloud.ports.errors import Conflict
from carcloud.ports.records import Records
from carcloud.services.tenancy.api import Seal
from carcloud.services.vehicles import (
    admission,
    carried,
    changes,
    csv_import,
    keys,
    models,
    proof,
    search,
)
from carcloud.services.vehicles.errors import Changed, Exists, Invalid, Unknown
from carcloud.services.vehicles.lookup import Waits, Wanted
from carcloud.services.vehicles.outgoing import (
    Outgoing,
    announce,
    put_again,
    retain_in,
    waiting_in,
    withdraw_in,
)
from carcloud.services.vehicles.putting import (
    Draft,
    OutgoingMessage,
    PutError,
    put_many_in,
    retaining,
)
from carcloud.services.vehicles.remembered import Remembered
from carcloud.services.vehicles.shelf import Registered, Shelf
from carcloud.services.vehicles.store import logins, metadata
from carcloud.services.vehicles.types import (
    Activated,
    Activation,
    ActivationRefusal,
    Admission,
    Carried,
    CarriedRefusal,
    Credentials,
    CredentialsChange,
    CurrentSign,
    DataKey,
    Datum,
    Filter,
    ImportReport,
    Lifecycle,
    LineError,
    Login,
    NewVehicle,
    Proof,
    Reachable,
    Refusal,
    Reporting,
    Sort,
    Vehicle,
    VehicleChange,
    VehicleKeys,
    VehicleModel,
    VehiclePage,
    VehicleToken,
)

__all__ = [
    "Activated", "Activation", "ActivationRefusal", "Admission", "Carried", "CarriedRefusal",
    "Changed", "Credentials", "CredentialsChange", "CurrentSign", "DataKey", "Datum", "Draft",
    "Exists",
    "Filter", "ImportReport", "Invalid", "Lifecycle", "LineError", "Login", "NewVehicle",
    "Outgoing", "OutgoingMessage", "Proof", "PutError",
    "Reachable", "Refusal", "Registered", "Remembered", "Reporting", "Sort", "Unknown", "Vehicle",
    "VehicleChange",
    "VehicleKeys", "VehicleModel", "VehiclePage", "VehicleToken", "Vehicles",
    "Waits", "Wanted", "announce", "metadata", "put_again", "put_many_in", "retain_in", "retaining",
    "waiting_in", "withdraw_in",
]  # fmt: skip

_IMPORT_CHUNK = 500  # lines in one transaction, so that logins need not wait long


class Vehicles:
    """The service. `secret` (32 bytes) seals cipher keys; `now` is a clock in us since 1970."""

    def __init__(
        self, records: Records, *, secret: bytes | None = None, now: Callable[[], int] = now_us
    ) -> None:
        self._records = records
        self._seal = Seal(secret)
        self._now = now
        records.create(metadata)
        self._shelf = Shelf(records)

    def at_hand(self, tenant: Tenant, vehicle: str) -> Registered | None:
        """The vehicle as the records have it now, if that takes no waiting; else use
        `registered`."""
        return self._shelf.at_hand(tenant, vehicle)

    def registered(self, tenant: Tenant, vehicle: str) -> Registered:
        """The vehicle and its credentials, without the cipher key; raises `Unknown`."""
        return self._shelf.get(tenant, vehicle)

    def get(self, tenant: Tenant, vehicle: str) -> Vehicle:
        """The vehicle; raises `Unknown`."""
        with self._reading(tenant) as desk:
            return desk.get(vehicle)

    def many(self, tenant: Tenant, wanted: Sequence[str]) -> dict[str, Vehicle]:
        """Vehicles by id; those that do not exist are left out. At most 10,000."""
        if len(wanted) > 10_000:
            raise Invalid("ids", "at most 10000")
        with self._records.reading() as db:
            return search.by_id(db, tenant, list(wanted))

    def find(
        self,
        tenant: Tenant,
        what: Filter,
        *,
        sort: Sort = "id",
        cursor: str | None = None,
        limit: int = 50,
    ) -> VehiclePage:
        """One page (`limit` 1 to 500); raises `Invalid` for a foreign cursor."""
        with self._records.reading() as db:
            return search.find(db, tenant, what, sort=sort, cursor=cursor, limit=limit)

    def matching_ids(self, tenant: Tenant, what: Filter) -> list[VehicleId]:
        """All matching ids, in order: to sort by what the registry does not know."""
        with self._records.reading() as db:
            return search.matching_ids(db, tenant, what)

    def models_by_vehicle(self, tenant: Tenant, what: Filter) -> dict[str, str | None]:
        """The model of all matching vehicles, by vehicle; None = it has none."""
        with self._records.reading() as db:
            return search.models_by_vehicle(db, tenant, what)

    def models_of(self, tenant: Tenant, wanted: Sequence[str]) -> dict[str, str]:
        """The model of those of these vehicles that have one; at most 10,000."""
        if len(wanted) > 10_000:
            raise Invalid("ids", "at most 10000")
        with self._records.reading() as db:
            return search.models_of(db, tenant, wanted)

    def over_mqtt(self, tenant: Tenant) -> list[Reachable]:
        """All vehicles that are let in and speak MQTT, in order of id."""
        with self._records.reading() as db:
            return search.over_mqtt(db, tenant)

    def count(self, tenant: Tenant, what: Filter | None = None) -> int:
        """How many vehicles match."""
        with self._records.reading() as db:
            return search.count(db, tenant, what or Filter())

    def create(self, tenant: Tenant, new: NewVehicle, *, actor: str) -> Vehicle:
        """Register a vehicle; raises `Invalid`, `OverLimit`, `Exists` (also in another tenant)."""
        with _taken(f"vehicle {new.id!r} or its VIN"), self._writing(tenant, actor) as desk:
            return desk.create(new)

    def change(
        self,
        tenant: Tenant,
        vehicle: str,
        change: VehicleChange,
        *,
        actor: str,
        if_revision: int | None = None,
    ) -> Vehicle:
        """Apply a merge patch; raises `Unknown`, `Changed`, `Invalid`, `Exists` (the VIN)."""
        with _taken("the VIN"), self._writing(tenant, actor) as desk:
            return desk.change(vehicle, change, if_revision)

    def retire(
        self, tenant: Tenant, vehicle: str, *, actor: str, if_revision: int | None = None
    ) -> Vehicle:
        """Keep the vehicle out for good; raises `Unknown`, `Changed`."""
        gone = VehicleChange(lifecycle=Lifecycle.RETIRED)
        return self.change(tenant, vehicle, gone, actor=actor, if_revision=if_revision)

    def credentials(self, tenant: Tenant, vehicle: str) -> Credentials:
        """What proves the vehicle's identity, without the cipher key; raises `Unknown`."""
        with self._reading(tenant) as desk:
            return desk.credentials(vehicle)

    def set_credentials(
        self, tenant: Tenant, vehicle: str, change: CredentialsChange, *, actor: str
    ) -> Credentials:
        """Change what is set in `change`; raises `Unknown`, `Invalid`.

        Removing the public key undoes an activation: the chip goes with it.
        """
        with self._writing(tenant, actor) as desk:
            return desk.set_credentials(vehicle, change, self._seal)

    def make_token(self, tenant: Tenant, vehicle: str, *, actor: str) -> VehicleToken:
        """A token for the vehicle, in place of the one it has; raises `Unknown`.

        It is told here alone. The vehicle is let in by it from now on, over MQTT.
        """
        while True:
            try:
                with self._writing(tenant, actor) as desk:
                    return desk.make_token(vehicle)
            except Conflict:  # the first credentials of the vehicle, put there just now
                continue

    def revoke_token(self, tenant: Tenant, vehicle: str, *, actor: str) -> bool:
        """Take the vehicle's token away; False if it has none. Raises `Unknown`."""
        with self._writing(tenant, actor) as desk:
            return desk.revoke_token(vehicle)

    def last_login(self, tenant: Tenant, vehicle: str) -> Login | None:
        """The last admitted login; None before the first. Raises `Unknown`."""
        with self._reading(tenant) as desk:
            desk.get(vehicle)
            query = select(logins).where(logins.c.vehicle == vehicle)
            row = desk.db.execute(query).mappings().first()
        return None if row is None else Login(**row)

    def import_csv(self, tenant: Tenant, text: str, *, actor: str) -> ImportReport:
        """Create and change vehicles from CSV; raises `Invalid` if it cannot be read at all.

        Columns id, vin, model, protocol, iccid, label:KEY; empty cells change nothing. Lines
        with errors are left out and reported. At most 16 MB and 200,000 lines.
        """
        errors: list[LineError] = []
        created = updated = 0
        lines = csv_import.lines(text, errors)
        while chunk := list(islice(lines, _IMPORT_CHUNK)):
            new, old = self._import_chunk(tenant, chunk, errors, actor)
            created, updated = created + new, updated + old
        ordered = sorted(errors, key=lambda error: error.line)
        return ImportReport(created, updated, ordered[: csv_import.MAX_ERRORS])

    def admit(self, login: Login, *, auto_register: Tenant | None) -> Admission:
        """Answer one login; see `admit_many`."""
        return self.admit_many([login], auto_register=auto_register)[0]

    def admit_many(
        self, wanting: Sequence[Login], *, auto_register: Tenant | None
    ) -> list[Admission]:
        """Answer logins of any tenants' vehicles, in order, in one transaction.

        Unknown vehicles are registered in the tenant `auto_register`, or refused if it is
        None. A registered vehicle becomes active. The last login of each is kept. Over MQTT a
        vehicle must bring its token or certificate, so an unknown one is always refused.
        """
        while True:
            try:
                with self._records.transaction() as db:
                    desk = admission.Desk(
                        db, self._seal, auto_register=auto_register, now=self._now()
                    )
                    return desk.answer(wanting)
            except Conflict:  # another gateway registered one of them just now: look again
                continue

    def outdated(self, came_in: Sequence[tuple[Tenant, Proof]]) -> list[tuple[str, Refusal]]:
        """Those of these connected vehicles, as (id, why), that would not be let in now."""
        with self._records.reading() as db:
            return proof.outdated(db, came_in)

    def changed_after(self, mark: int) -> tuple[int, list[str]]:
        """(newest mark, vehicles of all tenants whose registration or credentials were changed
        after `mark`). Marks grow in the order of changes, but of two transactions at the same time
        the one with the lower marks may come to light later."""
        with self._records.reading() as db:
            return proof.changed_after(db, mark)

    def carry_many(self, wanting: Sequence[Carried]) -> list[CarriedRefusal | None]:
        """Answer, in order, whether vehicles that lower platforms bring are welcome (None).

        Unknown ones are registered in the platform's tenant, whatever `gateway.auto_register`
        says: the account of the platform is the permission. Registered ones become active.
        """
        while True:
            try:
                with self._records.transaction() as db:
                    return carried.carry(db, wanting, self._now())
            except Conflict:  # another gateway registered one of them just now: look again
                continue

    def activate(self, wanting: Activation, *, auto_register: Tenant | None) -> Activated:
        """Put a security chip and its key on record; the same activation again changes nothing."""
        while True:
            try:
                with self._records.transaction() as db:
                    return keys.activate(db, wanting, auto_register, self._now())
            except Conflict:  # registered by another gateway just now: look again
                continue

    def keep_data_key(self, tenant: Tenant, vehicle: str, key: DataKey) -> tuple[DataKey, ...]:
        """Seal and keep a data-unit key that the vehicle sent; returns all keys that count now.

        The newest four are kept. Raises `Unknown`, `Invalid`.
        """
        with self._writing(tenant, "gateway") as desk:
            desk.get(vehicle)
            keys.keep(desk.db, self._seal, tenant, vehicle, key, self._now())
            return keys.data_keys_of(desk.db, self._seal, [vehicle]).get(vehicle, ())

    def keys(self, wanted: Sequence[str]) -> dict[str, VehicleKeys]:
        """Keys of any tenants' vehicles, by id; those without any are left out."""
        with self._records.reading() as db:
            return keys.of(db, self._seal, wanted)

    def special_models(self) -> bool:
        """Whether any model reports otherwise than WGS84 and discharge positive."""
        with self._records.reading() as db:
            return models.any_special(db)

    def reporting(self, wanted: Sequence[str]) -> dict[str, Reporting]:
        """How any tenants' vehicles report; only those of special models are told."""
        with self._records.reading() as db:
            return models.reporting(db, wanted)

    def create_model(self, tenant: Tenant, model: VehicleModel, *, actor: str) -> VehicleModel:
        """A new model; raises `Invalid`, `Exists`."""
        with _taken(f"model {model.id!r}"), self._records.transaction() as db:
            return models.create(db, tenant, model, actor)

    def change_model(
        self, tenant: Tenant, model: VehicleModel, *, actor: str, if_revision: int | None = None
    ) -> VehicleModel:
        """Replace a model; raises `Unknown`, `Changed`, `Invalid`."""
        with self._records.transaction() as db:
            return models.change(db, tenant, model, if_revision, actor)

    def remove_model(self, tenant: Tenant, model: str, *, actor: str) -> None:
        """Remove a model that no vehicle has; raises `Unknown`, `Invalid`."""
        with self._writing(tenant, actor) as desk:
            desk.drop_model(model)

    def model(self, tenant: Tenant, model: str) -> VehicleModel:
        """A model; raises `Unknown`."""
        with self._records.reading() as db:
            return models.get(db, tenant, model)

    def models(self, tenant: Tenant) -> list[VehicleModel]:
        """All models of the tenant, in order of id."""
        with self._records.reading() as db:
            return models.every(db, tenant)

    def _import_chunk(
        self, tenant: Tenant, chunk: list[csv_import.Line], errors: list[LineError], actor: str
    ) -> tuple[int, int]:
        created = updated = 0
        with self._writing(tenant, actor) as desk:
            known = changes.known_ids(desk.db, tenant, [line.id for line in chunk])
            for line in chunk:
                try:
                    with desk.db.begin_nested():
                        is_new = desk.take_line(line, known.get(line.id))
                except Invalid as error:
                    errors.append(LineError(line.number, error.field, error.detail))
                    continue
                except IntegrityError:
                    errors.append(LineError(line.number, "id", "the id or VIN is taken already"))
                    continue
                except OverLimit as error:
                    errors.append(LineError(line.number, "id", str(error)))
                    continue
                created, updated = created + is_new, updated + (not is_new)
        return created, updated

    @contextmanager
    def _writing(self, tenant: Tenant, actor: str) -> Iterator[changes.Desk]:
        with self._records.transaction() as db:
            yield changes.Desk(db, tenant, actor, self._now())

    @contextmanager
    def _reading(self, tenant: Tenant) -> Iterator[changes.Desk]:
        with self._records.reading() as db:
            yield changes.Desk(db, tenant, "", self._now())


@contextmanager
def _taken(what: str) -> Iterator[None]:
    try:
        yield
    except Conflict as error:
        raise Exists(f"{what} exists already") from error
