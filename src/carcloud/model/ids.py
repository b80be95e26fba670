"""Identifiers and the one place that says what a valid one looks like."""

import re
from typing import NewType

Tenant = NewType("Tenant", str)
"""A tenant's slug: lower-case letters, digits and hyphens, 1 to 40 characters."""

VehicleId = NewType("VehicleId", str)
"""What a vehicle is called inside one tenant: its VIN, or the unique code its protocol uses."""

DEFAULT_TENANT = Tenant("default")

_TENANT = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,38}[a-z0-9])?")
_VEHICLE = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,39}")
_VIN = re.compile(r"[A-HJ-NPR-Z0-9]{17}")


class InvalidId(ValueError):
    """The caller named something that cannot exist; `field` says which argument."""

    def __init__(self, field: str, value: str, rule: str) -> None:
        super().__init__(f"{field} {value!r} is not valid: {rule}")
        self.field = field


def tenant(value: str) -> Tenant:
    """Return `value` as a tenant slug, or raise `InvalidId`."""
    if not _TENANT.fullmatch(value):
        raise InvalidId("tenant", value, "lower-case letters, digits and hyphens, 1 to 40")
    return Tenant(value)


def vehicle(value: str) -> VehicleId:
    """Return `value` as a vehicle id, or raise `InvalidId`."""
    if not _VEHICLE.fullmatch(value):
        raise InvalidId("vehicle", value, "letters, digits, '_', '.' and '-', 1 to 40")
    return VehicleId(value)


def is_vin(value: str) -> bool:
    """True for 17 characters of the VIN alphabet (ISO 3779: no I, O or Q)."""
    return _VIN.fullmatch(value) is not None
