"""Changing the registry inside an open transaction, with the audit entry beside each change."""

from dataclasses import dataclass, field, replace

from msgspec import UNSET
from sqlalchemy import Connection, delete, insert, select, update

from carcloud.model.ids import Tenant, VehicleId
from carcloud.services.tenancy.api import AuditEntry, NoSecret, Seal, record_changes
from carcloud.services.vehicles import keys, rows, search, tokens
from carcloud.services.vehicles.csv_import import Line
from carcloud.services.vehicles.errors import Changed, Invalid, Unknown
from carcloud.services.vehicles.room import Room
from carcloud.services.vehicles.store import credentials, models, vehicles
from carcloud.services.vehicles.types import (
    Credentials,
    CredentialsChange,
    Lifecycle,
    NewVehicle,
    Vehicle,
    VehicleChange,
    VehicleToken,
)

_CREDENTIAL_LIMITS = {"iccid": 20, "algorithm": 20, "tls_fingerprint": 64, "cipher": 20}
_LONGEST_KEY = 8192  # bytes


@dataclass(frozen=True, slots=True)
class Desk:
    """One transaction of one person in one tenant."""

    db: Connection
    tenant: Tenant
    actor: str
    now: int
    room: Room = field(default_factory=Room)

    def get(self, vehicle: str) -> Vehicle:
        """The vehicle; raises `Unknown`."""
        found: Vehicle | None = search.by_id(self.db, self.tenant, [vehicle]).get(vehicle)
        if found is None:
            raise Unknown(f"there is no vehicle {vehicle!r}")
        return found

    def create(self, new: NewVehicle) -> Vehicle:
        """Register; raises `Invalid`, `OverLimit`, and the port's `Conflict` for a taken id."""
        made = rows.made(self.tenant, new, self.now)
        self._check_model(made.model)
        self.room.take(self.db, self.tenant)
        rows.insert_vehicles(self.db, [made])
        self._record("vehicle.create", made.id, None, rows.told(made))
        return made

    def change(self, vehicle: str, change: VehicleChange, if_revision: int | None) -> Vehicle:
        """Apply a merge patch; raises `Unknown`, `Changed`, `Invalid`."""
        old = self.get(vehicle)
        if if_revision is not None and old.revision != if_revision:
            raise Changed(f"vehicle {vehicle!r} is at revision {old.revision} now")
        wanted = _patched(old, change)
        if wanted == old:
            return old
        if wanted.model != old.model:
            self._check_model(wanted.model)
        new = replace(wanted, updated=self.now, revision=old.revision + 1)
        same = (vehicles.c.id == old.id) & (vehicles.c.revision == old.revision)
        if self.db.execute(update(vehicles).where(same).values(rows.columns(new))).rowcount != 1:
            raise Changed(f"vehicle {vehicle!r} was changed at the same time")
        if new.labels != old.labels:
            rows.replace_labels(self.db, new)
        self._record("vehicle.change", new.id, *_differences(old, new))
        return new

    def credentials(self, vehicle: str) -> Credentials:
        """The credentials without the cipher key; raises `Unknown`."""
        self.get(vehicle)
        mine = select(credentials).where(credentials.c.vehicle == vehicle)
        row = self.db.execute(mine).mappings().first()
        chip = keys.chip_of(self.db, vehicle)
        if row is None:
            return Credentials(chip_id=chip)
        return Credentials(
            iccid=row["iccid"],
            public_key=row["public_key"],
            algorithm=row["algorithm"],
            tls_fingerprint=row["tls_fingerprint"],
            has_cipher_key=row["cipher_key"] is not None,
            cipher=row["cipher"],
            chip_id=chip,
            token_made=row["token_made"],
        )

    def set_credentials(self, vehicle: str, change: CredentialsChange, seal: Seal) -> Credentials:
        """Change what is set; raises `Unknown`, `Invalid`."""
        self.get(vehicle)
        values = _credential_values(vehicle, change, seal)
        known = select(credentials.c.vehicle).where(credentials.c.vehicle == vehicle)
        if self.db.execute(known).first() is None:
            self.db.execute(insert(credentials).values(vehicle=vehicle, **values))
        elif values:
            mine = update(credentials).where(credentials.c.vehicle == vehicle)
            self.db.execute(mine.values(**values))
        names = sorted(values)
        chip_id = change.chip_id
        if change.public_key is None and chip_id is UNSET:
            chip_id = None  # without its key a chip is not activated: another one may come
        if chip_id is not UNSET:
            keys.set_chip(self.db, vehicle, _credential_text("chip_id", chip_id, 16))
            names.append("chip_id")
        self._record("vehicle.credentials", vehicle, None, {"set": names})
        return self.credentials(vehicle)

    def make_token(self, vehicle: str) -> VehicleToken:
        """A new token in place of any other; raises `Unknown`."""
        known = self.get(vehicle).id
        made = VehicleToken(known, tokens.new(), self.now)
        tokens.keep(self.db, known, made.token, self.now)
        self._record("vehicle.token", known, None, {"token": "made"})
        return made

    def revoke_token(self, vehicle: str) -> bool:
        """Take the token away; False if there was none. Raises `Unknown`."""
        known = self.get(vehicle).id
        there = tokens.keep(self.db, known, None, self.now)
        if there:
            self._record("vehicle.token", known, None, {"token": "revoked"})
        return there

    def take_line(self, line: Line, old: Vehicle | None) -> bool:
        """Create or change the vehicle of a CSV line; True if it is new. Raises `Invalid`."""
        if old is None:
            made = NewVehicle(line.id, line.vin, line.model, line.labels, protocol=line.protocol)
            self.create(made)
        else:
            self.change(line.id, _change_of(line), None)
        if line.iccid is not None:
            self.set_credentials(line.id, CredentialsChange(iccid=line.iccid), Seal(None))
        return old is None

    def drop_model(self, model: str) -> None:
        """Remove a model that no vehicle has; raises `Unknown`, `Invalid`."""
        if not rows.storable(model):
            raise Unknown(f"there is no model {model!r}")
        used = select(vehicles.c.id).where(vehicles.c.tenant == self.tenant)
        if self.db.execute(used.where(vehicles.c.model == model).limit(1)).first() is not None:
            raise Invalid("id", f"model {model!r} has vehicles")
        mine = (models.c.tenant == self.tenant) & (models.c.id == model)
        if self.db.execute(delete(models).where(mine)).rowcount == 0:
            raise Unknown(f"there is no model {model!r}")
        self._record("model.remove", model, None, None)

    def _check_model(self, model: str | None) -> None:
        if model is None:
            return
        mine = (models.c.tenant == self.tenant) & (models.c.id == model)
        if self.db.execute(select(models.c.id).where(mine)).first() is None:
            raise Invalid("model", f"there is no model {model!r}")

    def _record(
        self,
        action: str,
        subject: str,
        before: dict[str, object] | None,
        after: dict[str, object] | None,
    ) -> None:
        entry = AuditEntry(self.tenant, self.actor, action, subject, before, after)
        record_changes(self.db, [entry])


