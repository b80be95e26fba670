"""Methods of vehicles, their models and what they sent."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import msgspec
from msgspec import UNSET, UnsetType

from carcloud.client.arrow import SeriesSet, Trail, signals_table, trail_table
from carcloud.client.exchange import Call, Listing, Moment, get, nothing, send, shaped, whole
from carcloud.client.methods import AsyncGroup, Group, call, many
from carcloud.client.types import (
    Alarm,
    Frame,
    ImportResult,
    Job,
    Lifecycle,
    Model,
    Order,
    Page,
    Twin,
    Vehicle,
    VehicleSummary,
    VehicleToken,
)

_ONE = "/v1/vehicles/{vehicle}"


class NewVehicle(msgspec.Struct, frozen=True, omit_defaults=True):
    """The body of a registration."""

    id: str
    vin: str | None = None
    model: str | None = None
    labels: Mapping[str, str] = {}
    lifecycle: Lifecycle = "registered"
    protocol: str | None = None


class CredentialsChange(msgspec.Struct, frozen=True):
    """Unset stays, None removes; `public_key` in base64. Needs `vehicles:credentials`."""

    iccid: str | UnsetType | None = UNSET
    public_key: str | UnsetType | None = UNSET
    algorithm: str | UnsetType | None = UNSET
    tls_fingerprint: str | UnsetType | None = UNSET


class VehicleChange(msgspec.Struct, frozen=True):
    """A merge patch (RFC 7396)."""

    vin: str | UnsetType | None = UNSET
    model: str | UnsetType | None = UNSET
    labels: Mapping[str, str | None] | UnsetType = UNSET
    lifecycle: Lifecycle | UnsetType = UNSET
    protocol: str | UnsetType | None = UNSET
    credentials: CredentialsChange | UnsetType = UNSET


class NewModel(msgspec.Struct, frozen=True):
    """The body of a new model."""

    id: str
    name: str
    maker: str
    protocol: str
    datum: str
    current_sign: str


class ModelChange(msgspec.Struct, frozen=True):
    """A merge patch (RFC 7396)."""

    name: str | UnsetType = UNSET
    maker: str | UnsetType = UNSET
    protocol: str | UnsetType = UNSET
    datum: str | UnsetType = UNSET
    current_sign: str | UnsetType = UNSET


class CanLogs(msgspec.Struct, frozen=True, omit_defaults=True):
    """The body of an import of CAN logs."""

    bucket: str
    logs: tuple[str, ...]
    mapping: str | None = None
    dbc: tuple[str, ...] = ()
    zone: str | None = None
    transports: tuple[str, ...] | None = None


class Span(msgspec.Struct, frozen=True, rename={"start": "from", "end": "to"}):
    """A time from `start` on, before `end`."""

    start: Moment
    end: Moment


class _Vehicles:
    @many
    def list(
        self,
        *,
        q: str | None = None,
        model: str | None = None,
        label: str | None = None,
        lifecycle: Lifecycle | None = None,
        online: bool | None = None,
        alarm_min: int | None = None,
        sort: Order | None = None,
        limit: int | None = None,
    ) -> Listing[VehicleSummary]:
        """Vehicles, page after page.

        `q` is part of an id, model or label; `label` is `key` or `key:value`; `limit` None = all.
        """
        asked = get(
            "/v1/vehicles", Page[VehicleSummary], q=q, model=model, label=label,
            lifecycle=lifecycle, online=online, alarm_min=alarm_min, sort=sort,
        )  # fmt: skip
        return Listing(asked, limit)

    @call
    def get(self, vehicle: str) -> Call[Vehicle]:
        """One vehicle, with its ETag. Raises `NotFound`."""
        return get(_ONE, Vehicle, place={"vehicle": vehicle})

    @call
    def create(
        self,
        id: str,
        *,
        vin: str | None = None,
        model: str | None = None,
        labels: Mapping[str, str] | None = None,
        lifecycle: Lifecycle = "registered",
        protocol: str | None = None,
    ) -> Call[Vehicle]:
        """Register a vehicle by its VIN or other unique id. Raises `Conflict`, `Invalid`."""
        body = NewVehicle(id, vin, model, labels or {}, lifecycle, protocol)
        return send("POST", "/v1/vehicles", Vehicle, body=body)

    @call
    def change(
        self,
        vehicle: str,
        etag: str,
        *,
        vin: str | UnsetType | None = UNSET,
        model: str | UnsetType | None = UNSET,
        labels: Mapping[str, str | None] | UnsetType = UNSET,
        lifecycle: Lifecycle | UnsetType = UNSET,
        protocol: str | UnsetType | None = UNSET,
        credentials: CredentialsChange | UnsetType = UNSET,
    ) -> Call[Vehicle]:
        """Change what is given; None removes, as does a label's value None.

        `etag` is that of the vehicle as it was seen, or `*`. Raises `Changed` if it has changed.
        """
        body = VehicleChange(vin, model, labels, lifecycle, protocol, credentials)
        return send("PATCH", _ONE, Vehicle, place={"vehicle": vehicle}, body=body, etag=etag)

    @call
    def retire(self, vehicle: str, etag: str | None = None) -> Call[Vehicle]:
        """Take a vehicle out of service; its history stays."""
        return send("DELETE", _ONE, Vehicle, place={"vehicle": vehicle}, etag=etag)

    @call
    def make_token(self, vehicle: str) -> Call[VehicleToken]:
        """A token for MQTT in place of the one that the vehicle has; it is told this once."""
        return send("POST", f"{_ONE}/token", VehicleToken, place={"vehicle": vehicle})

    @call
    def revoke_token(self, vehicle: str) -> Call[None]:
        """Take the vehicle's token away. Raises `NotFound` if it has none."""
        return nothing("DELETE", f"{_ONE}/token", place={"vehicle": vehicle})

    @call
    def import_csv(self, text: str | bytes) -> Call[ImportResult]:
        """Add or update the vehicles of a CSV text.

        Columns id, vin, model, protocol, iccid, label:KEY; lines with errors are left out and told.
        """
        body = text.encode() if isinstance(text, str) else text
        asked = send("POST", "/v1/vehicles/import", ImportResult, body=body)
        return replace(asked, headers={"content-type": "text/csv"})

    @call
    def import_can_logs(
        self,
        vehicle: str,
        bucket: str,
        logs: Sequence[str],
        *,
        mapping: str | None = None,
        dbc: Sequence[str] = (),
        zone: str | None = None,
        transports: Sequence[str] | None = None,
    ) -> Call[Job]:
        """Have CAN logs in a bucket imported into the vehicle's history.

        `mapping` and `dbc` are objects of the bucket too; without them the mapping of the vehicle's
        model holds. `jobs.wait` waits for the job, whose result says what was imported.
        """
        layers = None if transports is None else tuple(transports)
        body = CanLogs(bucket, tuple(logs), mapping, tuple(dbc), zone, layers)
        return send("POST", f"{_ONE}/can-logs", Job, place={"vehicle": vehicle}, body=body)

    @call
    def twin(self, vehicle: str) -> Call[Twin]:
        """The latest value and time of every signal that the vehicle ever sent."""
        return get(f"{_ONE}/twin", Twin, place={"vehicle": vehicle})

    @many
    def frames(
        self, vehicle: str, *, before: Moment | None = None, limit: int | None = 50
    ) -> Listing[Frame]:
        """Frames as they came, newest first; only earlier than `before`; `limit` None = all."""
        asked = get(f"{_ONE}/frames", Page[Frame], place={"vehicle": vehicle}, before=before)
        return Listing(asked, limit)

    @call
    def signals(
        self,
        vehicle: str,
        paths: Sequence[str],
        *,
        start: Moment | None = None,
        end: Moment | None = None,
        points: int | None = None,
    ) -> Call[Any]:
        """Signals over time as an Arrow table: signal, time, min, max, mean, unit.

        One row for each of up to `points` equal stretches of time that holds a value, of up to 32
        signals. Defaults to the last hour. `start` is inclusive, `end` is not.
        """
        asked = get(
            f"{_ONE}/signals", SeriesSet, place={"vehicle": vehicle},
            paths=paths if isinstance(paths, str) else ",".join(paths), points=points,
            **{"from": start, "to": end},
        )  # fmt: skip
        return shaped(asked, signals_table)

    @call
    def trail(
        self,
        vehicle: str,
        *,
        start: Moment | None = None,
        end: Moment | None = None,
        points: int | None = None,
    ) -> Call[Any]:
        """Positions as an Arrow table: time, lon, lat (WGS-84 degrees), speed_kmh."""
        asked = get(
            f"{_ONE}/trail", Trail, place={"vehicle": vehicle}, points=points,
            **{"from": start, "to": end},
        )  # fmt: skip
        return shaped(asked, trail_table)

    @call
    def alarms(
        self, vehicle: str, *, start: Moment | None = None, end: Moment | None = None
    ) -> Call[tuple[Alarm, ...]]:
        """Alarms that were on at some time in the stretch, which defaults to the last day."""
        span: dict[str, Any] = {"from": start, "to": end}
        return whole(f"{_ONE}/alarms", Alarm, place={"vehicle": vehicle}, **span)


