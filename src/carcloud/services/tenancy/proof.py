"""That it is the person and not only their browser, before they change how they sign in."""

from sqlalchemy import select

from carcloud.services.tenancy import audit, throttle
from carcloud.services.tenancy.desk import Desk
from carcloud.services.tenancy.errors import Denied, Invalid
from carcloud.services.tenancy.store import users
from carcloud.services.tenancy.types import AuditEntry, Identity


def only_person(who: Identity) -> None:
    """Raises `Denied` for keys, tokens and programs."""
    if who.session is None or who.short_lived or who.service:
        raise Denied("anyone", "only a person who signed in may do this, no key and no token")


def check_password(
    desk: Desk, who: Identity, password: str, *, address: str, field: str, action: str
) -> None:
    """One's own password once more, counted as at signing in; a wrong one is in the audit as a
    refused `action`. Raises `Denied` as `only_person`, `Invalid` of `field`, `Throttled`."""
    only_person(who)
    with desk.records.transaction() as db:
        throttle.count_attempt(db, who.user, address, desk.now())
        kept = db.execute(select(users.c.password).where(users.c.name == who.user)).scalar()
    if not desk.passwords.matches(kept, password):
        note_refused(desk, who, action)
        raise Invalid(field, "this is not your password")
    with desk.records.transaction() as db:
        throttle.forgive(db, who.user, address)


def note_refused(desk: Desk, who: Identity, action: str) -> None:
    """What somebody tried on their own account is in the audit."""
    with desk.records.transaction() as db:
        audit.append(db, [AuditEntry(who.tenant, who.user, action, who.user, denied=True)])
