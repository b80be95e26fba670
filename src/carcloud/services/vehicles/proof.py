"""By what a vehicle came in, and whether it would still be let in: asked while it is connected."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from sqlalchemy import Connection, select

from carcloud.model.ids import Tenant
from carcloud.services.tenancy.api import subjects_after, suspended_among
from carcloud.services.vehicles import tokens
from carcloud.services.vehicles.store import credentials, vehicles
from carcloud.services.vehicles.types import Lifecycle, Login, Proof, Refusal

_CHUNK: Final = 500  # ids in one SELECT
_CHANGES: Final = ("vehicle.change", "vehicle.credentials", "vehicle.token")  # of the audit


def of(login: Login) -> Proof:
    """What a login brings, without the token itself."""
    return Proof(
        vehicle=login.vehicle,
        protocol=login.protocol,
        iccid=login.iccid,
        token_sha256=tokens.hashed_if_possible(login.token),
        certificate=login.certificate,
        proven=login.proven,
    )


def refusal(row: Mapping[str, Any], proof: Proof, stopped: Iterable[str]) -> Refusal | None:
    """Why a registered vehicle is not let in; `row` of the registry with the credentials,
    `stopped` are suspended tenants."""
    if not tokens.lets_in(row, proof):
        return "credentials"
    if row["tenant"] in stopped or row["lifecycle"] == Lifecycle.SUSPENDED.value:
        return "suspended"
    if row["lifecycle"] == Lifecycle.RETIRED.value:
        return "retired"
    # Over MQTT no vehicle tells its SIM; the token or certificate says more. A JT/T 808 terminal
    # tells its id when it registers, and shows the code it got from then on.
    asked = proof.protocol not in tokens.PROVEN and not proof.proven
    if asked and row["iccid"] is not None and row["iccid"] != proof.iccid:
        return "iccid"
    return None


def outdated(db: Connection, came_in: Sequence[tuple[Tenant, Proof]]) -> list[tuple[str, Refusal]]:
    """Those of these vehicles, as (id, why), that would not be let into their tenant now."""
    known = _rows(db, sorted({proof.vehicle for _, proof in came_in}))
    stopped = suspended_among(db, {Tenant(row["tenant"]) for row in known.values()})
    found: list[tuple[str, Refusal]] = []
    for tenant, proof in came_in:
        row = known.get(proof.vehicle)
        there = row is not None and row["tenant"] == tenant
        why = refusal(row, proof, stopped) if row is not None and there else "unknown"
        if why is not None:
            found.append((proof.vehicle, why))
    return found


def changed_after(db: Connection, mark: int) -> tuple[int, list[str]]:
    """(newest mark, vehicles whose registration or credentials were changed after `mark`)."""
    return subjects_after(db, mark, _CHANGES)


def _rows(db: Connection, wanted: Sequence[str]) -> dict[str, Mapping[str, Any]]:
    columns = [column for column in credentials.c if column.name != "vehicle"]
    query = select(vehicles, *columns).outerjoin(credentials)
    found: dict[str, Mapping[str, Any]] = {}
    for start in range(0, len(wanted), _CHUNK):
        chunk = query.where(vehicles.c.id.in_(wanted[start : start + _CHUNK]))
        found.update((row["id"], dict(row)) for row in db.execute(chunk).mappings())
    return found