def _patched(old: Vehicle, change: VehicleChange) -> Vehicle:
    new = old
    if change.vin is not UNSET:
        new = replace(new, vin=rows.checked_vin(change.vin))
    if change.model is not UNSET:
        new = replace(new, model=rows.checked_name("model", change.model))
    if change.protocol is not UNSET:
        new = replace(new, protocol=rows.checked_name("protocol", change.protocol))
    if change.labels is not UNSET:
        merged = {**old.labels, **change.labels}
        kept = {key: value for key, value in merged.items() if value is not None}
        new = replace(new, labels=rows.checked_labels(kept))
    if change.lifecycle is not UNSET:
        new = replace(new, lifecycle=_next_lifecycle(old, change.lifecycle))
    return new


def _next_lifecycle(old: Vehicle, wanted: Lifecycle) -> Lifecycle:
    if wanted == Lifecycle.REGISTERED and old.lifecycle != Lifecycle.REGISTERED:
        raise Invalid("lifecycle", f"a vehicle that is {old.lifecycle} cannot be registered again")
    return wanted


def _differences(old: Vehicle, new: Vehicle) -> tuple[dict[str, object], dict[str, object]]:
    before, after = rows.told(old), rows.told(new)
    changed = [key for key in after if before[key] != after[key]]
    return {key: before[key] for key in changed}, {key: after[key] for key in changed}


def _change_of(line: Line) -> VehicleChange:
    return VehicleChange(
        vin=line.vin or UNSET,
        model=line.model or UNSET,
        labels={**line.labels} or UNSET,
        protocol=line.protocol or UNSET,
    )


def _credential_values(vehicle: str, change: CredentialsChange, seal: Seal) -> dict[str, object]:
    values: dict[str, object] = {}
    for name, longest in _CREDENTIAL_LIMITS.items():
        value = getattr(change, name)
        if value is not UNSET:
            values[name] = _credential_text(name, value, longest)
    for name in ("public_key", "cipher_key"):
        key = getattr(change, name)
        if key is UNSET:
            continue
        if key is not None and not 1 <= len(key) <= _LONGEST_KEY:
            raise Invalid(name, f"1 to {_LONGEST_KEY} bytes")
        values[name] = key
    if isinstance(change.cipher_key, bytes):
        try:
            values["cipher_key"] = seal.close(vehicle, change.cipher_key)
        except NoSecret as error:
            raise Invalid("cipher_key", str(error)) from error
    return values


def _credential_text(name: str, value: str | None, longest: int) -> str | None:
    if value is not None and not (
        1 <= len(value) <= longest and value.isascii() and value.isprintable()
    ):
        raise Invalid(name, f"1 to {longest} ASCII characters")
    return value


def known_ids(db: Connection, tenant: Tenant, wanted: list[str]) -> dict[str, Vehicle]:
    """The tenant's vehicles among `wanted`."""
    return {VehicleId(key): value for key, value in search.by_id(db, tenant, wanted).items()}
