"""The way into compliance: forwarding links and the frames that wait for them.

The resend queue of a link is the lake itself: raw frames stay there for `lake.frames_days`, and
a link remembers the stream sequence up to which everything has been dealt with. Frames that were
answered with an error wait in the records for their next turn, so that they hold nobody up.
"""

from collections.abc import Callable, Sequence
from typing import Any

from sqlalchemy import ColumnElement, Connection, delete, func, insert, select, update

from carcloud.model.ids import Tenant
from carcloud.model.time import DAY, now_us
from carcloud.ports.errors import Conflict
from carcloud.ports.lake import Lake, Slice
from carcloud.ports.records import Records
from carcloud.services.compliance.accounts import PlatformAccounts
from carcloud.services.compliance.backlog import Backlog, frames_of
from carcloud.services.compliance.checks import ACCOUNT_ID, NAME, check
from carcloud.services.compliance.errors import (
    InvalidLink,
    LinkChanged,
    LinkExists,
    PlatformTaken,
    UnknownLink,
    UnknownPlatform,
)
from carcloud.services.compliance.store import links, metadata, retries
from carcloud.services.compliance.types import (
    Batch,
    LinkChange,
    LinkFacts,
    LinkSpec,
    LinkState,
    Outgoing,
    Password,
    PlatformAccount,
    Progress,
    User,
    Wait,
    Warn,
)
from carcloud.services.tenancy.api import AuditEntry, NoSecret, Seal, record_changes

__all__ = [
    "ACCOUNT_ID", "NAME", "Batch", "Compliance", "InvalidLink", "LinkChange", "LinkChanged",
    "LinkExists", "LinkFacts", "LinkSpec", "LinkState", "Outgoing", "Password", "PlatformAccount",
    "PlatformAccounts", "PlatformTaken", "Progress", "UnknownLink", "UnknownPlatform", "User",
    "Wait", "Warn", "fresh_enough",
    "metadata",
]  # fmt: skip

REISSUE_DAYS = 7  # S16 5.2.6: a platform sends again what it could not for so long
MOST_RETRIES = 2_000  # frames of one link to be sent again; above, fresh ones wait
_STATE = [column for column in links.c if column.name in LinkState.__struct_fields__]
_NO_PASSWORD = "the password cannot be read any more: set it again"  # noqa: S105 - a message


