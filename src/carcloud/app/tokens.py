"""The key for commands of this machine's owner, left in the run folder."""

import asyncio
import contextlib
import hashlib
import logging
from collections.abc import Callable

from carcloud.model.actions import ADMINISTRATOR, OWNER
from carcloud.model.ids import DEFAULT_TENANT
from carcloud.model.time import DAY, now_us
from carcloud.ports.errors import EngineError
from carcloud.services.tenancy.api import (
    EVERYTHING,
    INSTALLATION,
    LONGEST_NAME,
    SYSTEM,
    ApiKey,
    Exists,
    NotSignedIn,
    Tenancy,
    Unknown,
)

log = logging.getLogger(__name__)

_USER = "local"
_NAME = "local commands"


_SIGN_S = 3600.0  # between two signs of life that a process gives by its key
_GONE_US = DAY  # without one: the machine is gone, as pods that are replaced


def local_key(
    tenancy: Tenancy, place: str = "this machine", now: Callable[[], int] = now_us
) -> str:
    """A new key of the service account `local@default`, which may everything; those of earlier
    starts at `place` end, and those of machines that have given no sign of life for a day."""
    tenancy.tenants.ensure(DEFAULT_TENANT)
    user, name = f"{_USER}@{DEFAULT_TENANT}", _key_name(place)
    try:
        tenancy.people.create_service(
            DEFAULT_TENANT, _USER, OWNER, note="Commands on this machine", by=SYSTEM
        )
    except Exists:
        for key in tenancy.keys.all(DEFAULT_TENANT, user):
            if key.name == name or _is_gone(key, now()):
                with contextlib.suppress(Unknown):  # another process was faster
                    tenancy.keys.revoke(DEFAULT_TENANT, key.id, by=SYSTEM)
    with contextlib.suppress(Exists):
        tenancy.grants.grant(INSTALLATION, user, ADMINISTRATOR, EVERYTHING, by=SYSTEM)
    return tenancy.keys.create(DEFAULT_TENANT, user, name, by=SYSTEM).secret


async def give_signs(tenancy: Tenancy, token: str) -> None:
    """Use the key now and then, so that it does not look like one of a machine that is gone."""
    while True:
        await asyncio.sleep(_SIGN_S)
        try:
            await asyncio.to_thread(tenancy.keys.identify, token)
        except (NotSignedIn, EngineError) as error:
            log.warning("the key of local commands: %s", error)


def end_key(tenancy: Tenancy, token: str) -> None:
    """Take the key back, as its process ends for good. Without records it ends by itself later."""
    try:
        key = tenancy.keys.identify(token).key
        if key is not None:
            tenancy.keys.revoke(DEFAULT_TENANT, key, by=SYSTEM)
    except (NotSignedIn, Unknown, EngineError) as error:
        log.info("the key of local commands was not taken back: %s", error)


def _is_gone(key: ApiKey, now: int) -> bool:
    """Whether a key that a process made has not been used for too long; people's stay."""
    made_here = key.by == SYSTEM.user and key.name.startswith(f"{_NAME} at ")
    return made_here and (key.used or key.created) < now - _GONE_US


def _key_name(place: str) -> str:
    """What fits a key's name, and differs with the place: paths may be long, and hold anything."""
    name = f"{_NAME} at {place}"
    if len(name) <= LONGEST_NAME and name.isprintable():
        return name
    return f"{_NAME} at {hashlib.sha256(place.encode(errors='surrogateescape')).hexdigest()[:32]}"
