"""What crosses the wall of the registry. Times are us since 1970, UTC."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Literal

import msgspec
from msgspec import UNSET, UnsetType

from carcloud.model.ids import Tenant, VehicleId
from carcloud.services.tenancy.api import Scope


class Lifecycle(StrEnum):
    """Where a vehicle stands; only registered and active ones are admitted by a gateway."""

    REGISTERED = "registered"  # known, has not connected yet
    ACTIVE = "active"  # has connected
    SUSPENDED = "suspended"  # kept out for now
    RETIRED = "retired"  # kept out for good; its history stays


class Datum(StrEnum):
    """Which coordinates a model reports."""

    WGS84 = "WGS84"
    GCJ02 = "GCJ02"  # the shifted coordinates of maps in China


class CurrentSign(StrEnum):
    """Which direction of battery current a model reports as positive."""

    DISCHARGE = "discharge"
    CHARGE = "charge"


@dataclass(frozen=True, slots=True)
class Vehicle:
    """A vehicle of the registry. `revision` grows with each change, for ETags."""

    tenant: Tenant
    id: VehicleId
    vin: str | None
    model: str | None
    labels: Mapping[str, str]
    lifecycle: Lifecycle
    protocol: str | None
    created: int
    updated: int
    revision: int


class NewVehicle(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A vehicle to register. An id that is a VIN is taken as the VIN too."""

    id: str
    vin: str | None = None
    model: str | None = None
    labels: dict[str, str] = {}
    lifecycle: Lifecycle = Lifecycle.REGISTERED
    protocol: str | None = None