class Compliance:
    """Links of all tenants; made once a process. Calls block; use a thread.

    `secret` (32 bytes) seals passwords, `frames_days` is how long raw frames are kept (None = for
    ever), `now` a clock in us since 1970.
    """

    def __init__(
        self,
        records: Records,
        lake: Lake,
        *,
        secret: bytes | None = None,
        frames_days: int | None = None,
        now: Callable[[], int] = now_us,
    ) -> None:
        self._records = records
        self._lake = lake
        self._seal = Seal(secret)
        self._frames_days = frames_days
        self._now = now
        self._backlogs: dict[tuple[Tenant, str], Backlog] = {}
        records.create(metadata)

    # what people do

    def add(self, tenant: Tenant, spec: LinkSpec, *, actor: str) -> LinkState:
        """Make a link that forwards what comes from now on; raises `LinkExists`, `InvalidLink`."""
        fields = {name: getattr(spec, name) for name in spec.__struct_fields__}
        check(fields)
        fields["password"] = self._sealed(tenant, spec.name, spec.password)
        start = self._lake.position(frames_of(tenant), "ingest")
        fields |= {"tenant": tenant, "forwarded_seq": start, "created_us": self._now()}
        try:
            with self._records.transaction() as db:
                db.execute(insert(links).values(**fields))
                made = _state(db, tenant, spec.name)
                _record(db, made, actor, "forwarding.add", None, _told(made))
        except Conflict:
            raise LinkExists(f"there is a forwarding link {spec.name!r}") from None
        return made

    def change(
        self,
        tenant: Tenant,
        name: str,
        change: LinkChange,
        *,
        actor: str,
        if_revision: int | None = None,
    ) -> LinkState:
        """Change what is set; raises `UnknownLink`, `LinkChanged`, `InvalidLink`."""
        given = change.given()
        check(given)
        with self._records.transaction() as db:
            old = _state(db, tenant, name)
            if if_revision is not None and old.revision != if_revision:
                raise LinkChanged(f"link {name!r} is at revision {old.revision} now")
            before = _told(old)
            differs = {k: v for k, v in given.items() if k == "password" or before[k] != v}
            if not differs:
                return old
            after = {k: "set" if k == "password" else v for k, v in differs.items()}
            if "password" in differs:
                differs["password"] = self._sealed(tenant, name, str(differs["password"]))
            seen = (*_is(tenant, name), links.c.revision == old.revision)
            values = {**differs, "revision": old.revision + 1}
            if db.execute(update(links).where(*seen).values(**values)).rowcount != 1:
                raise LinkChanged(f"link {name!r} was changed at the same time")
            shown = {key: before[key] for key in differs if key != "password"}
            _record(db, old, actor, "forwarding.change", shown, after)
            return _state(db, tenant, name)

    def remove(self, tenant: Tenant, name: str, *, actor: str) -> None:
        """Forget a link and how far it had come; raises `UnknownLink`."""
        with self._records.transaction() as db:
            old = _state(db, tenant, name)
            db.execute(delete(retries).where(*_of(tenant, name)))
            db.execute(delete(links).where(*_is(tenant, name)))
            _record(db, old, actor, "forwarding.remove", _told(old), None)

    def states(self, tenant: Tenant) -> list[LinkState]:
        """The tenant's links, by name."""
        query = select(*_STATE).where(links.c.tenant == tenant).order_by(links.c.name)
        with self._records.reading() as db:
            return [LinkState(**row._mapping) for row in db.execute(query)]

    def state(self, tenant: Tenant, name: str) -> LinkState:
        """One link; raises `UnknownLink`."""
        with self._records.reading() as db:
            return _state(db, tenant, name)

    def wait(self, state: LinkState) -> Wait:
        """What a link has before it, counted now."""
        query = select(func.count()).select_from(retries).where(*_of(state.tenant, state.name))
        with self._records.reading() as db:
            again = db.execute(query).scalar_one()
        table, done = frames_of(state.tenant), state.forwarded_seq
        fresh = self._lake.count(table, Slice(after_seq=done))
        if fresh == 0:
            return Wait(frames=again, again=again)
        first = Slice(columns=("received", "seq"), after_seq=done, by_seq=True, limit=1)
        found = self._lake.read(table, first)["received"].cast("int64").to_pylist()
        oldest = found[0] if found else None
        warning = self._warning(oldest)
        return Wait(frames=fresh + again, again=again, oldest_us=oldest, warning=warning)

    def warnings(self) -> list[str]:
        """What is wrong with the links of all tenants, for the operator; empty = nothing."""
        with self._records.reading() as db:
            states = [LinkState(**row._mapping) for row in db.execute(select(*_STATE))]
        found = []
        for state in states:
            if self.wait(state).warning is not None:
                where = f"{state.tenant}/{state.name}"
                found.append(f"{where} is so far behind that reports are lost, or about to be")
        return found

    def _warning(self, oldest_us: int | None) -> Warn | None:
        if oldest_us is None:
            return None
        age = self._now() - oldest_us
        # Raw frames go by whole days, so the last day is the time to warn.
        if self._frames_days is not None and age > (self._frames_days - 1) * DAY:
            return "retention"
        return "reissue-window" if age > (REISSUE_DAYS - 1) * DAY else None

    # what the links do

    def enabled(self) -> list[tuple[Tenant, LinkSpec]]:
        """All links that are to forward, of all tenants, with their passwords."""
        with self._records.reading() as db:
            rows = db.execute(select(links).where(links.c.enabled)).mappings().all()
        found = []
        for row in rows:
            password = self._seal.open(_owner(row["tenant"], row["name"]), row["password"])
            if password is not None:
                fields = {name: row[name] for name in LinkSpec.__struct_fields__}
                spec = LinkSpec(**{**fields, "password": password.decode()})
                found.append((Tenant(row["tenant"]), spec))
            elif row["problem"] != _NO_PASSWORD:
                self.tell(row["tenant"], row["name"], connected=False, problem=_NO_PASSWORD)
        return found

    def _sealed(self, tenant: Tenant, name: str, password: str) -> bytes:
        try:
            return self._seal.close(_owner(tenant, name), password.encode())
        except NoSecret as error:
            raise InvalidLink("password", str(error)) from error

    def disconnect_all(self) -> None:
        """No link is connected: the process that forwards has just begun."""
        with self._records.transaction() as db:
            db.execute(update(links).values(connected=False))

    def next(self, tenant: Tenant, name: str, limit: int = 2048) -> Batch | None:
        """What to send now; None when nothing waits. Raises `UnknownLink`.

        Frames to be sent again come first. If there are very many of these, nothing else comes.
        """
        with self._records.reading() as db:
            done = _state(db, tenant, name).forwarded_seq
            due = _due(db, tenant, name, self._now(), limit)
            pending = select(func.count()).select_from(retries).where(*_of(tenant, name))
            full = db.execute(pending).scalar_one() >= MOST_RETRIES
        fresh = None if full else self._backlog(tenant, name).after(done, limit)
        if fresh is None:
            return Batch(done, due) if due else None
        return Batch(fresh.seq, [*due, *fresh.frames])

    def advance(self, tenant: Tenant, name: str, batch: Batch, progress: Progress) -> None:
        """Record that a batch from `next` has been dealt with, in one transaction."""
        values = {
            "forwarded_seq": batch.seq,
            "forwarded": links.c.forwarded + progress.forwarded,
            "refused": links.c.refused + progress.refused,
            "expired": links.c.expired + progress.expired,
            "updated_us": self._now(),
        }
        settled = [frame.retry for frame in batch.frames if frame.retry]
        with self._records.transaction() as db:
            if db.execute(update(links).where(*_is(tenant, name)).values(**values)).rowcount == 0:
                return  # removed meanwhile
            if settled:
                db.execute(delete(retries).where(retries.c.id.in_(settled)))
            _keep_for_later(db, tenant, name, progress)

    def tell(self, tenant: Tenant, name: str, *, connected: bool, problem: str | None) -> None:
        """Note for people how the link is doing."""
        values = {"connected": connected, "problem": (problem or "")[:500] or None}
        with self._records.transaction() as db:
            db.execute(update(links).where(*_is(tenant, name)).values(**values))

    def forget(self, tenant: Tenant, name: str) -> None:
        """The link has stopped: what was read ahead for it is not needed."""
        self._backlogs.pop((tenant, name), None)

    def _backlog(self, tenant: Tenant, name: str) -> Backlog:
        return self._backlogs.setdefault((tenant, name), Backlog(self._lake, tenant))


