"""The way into compliance: forwarding links and the frames that wait for them.

The resend queue of a link is the lake itself: raw frames stay there for `lake.frames_days`, and
a link remembers the stream sequence up to which everything has been answered.
"""

import re

import pyarrow.compute as pc
from argon2 import PasswordHasher
from argon2.exceptions import VerificationError
from sqlalchemy import ColumnElement, delete, insert, select, update

from carcloud.model.ids import Tenant
from carcloud.model.time import DAY, now_us
from carcloud.ports.errors import Conflict
from carcloud.ports.lake import Lake, Slice, TableRef
from carcloud.ports.records import Records
from carcloud.services.compliance.errors import InvalidLink, LinkExists, UnknownLink
from carcloud.services.compliance.store import accounts, links, metadata
from carcloud.services.compliance.types import LinkSpec, LinkState, Outgoing

__all__ = [
    "Compliance",
    "InvalidLink",
    "LinkExists",
    "LinkSpec",
    "LinkState",
    "Outgoing",
    "PlatformAccounts",
    "UnknownLink",
]

REISSUE_DAYS = 7  # S16 5.2.6: a platform sends again what it could not for so long
_KINDS = (
    "login",
    "realtime",
    "reissue",
    "logout",
)  # 6.3.1 table 3: vehicle data on a platform link
_NOBODY = PasswordHasher().hash("nobody")  # checked for unknown platforms: same time, no hint
_NAME = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,38}[a-z0-9])?")
_STATE = [column for column in links.c if column.name in LinkState.__struct_fields__]
_SPEC = [column for column in links.c if column.name in LinkSpec.__struct_fields__]


class Compliance:
    """Links of all tenants; made once a process. Calls block; use a thread."""

    def __init__(self, records: Records, lake: Lake) -> None:
        self._records = records
        self._lake = lake
        records.create(metadata)

    def add(self, tenant: Tenant, spec: LinkSpec) -> LinkState:
        """Make a link that forwards what comes from now on; raises `LinkExists`, `InvalidLink`."""
        _check(spec)
        start = self._newest_seq(tenant)
        values = {name: getattr(spec, name) for name in LinkSpec.__struct_fields__}
        try:
            with self._records.transaction() as db:
                db.execute(insert(links).values(tenant=tenant, forwarded_seq=start, **values))
        except Conflict:
            raise LinkExists(f"there is a forwarding link {spec.name!r}") from None
        return self.state(tenant, spec.name)

    def remove(self, tenant: Tenant, name: str) -> None:
        """Forget a link; raises `UnknownLink`."""
        with self._records.transaction() as db:
            gone = db.execute(delete(links).where(*_is(tenant, name)))
        if gone.rowcount == 0:
            raise UnknownLink(f"there is no forwarding link {name!r}")

    def enable(self, tenant: Tenant, name: str, on: bool) -> None:
        """Start or stop forwarding; what comes meanwhile waits. Raises `UnknownLink`."""
        with self._records.transaction() as db:
            done = db.execute(update(links).where(*_is(tenant, name)).values(enabled=on))
        if done.rowcount == 0:
            raise UnknownLink(f"there is no forwarding link {name!r}")

    def states(self, tenant: Tenant) -> list[LinkState]:
        """How far each link has come, by name."""
        query = select(*_STATE).where(links.c.tenant == tenant).order_by(links.c.name)
        with self._records.transaction() as db:
            return [LinkState(**row._mapping) for row in db.execute(query)]

    def state(self, tenant: Tenant, name: str) -> LinkState:
        """How far one link has come; raises `UnknownLink`."""
        for state in self.states(tenant):
            if state.name == name:
                return state
        raise UnknownLink(f"there is no forwarding link {name!r}")

    def enabled(self) -> list[tuple[Tenant, LinkSpec]]:
        """All links that are to forward, of all tenants, with their credentials."""
        query = select(links.c.tenant, *_SPEC).where(links.c.enabled)
        with self._records.transaction() as db:
            rows = [dict(row._mapping) for row in db.execute(query)]
        return [(Tenant(row.pop("tenant")), LinkSpec(**row)) for row in rows]

    def waiting(
        self, tenant: Tenant, name: str, limit: int = 512
    ) -> tuple[int, list[Outgoing]] | None:
        """(sequence they reach, the next frames to send, in order); None when nothing waits.

        Whole blocks only, so that the sequence can be recorded when all are answered; at least
        one block however large.
        """
        done = self.state(tenant, name).forwarded_seq
        head = self._lake.read(
            TableRef(tenant, "frames"), Slice(columns=("seq", "vehicle"), after_seq=done)
        )
        if head.num_rows == 0:
            return None
        seqs = sorted(head["seq"].to_pylist())
        reach = seqs[min(limit, len(seqs)) - 1]
        rows = self._lake.read(TableRef(tenant, "frames"), Slice(after_seq=done))
        rows = rows.filter(pc.less_equal(rows["seq"], reach))
        rows = rows.filter(pc.is_in(rows["kind"], value_set=pc.cast(list(_KINDS), "string")))
        rows = rows.sort_by([("seq", "ascending"), ("received", "ascending")])
        return reach, [
            Outgoing(seq, vehicle, time, kind, frame)
            for seq, vehicle, time, kind, frame in zip(
                rows["seq"].to_pylist(),
                rows["vehicle"].to_pylist(),
                rows["time"].cast("int64").to_pylist(),
                rows["kind"].to_pylist(),
                rows["frame"].to_pylist(),
                strict=True,
            )
        ]

    def advance(
        self, tenant: Tenant, name: str, seq: int, *, forwarded: int, refused: int, expired: int
    ) -> None:
        """Everything up to `seq` has been answered, given up or is too old."""
        values = {
            "forwarded_seq": seq,
            "forwarded": links.c.forwarded + forwarded,
            "refused": links.c.refused + refused,
            "expired": links.c.expired + expired,
            "updated_us": now_us(),
        }
        with self._records.transaction() as db:
            db.execute(update(links).where(*_is(tenant, name)).values(**values))

    def tell(self, tenant: Tenant, name: str, *, connected: bool, problem: str | None) -> None:
        """Note for people how the link is doing."""
        with self._records.transaction() as db:
            db.execute(
                update(links)
                .where(*_is(tenant, name))
                .values(connected=connected, problem=(problem or "")[:500] or None)
            )

    def _newest_seq(self, tenant: Tenant) -> int:
        return self._lake.position(TableRef(tenant, "frames"), "ingest")