class VehicleChange(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A merge patch (RFC 7396): unset stays; a label with value None is removed."""

    vin: str | UnsetType | None = UNSET
    model: str | UnsetType | None = UNSET
    labels: dict[str, str | None] | UnsetType = UNSET
    lifecycle: Lifecycle | UnsetType = UNSET
    protocol: str | UnsetType | None = UNSET


@dataclass(frozen=True, slots=True)
class Reachable:
    """A vehicle to which documents can be brought, and what decides which."""

    id: VehicleId
    model: str | None
    labels: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Filter:
    """Which vehicles; all that is given must hold."""

    q: str = ""  # part of the id, VIN, model or a label's value, in any case
    model: str | None = None
    label: str | None = None  # `key` or `key:value`
    lifecycle: Lifecycle | None = None
    protocol: str | None = None
    within: tuple[Scope, ...] | None = None  # only what lies in one of them; None = no bounds


Sort = Literal["id", "updated"]  # `updated`: newest first


@dataclass(frozen=True, slots=True)
class VehiclePage:
    """One page and the cursor of the next; `total` counts all that match, if asked for."""

    items: Sequence[Vehicle]
    next_cursor: str | None
    total: int | None = None


@dataclass(frozen=True, slots=True)
class Credentials:
    """What proves that a vehicle is itself. The cipher key is sealed and never told here."""

    iccid: str | None = None  # only this SIM may log in, if set
    public_key: bytes | None = None  # as the activation sent it
    algorithm: str | None = None  # of the public key: SM2, RSA, ECC
    tls_fingerprint: str | None = None  # sha256 of the client certificate, hexadecimal
    has_cipher_key: bool = False
    cipher: str | None = None  # of the data-unit key: AES, SM4
    chip_id: str | None = None  # of the security chip that was activated
    token_made: int | None = None  # when the vehicle's token was made; None = it has none


@dataclass(frozen=True, slots=True)
class CredentialsChange:
    """Unset stays; None removes. `cipher_key` is sealed before it is kept."""

    iccid: str | UnsetType | None = UNSET
    public_key: bytes | UnsetType | None = UNSET
    algorithm: str | UnsetType | None = UNSET
    tls_fingerprint: str | UnsetType | None = UNSET
    cipher_key: bytes | UnsetType | None = field(default=UNSET, repr=False)
    cipher: str | UnsetType | None = UNSET
    chip_id: str | UnsetType | None = UNSET  # only this security chip may be activated, if set


@dataclass(frozen=True, slots=True)
class Login:
    """A vehicle that wants in, as the gateway saw it."""

    vehicle: str
    protocol: str
    address: str
    iccid: str | None = None
    edition: str | None = None  # of the protocol, e.g. "2025"; None: as it was the last time
    time: int = 0  # 0 = now
    token: str | None = field(default=None, repr=False)  # as the vehicle sent it
    certificate: str | None = None  # sha256 of the client certificate that TLS has checked, hex
    proven: bool = False  # it has shown what it was given when its terminal registered


@dataclass(frozen=True, slots=True)
class Proof:
    """By what a vehicle came in: kept with its connection, see `Vehicles.outdated`."""

    vehicle: str
    protocol: str
    iccid: str | None = None
    token_sha256: bytes | None = field(default=None, repr=False)
    certificate: str | None = None  # as of `Login`
    proven: bool = False


@dataclass(frozen=True, slots=True)
class VehicleToken:
    """A token just made; only its hash is kept."""

    vehicle: VehicleId
    token: str = field(repr=False)
    made: int


@dataclass(frozen=True, slots=True)
class DataKey:
    """A key for data units, with the times between which it holds."""

    cipher: str  # AES, SM4, RSA, SM2
    key: bytes = field(repr=False)
    valid_from: int
    valid_until: int


@dataclass(frozen=True, slots=True)
class VehicleKeys:
    """What is needed to open and to check a vehicle's reports; data-unit keys newest first."""

    public_key: bytes | None = None
    algorithm: str | None = None
    data_keys: tuple[DataKey, ...] = ()


@dataclass(frozen=True, slots=True)
class Activation:
    """A security chip that presents itself for a vehicle; its signature has been checked."""

    vehicle: str
    chip_id: str
    public_key: bytes
    algorithm: str  # SM2, RSA, ECC
    protocol: str
    tls_fingerprint: str | None = None  # of the connection


ActivationRefusal = Literal[
    "invalid", "unknown", "suspended", "retired",
    "quota",  # it would be registered now, but the tenant may have no more
    "tls",  # the connection's certificate is not the one on record
    "chip",  # the chip has been activated already, with another key or for another vehicle
    "vin",  # another chip or key is on record for the vehicle
]  # fmt: skip


@dataclass(frozen=True, slots=True)
class Activated:
    """The answer to an activation; `tenant` is told where the vehicle is known."""

    vehicle: str
    refusal: ActivationRefusal | None
    tenant: Tenant | None = None


@dataclass(frozen=True, slots=True)
class Reporting:
    """How the reports of a vehicle are to be understood, by its model."""

    datum: Datum
    current_sign: CurrentSign


Refusal = Literal[
    "invalid", "unknown", "suspended", "retired", "iccid", "quota",
    "credentials",  # neither the token nor the certificate on record
]  # fmt: skip


@dataclass(frozen=True, slots=True)
class Admission:
    """The answer to a login. `refusal` None = come in; then `tenant` and the keys are told."""

    vehicle: VehicleId
    refusal: Refusal | None
    tenant: Tenant | None = None
    model: str | None = None
    registered_now: bool = False
    public_key: bytes | None = None
    algorithm: str | None = None
    tls_fingerprint: str | None = None
    cipher_key: bytes | None = field(default=None, repr=False)
    cipher: str | None = None
    data_keys: tuple[DataKey, ...] = ()  # `cipher_key` is the last of them
    edition: str | None = None  # of the protocol, as the login told it or the last one did
    proof: Proof | None = None  # of who is let in
    time: int = 0  # of this login, us since 1970, as it is kept
    before: int | None = None  # of the vehicle's last login before, at whichever gateway


@dataclass(frozen=True, slots=True)
class Carried:
    """A vehicle whose frames a lower platform brings into a tenant."""

    tenant: Tenant
    platform: str  # unique id under which the platform logged in
    vehicle: str
    protocol: str


CarriedRefusal = Literal["invalid", "suspended", "retired", "tenant", "quota"]


class VehicleModel(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A type of vehicle, and how its reports are to be understood."""

    id: str
    name: str
    maker: str = ""
    protocol: str = "gbt32960"
    datum: Datum = Datum.WGS84
    current_sign: CurrentSign = CurrentSign.DISCHARGE
    revision: int = 1


@dataclass(frozen=True, slots=True)
class LineError:
    """What is wrong with one line of an import. Line 1 is the header."""

    line: int
    field: str
    detail: str


@dataclass(frozen=True, slots=True)
class ImportReport:
    """What an import did. Lines with errors were left out, all others were kept."""

    created: int
    updated: int
    errors: Sequence[LineError]