def fresh_enough(frame: Outgoing, now: int) -> bool:
    """Whether a frame is still inside the reissue window."""
    return frame.time_us >= now - REISSUE_DAYS * DAY


def _is(tenant: Tenant, name: str) -> tuple[ColumnElement[bool], ColumnElement[bool]]:
    return (links.c.tenant == tenant, links.c.name == name)


def _of(tenant: Tenant, name: str) -> tuple[ColumnElement[bool], ColumnElement[bool]]:
    return (retries.c.tenant == tenant, retries.c.link == name)


def _state(db: Connection, tenant: Tenant, name: str) -> LinkState:
    row = db.execute(select(*_STATE).where(*_is(tenant, name))).first()
    if row is None:
        raise UnknownLink(f"there is no forwarding link {name!r}")
    return LinkState(**row._mapping)


def _told(state: LinkState) -> dict[str, object]:
    """A link as the audit keeps it."""
    shown = ("host", "port", "platform_id", "user", "edition", "tls", "enabled")
    return {name: getattr(state, name) for name in shown}


def _record(
    db: Connection,
    link: LinkState,
    actor: str,
    action: str,
    before: dict[str, object] | None,
    after: dict[str, object] | None,
) -> None:
    record_changes(db, [AuditEntry(link.tenant, actor, action, link.name, before, after)])


def _due(db: Connection, tenant: Tenant, name: str, now: int, limit: int) -> Sequence[Outgoing]:
    ready = (*_of(tenant, name), retries.c.due_us <= now)
    query = select(retries).where(*ready).order_by(retries.c.due_us, retries.c.id).limit(limit)
    return [_outgoing(row) for row in db.execute(query).mappings()]


def _outgoing(row: Any) -> Outgoing:
    return Outgoing(
        row["seq"], row["vehicle"], row["time_us"], row["kind"], row["frame"],
        tries=row["tries"], retry=row["id"],
    )  # fmt: skip


def _keep_for_later(db: Connection, tenant: Tenant, name: str, progress: Progress) -> None:
    rows = [
        {
            "tenant": tenant,
            "link": name,
            "due_us": progress.again_at_us,
            "tries": frame.tries,
            "seq": frame.seq,
            "vehicle": frame.vehicle,
            "time_us": frame.time_us,
            "kind": frame.kind,
            "frame": frame.raw,
        }
        for frame in progress.again
    ]
    if rows:
        db.execute(insert(retries), rows)


def _owner(tenant: str, link: str) -> str:
    return f"platform-link/{tenant}/{link}"