class PlatformAccounts:
    """Lower platforms that may log in; calls block, use a thread."""

    def __init__(self, records: Records) -> None:
        self._records = records
        records.create(metadata)

    def grant(self, tenant: Tenant, platform_id: str, user: str, password: str) -> None:
        """Let a lower platform log in with 0x05 and bring this tenant's vehicles.

        Replaces the account of that platform if the tenant has it; raises `InvalidLink`,
        `LinkExists` when another tenant has it.
        """
        for field, value, most in (
            ("platform_id", platform_id, 17), ("user", user, 12), ("password", password, 20),
        ):  # fmt: skip
            if not 1 <= len(value) <= most or not value.isascii():
                raise InvalidLink(field, f"1 to {most} ASCII characters")
        values = {"user": user, "password": PasswordHasher().hash(password)}
        mine = (accounts.c.platform_id == platform_id, accounts.c.tenant == tenant)
        try:
            with self._records.transaction() as db:
                if db.execute(update(accounts).where(*mine).values(**values)).rowcount == 0:
                    new = {"platform_id": platform_id, "tenant": tenant, **values}
                    db.execute(insert(accounts).values(**new))
        except Conflict:
            raise LinkExists(f"platform {platform_id!r} has an account") from None

    def admit(self, platform_id: str, user: str, password: str) -> Tenant | None:
        """The tenant of a lower platform's account; None when the credentials are wrong."""
        query = select(accounts).where(accounts.c.platform_id == platform_id)
        with self._records.transaction() as db:
            row = db.execute(query).mappings().first()
        stored = _NOBODY if row is None else str(row["password"])
        try:
            PasswordHasher().verify(stored, password)
        except VerificationError:
            return None
        return Tenant(row["tenant"]) if row is not None and row["user"] == user else None


def fresh_enough(frame: Outgoing, now: int) -> bool:
    """Whether a frame is still inside the reissue window."""
    return frame.time_us >= now - REISSUE_DAYS * DAY


def _is(tenant: Tenant, name: str) -> tuple[ColumnElement[bool], ColumnElement[bool]]:
    return (links.c.tenant == tenant, links.c.name == name)


def _check(spec: LinkSpec) -> None:
    if not _NAME.fullmatch(spec.name):
        raise InvalidLink("name", "lower-case letters, digits and hyphens, 1 to 40")
    if not spec.host or len(spec.host) > 255:
        raise InvalidLink("host", "a host name or address")
    if not 1 <= spec.port <= 65535:
        raise InvalidLink("port", "1 to 65535")
    for field, most in (("platform_id", 17), ("user", 12), ("password", 20)):
        text = getattr(spec, field)
        if not 1 <= len(text) <= most or not text.isascii():
            raise InvalidLink(field, f"1 to {most} ASCII characters")
