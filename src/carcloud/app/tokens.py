"""The key for commands of this machine's owner, left in the run folder."""

import contextlib

from carcloud.model.actions import ADMINISTRATOR, OWNER
from carcloud.model.ids import DEFAULT_TENANT
from carcloud.services.tenancy.api import EVERYTHING, INSTALLATION, SYSTEM, Exists, Tenancy

_USER = "local"
_NAME = "local commands"


def local_key(tenancy: Tenancy, place: str = "this machine") -> str:
    """A new key of the service account `local@default`, which may everything; those of earlier
    starts at `place` end."""
    tenancy.tenants.ensure(DEFAULT_TENANT)
    user, name = f"{_USER}@{DEFAULT_TENANT}", f"{_NAME} at {place}"
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