class _Models:
    @call
    def list(self) -> Call[tuple[Model, ...]]:
        """All models of the tenant."""
        return whole("/v1/models", Model)

    @call
    def get(self, model: str) -> Call[Model]:
        """One model, with its ETag."""
        return get("/v1/models/{model}", Model, place={"model": model})

    @call
    def create(
        self,
        id: str,
        name: str,
        *,
        maker: str = "",
        protocol: str = "gbt32960",
        datum: str = "WGS84",
        current_sign: str = "discharge",
    ) -> Call[Model]:
        """Add a model; `datum` is WGS84 or GCJ02, `current_sign` discharge or charge."""
        body = NewModel(id, name, maker, protocol, datum, current_sign)
        return send("POST", "/v1/models", Model, body=body)

    @call
    def redecode(self, model: str, start: Moment, end: Moment) -> Call[Job]:
        """Have the raw frames of the model's vehicles decoded anew; `jobs.wait` waits for it."""
        body = Span(start, end)
        return send("POST", "/v1/models/{model}/redecode", Job, place={"model": model}, body=body)

    @call
    def change(
        self,
        model: str,
        etag: str,
        *,
        name: str | UnsetType = UNSET,
        maker: str | UnsetType = UNSET,
        protocol: str | UnsetType = UNSET,
        datum: str | UnsetType = UNSET,
        current_sign: str | UnsetType = UNSET,
    ) -> Call[Model]:
        """Change what is given. Raises `Changed` if it has changed since `etag`."""
        body = ModelChange(name, maker, protocol, datum, current_sign)
        place = {"model": model}
        return send("PATCH", "/v1/models/{model}", Model, place=place, body=body, etag=etag)


class VehicleGroup(Group, _Vehicles):
    """`client.vehicles`"""


class AsyncVehicleGroup(AsyncGroup, _Vehicles):
    """`client.vehicles`"""


class ModelGroup(Group, _Models):
    """`client.models`"""


class AsyncModelGroup(AsyncGroup, _Models):
    """`client.models`"""
