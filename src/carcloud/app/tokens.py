"""The key for commands of this machine's owner, left in the run folder."""

import contextlib
import hashlib

from carcloud.model.actions import ADMINISTRATOR, OWNER
from carcloud.model.ids import DEFAULT_TENANT
from carcloud.services.tenancy.api import (
    EVERYTHING,
    INSTALLATION,
    LONGEST_NAME,
    SYSTEM,
    Exists,
    Tenancy,
)

_USER = "local"
_NAME = "local commands"


def local_key(tenancy: Tenancy, place: str = "this machine") -> str:
    """A new key of the service account `local@default`, which may everything; those of earlier
    starts at `place` end."""
    tenancy.tenants.ensure(DEFAULT_TENANT)
    user, name = f"{_USER}@{DEFAULT_TENANT}", _key_name(place)
    try:
        tenancy.people.create_service(
            DEFAULT_TENANT, _USER, OWNER, note="Commands on this machine", by=SYSTEM
        )
    except Exists:
        for key in tenancy.keys.all(DEFAULT_TENANT, user):
            if key.name == name:
                tenancy.keys.revoke(DEFAULT_TENANT, key.id, by=SYSTEM)
    with contextlib.suppress(Exists):
        tenancy.grants.grant(INSTALLATION, user, ADMINISTRATOR, EVERYTHING, by=SYSTEM)
    return tenancy.keys.create(DEFAULT_TENANT, user, name, by=SYSTEM).secret


def _key_name(place: str) -> str:
    """What fits a key's name, and differs with the place: paths may be long, and hold anything."""
    name = f"{_NAME} at {place}"
    if len(name) <= LONGEST_NAME and name.isprintable():
        return name
    return f"{_NAME} at {hashlib.sha256(place.encode(errors='surrogateescape')).hexdigest()[:32]}"
