"""API keys: `cck_<id>_<secret>`. Only hashes are kept; the S3 secret is sealed."""

import logging
import secrets
from dataclasses import replace
from typing import Any

from sqlalchemy import ColumnElement, Connection, delete, func, insert, select, update

from carcloud.model.ids import Tenant
from carcloud.model.time import DAY, SECOND
from carcloud.ports.errors import EngineError
from carcloud.services.tenancy.desk import (
    ID,
    SLUG,
    Desk,
    hashed,
    known_tenant,
    listed,
    new_id,
    note,
    unlisted,
)
from carcloud.services.tenancy.errors import Denied, Invalid, NotSignedIn, Unknown
from carcloud.services.tenancy.grants import check_held, check_known
from carcloud.services.tenancy.identity import identity, narrowed
from carcloud.services.tenancy.store import keys, projects, tenants, users
from carcloud.services.tenancy.text import storable
from carcloud.services.tenancy.types import AccessKey, ApiKey, Identity, NewKey

log = logging.getLogger(__name__)

PREFIX = "cck_"  # how a key begins, so that leaks can be searched for
_USED_US = 60 * SECOND  # the time of last use is kept to the minute
_MOST_DAYS = 3650
MOST_KEYS = 200  # of one user
LONGEST_NAME = 100


class Keys:
    """Makes, checks and revokes keys."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    def all(self, tenant: Tenant, user: str | None = None) -> list[ApiKey]:
        """The keys of a tenant, or of one user in it, newest first."""
        query = select(keys).where(keys.c.tenant == tenant)
        if user is not None:
            query = query.where(keys.c.user == user)
        with self._desk.records.reading() as db:
            rows = db.execute(query.order_by(keys.c.created.desc(), keys.c.id)).mappings()
            return [_key(row) for row in rows]

    def create(
        self,
        tenant: Tenant,
        user: str,
        name: str,
        *,
        by: Identity,
        actions: frozenset[str] | None = None,
        project: str | None = None,
        days: float | None = None,
    ) -> NewKey:
        """A key for oneself, or for a service account of the tenant. It may what its user may, no
        more than `actions`, and only inside `project`; raises `Invalid`, `Unknown`, `Denied`.
        """
        if not 1 <= len(name) <= LONGEST_NAME or not name.isprintable():
            raise Invalid("name", f"1 to {LONGEST_NAME} printable characters")
        if days is not None and not 0 < days <= _MOST_DAYS:
            raise Invalid("days", f"more than 0, at most {_MOST_DAYS}")
        now = self._desk.now()
        ends = None if days is None else now + int(days * DAY)
        if by.key is not None or by.short_lived:  # no way from a bounded key to an unbounded one
            ends = by.expires if ends is None else min(ends, by.expires or ends)
            actions = by.actions if actions is None else actions
            project = by.project if project is None else project
        made = ApiKey(
            id=new_id(),
            name=name,
            tenant=tenant,
            user=user,
            actions=actions,
            project=project,
            by=by.user,
            created=now,
            expires=ends,
        )
        with self._desk.records.transaction() as db:
            known_tenant(db, tenant)
            mine = select(func.count()).where(keys.c.user == user)
            if db.execute(mine).scalar_one() >= MOST_KEYS:
                raise Invalid("user", f"{user!r} has {MOST_KEYS} keys: revoke some first")
            self._check(db, made, by)
            return self._add(db, made)

    def revoke(self, tenant: Tenant, key: str, *, by: Identity) -> None:
        """Take a key back, at once; raises `Unknown`."""
        with self._desk.records.transaction() as db:
            old = self._get(db, tenant, key)
            db.execute(delete(keys).where(keys.c.id == old.id))
            note(db, tenant, by.user, "key.revoke", old.id, {"name": old.name, "user": old.user})

    def get(self, tenant: Tenant, key: str) -> ApiKey:
        """One key; raises `Unknown`."""
        with self._desk.records.reading() as db:
            return self._get(db, tenant, key)

    def identify(self, secret: str) -> Identity:
        """Who holds this key; raises `NotSignedIn`."""
        _, _, rest = secret.partition("_")
        key = rest.partition("_")[0]
        with self._desk.records.reading() as db:
            row = self._good(db, key)
            if row is None or not secrets.compare_digest(row["hash"], hashed(secret)):
                raise NotSignedIn("this key is not known, has ended or was revoked")
            who = _identity(db, row)
        self._note_use(row)
        return who

    def access(self, key: str) -> AccessKey | None:
        """The S3 secret of a key and who it is; None if there is no such key that is good."""
        with self._desk.records.reading() as db:
            row = self._good(db, key)
            if row is None:
                return None
            secret = self._desk.seal.open(_owner(key), row["s3_secret"])
            who = _identity(db, row)
        if secret is None:
            return None
        self._note_use(row)
        return AccessKey(key, secret.decode(), who)

    def _check(self, db: Connection, made: ApiKey, by: Identity) -> None:
        row = None
        if storable(made.user):
            row = db.execute(select(users).where(users.c.name == made.user)).mappings().first()
        mine = row is not None and (row["tenant"] == made.tenant or made.user == by.user)
        if row is None or not mine:
            raise Unknown(f"there is no user {made.user!r}")
        if made.user != by.user and not row["service"]:
            raise Denied("keys:write", "a person makes keys for themselves only")
        if made.project is not None:
            if not SLUG.fullmatch(made.project):
                raise Invalid("project", f"there is no project {made.project!r}")
            known = (projects.c.tenant == made.tenant) & (projects.c.id == made.project)
            if db.execute(select(projects.c.id).where(known)).first() is None:
                raise Invalid("project", f"there is no project {made.project!r}")
        holder = identity(db, made.user, made.tenant, service=row["service"])
        kept = narrowed(holder, made.actions, made.project)
        check_known(made.actions or frozenset())
        may = by.everywhere.union(*(part.actions for part in by.partly))
        if not (made.actions or frozenset()) <= may:
            missing = min((made.actions or frozenset()) - may)
            raise Denied(missing, f"you may not do {missing} yourself")
        check_held(kept.everywhere, by)
        for part in kept.partly:
            check_held(part.actions, by, part.scope)

    def _add(self, db: Connection, made: ApiKey) -> NewKey:
        secret = f"{PREFIX}{made.id}_{secrets.token_urlsafe(32)}"
        s3_secret = secrets.token_urlsafe(30) if self._desk.seal.possible else None
        sealed = None
        if s3_secret is not None:
            sealed = self._desk.seal.close(_owner(made.id), s3_secret.encode())
        db.execute(
            insert(keys).values(
                id=made.id,
                hash=hashed(secret),
                s3_secret=sealed,
                name=made.name,
                tenant=made.tenant,
                user=made.user,
                actions=listed(made.actions),
                project=made.project,
                by=made.by,
                created=made.created,
                expires=made.expires,
            )
        )
        told = {
            "name": made.name,
            "user": made.user,
            "actions": None if made.actions is None else sorted(made.actions),
            "project": made.project,
            "expires": made.expires,
        }
        note(db, made.tenant, made.by, "key.create", made.id, None, told)
        return NewKey(made, secret, s3_secret)

    def _get(self, db: Connection, tenant: Tenant, key: str) -> ApiKey:
        mine = (keys.c.tenant == tenant) & (keys.c.id == key)
        row = db.execute(select(keys).where(mine)).mappings().first() if ID.fullmatch(key) else None
        if row is None:
            raise Unknown(f"there is no key {key!r}")
        return _key(row)

    def _good(self, db: Connection, key: str) -> Any:
        if not ID.fullmatch(key):
            return None
        query = select(keys, users.c.service).join(users, users.c.name == keys.c.user)
        query = query.join(tenants, tenants.c.id == keys.c.tenant)
        good: ColumnElement[bool] = (keys.c.id == key) & users.c.disabled.is_(False)
        row = db.execute(query.where(good, tenants.c.state == "active")).mappings().first()
        if row is None or (row["expires"] is not None and row["expires"] <= self._desk.now()):
            return None
        return row

    def _note_use(self, row: Any) -> None:
        now = self._desk.now()
        if now - (row["used"] or 0) < _USED_US:
            return
        try:
            with self._desk.records.transaction() as db:
                db.execute(update(keys).where(keys.c.id == row["id"]).values(used=now))
        except EngineError as error:  # a full disk must not keep readers out
            log.warning("the use of key %s is not noted: %s", row["id"], error)


def _identity(db: Connection, row: Any) -> Identity:
    who = identity(db, row["user"], Tenant(row["tenant"]), service=row["service"])
    limited = narrowed(who, unlisted(row["actions"]), row["project"])
    return replace(limited, expires=row["expires"], key=row["id"])


def _key(row: Any) -> ApiKey:
    return ApiKey(
        row["id"],
        row["name"],
        Tenant(row["tenant"]),
        row["user"],
        unlisted(row["actions"]),
        row["project"],
        row["by"],
        row["created"],
        row["expires"],
        row["used"],
    )


def _owner(key: str) -> str:
    return f"s3-secret/{key}"
