"""Where a tenant's bytes lie, and the keys that seal them."""

import hashlib
import json
import secrets
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from sqlalchemy import Connection, bindparam, delete, func, insert, select, update

from carcloud.model.ids import Tenant
from carcloud.ports.blobs import Blobs
from carcloud.ports.errors import EngineError
from carcloud.ports.records import Records
from carcloud.services.storage.errors import Invalid, Moved, Unreadable
from carcloud.services.storage.sealing import cipher_of
from carcloud.services.storage.store import buckets, garbage, keys, places
from carcloud.services.storage.types import TenantStorage
from carcloud.services.tenancy.api import AuditEntry, deleted_among, record_changes

REMEMBER_S = 1.0  # what another process changed is seen after so long
_NONCE = 12  # bytes
_CREDENTIALS = ("access_key_id", "secret_access_key", "session_token", "token")

_PLACE = select(places.c.url, places.c.options).where(places.c.tenant == bindparam("of_tenant"))

OpenBlobs = Callable[[str, Mapping[str, str]], Blobs]


@dataclass(frozen=True, slots=True)
class _Place:
    told: TenantStorage
    options: Mapping[str, str] = field(default_factory=dict)
    key: str | None = None  # id of the newest key
    mark: str = ""  # tells the place from others; empty = that of the installation
    gone: bool = False  # the tenant is deleted
    asked: float = 0.0


class Places:
    """Blobs and keys by tenant."""

    def __init__(
        self,
        records: Records,
        blobs: Blobs,
        open_blobs: OpenBlobs | None,
        secret: bytes | None,
        now: Callable[[], int],
    ) -> None:
        self._records = records
        self._blobs = blobs
        self._open_blobs = open_blobs
        self._wrap = None if secret is None else AESGCM(secret)
        self._now = now
        self._known: dict[Tenant, _Place] = {}
        self._opened: dict[Tenant, tuple[str, Blobs]] = {}  # with what opens them
        self._keys: dict[str, tuple[float, bytes]] = {}
        self._guard = threading.Lock()

    def blobs(self, tenant: Tenant) -> Blobs:
        """The blobs that hold a tenant's bytes."""
        place = self._place(tenant)
        if not place.told.url:
            return self._blobs
        if self._open_blobs is None:
            raise Unreadable("this process cannot open the tenant's own bucket")
        name = json.dumps([place.told.url, dict(place.options)], sort_keys=True)
        with self._guard:
            opened_by, blobs = self._opened.get(tenant, ("", self._blobs))
            if opened_by != name:
                blobs = self._open_blobs(place.told.url, place.options)
                self._opened[tenant] = name, blobs
            return blobs

    def check_writable(self, tenant: Tenant) -> None:
        """Raises `Moved` a second after the tenant was deleted, at the latest: whoever still holds
        its place writes no more there."""
        if self._place(tenant).gone:
            raise Moved("the tenant is deleted")

    def forget(self, tenant: Tenant) -> None:
        """Keep nothing in memory of how its place is reached."""
        with self._guard:
            self._known.pop(tenant, None)
            self._opened.pop(tenant, None)

    def mark(self, tenant: Tenant) -> str:
        """What new bytes remember of the place that they go to, see `check`."""
        return self._place(tenant).mark

    def check(self, db: Connection, tenant: Tenant, mark: str | None) -> None:
        """Raises `Moved` where bytes went to another place than the tenant's present one."""
        if mark is None:
            return
        row = db.execute(_PLACE, {"of_tenant": tenant}).first()
        if mark != ("" if row is None else _mark(row.url, self._plain(tenant, row.options))):
            self._known.pop(tenant, None)
            raise Moved("the tenant's objects lie in another place by now: send it again")

    def told(self, tenant: Tenant) -> TenantStorage:
        """Where and how the tenant's bytes are kept."""
        return self._place(tenant).told

    def sealing(self, tenant: Tenant) -> tuple[str, bytes] | None:
        """(key id, key) for new bytes; None = they are not sealed."""
        place = self._place(tenant)
        if not place.told.sealed:
            return None
        name = place.key or self._new_key(tenant)
        return name, self._key(tenant, name)

    def cipher(self, tenant: Tenant, name: str, salt: str) -> AESGCM:
        """The cipher of a blob; raises `Unreadable` if its key is gone."""
        return cipher_of(self._key(tenant, name), bytes.fromhex(salt))

    def change(
        self,
        tenant: Tenant,
        *,
        url: str | None,
        options: Mapping[str, str] | None,
        sealed: bool | None,
        actor: str,
        settled: Callable[[Connection, Tenant], None] = lambda _db, _tenant: None,
    ) -> TenantStorage:
        """Change how new bytes are kept. A place can change only while nothing is kept, credentials
        at any time; a bucket of the tenant's own is tried first. `options` are kept as long as the
        `url` is. Raises `Invalid`, and what `settled` does, which is asked in the transaction
        whether others keep something there.
        """
        if self._wrap is None and (sealed or options):
            field = "sealed" if sealed else "options"
            raise Invalid(field, "this installation has no secret to wrap keys with")
        if url and not url.startswith("s3://"):
            raise Invalid("url", "must be s3://bucket/prefix, or empty")
        if url or options:
            self._try(tenant, *_asked(self._place(tenant), url, options))
        with self._records.transaction() as db:
            mine = select(buckets.c.id).where(buckets.c.tenant == tenant)
            db.execute(mine.order_by(buckets.c.id).with_for_update()).all()  # no put meanwhile
            old = self._read(db, tenant)
            made = TenantStorage(
                tenant,
                _asked(old, url, options)[0],
                old.told.sealed if sealed is None else sealed,
            )
            kept = _asked(old, url, options)[1]
            if _mark(made.url, kept) != old.mark:
                _check_empty(db, tenant)
                settled(db, tenant)
            row = {
                "url": made.url,
                "options": self._wrapped(tenant, json.dumps(dict(kept)).encode()) if kept else None,
                "sealed": made.sealed,
            }
            if not db.execute(update(places).where(places.c.tenant == tenant).values(row)).rowcount:
                db.execute(insert(places).values(tenant=tenant, **row))
            before, after = _facts(old.told), _facts(made)
            record_changes(db, [AuditEntry(tenant, actor, "storage.place", tenant, before, after)])
        self._known.pop(tenant, None)
        return made

    def _try(self, tenant: Tenant, url: str, options: Mapping[str, str]) -> None:
        if not url:
            return
        if self._open_blobs is None:
            raise Invalid("url", "this process cannot open buckets elsewhere")
        key, data = f"{tenant}/probe/{secrets.token_hex(8)}", secrets.token_bytes(16)
        try:
            blobs = self._open_blobs(url, options)
        except ValueError as error:
            raise Invalid("options", str(error)[:500]) from error
        try:
            blobs.put(key, data)
            found = blobs.get(key)
            blobs.delete(key)
        except (EngineError, ValueError) as error:
            detail = f"nothing can be written, read and removed there with the options: {error}"
            raise Invalid("url", detail[:500]) from error
        if found != data:
            raise Invalid("url", "what is read there is not what was written")

    def new_key(self, tenant: Tenant, *, actor: str) -> str:
        """Seal what comes from now on with a new key; returns its id."""
        name = self._new_key(tenant, actor)
        self._known.pop(tenant, None)
        return name

    def destroy_keys(self, tenant: Tenant, *, actor: str) -> int:
        """Delete the tenant's keys: whatever they seal can never be read again."""
        with self._records.transaction() as db:
            count = db.execute(delete(keys).where(keys.c.tenant == tenant)).rowcount
            entry = AuditEntry(tenant, actor, "storage.keys.destroy", tenant, {"keys": count})
            record_changes(db, [entry])
        self._known.pop(tenant, None)
        self._keys.clear()
        return count

    def _place(self, tenant: Tenant) -> _Place:
        known = self._known.get(tenant)
        if known is None or time.monotonic() - known.asked > REMEMBER_S:
            with self._records.reading() as db:
                known = self._read(db, tenant)
            self._known[tenant] = known
            if not known.told.url:
                self._opened.pop(tenant, None)
        return known

    def _read(self, db: Connection, tenant: Tenant) -> _Place:
        row = db.execute(select(places).where(places.c.tenant == tenant)).mappings().first()
        newest = select(keys.c.id).where(keys.c.tenant == tenant)
        key = db.execute(newest.order_by(keys.c.created.desc(), keys.c.id).limit(1)).scalar()
        gone = bool(deleted_among(db, [tenant]))
        if row is None:
            return _Place(TenantStorage(tenant), {}, key, gone=gone, asked=time.monotonic())
        plain = self._plain(tenant, row["options"])
        told = TenantStorage(tenant, row["url"], row["sealed"])
        return _Place(told, plain, key, _mark(row["url"], plain), gone, time.monotonic())

    def _plain(self, tenant: Tenant, options: bytes | None) -> dict[str, str]:
        return {} if options is None else dict(json.loads(self._unwrapped(tenant, options)))

    def _new_key(self, tenant: Tenant, actor: str = "storage") -> str:
        name = secrets.token_hex(16)
        wrapped = self._wrapped(f"{tenant}/{name}", secrets.token_bytes(32))
        row = {"id": name, "tenant": tenant, "created": self._now(), "wrapped": wrapped}
        with self._records.transaction() as db:
            db.execute(insert(keys).values(row))
            record_changes(db, [AuditEntry(tenant, actor, "storage.keys.create", name)])
        return name

    def _key(self, tenant: Tenant, name: str) -> bytes:
        asked, key = self._keys.get(name, (0.0, b""))
        if key and time.monotonic() - asked <= REMEMBER_S:
            return key
        query = select(keys.c.wrapped).where(keys.c.id == name, keys.c.tenant == tenant)
        with self._records.reading() as db:
            wrapped = db.execute(query).scalar()
        if wrapped is None:
            self._keys.pop(name, None)
            raise Unreadable("the key that seals these bytes was destroyed")
        key = self._unwrapped(f"{tenant}/{name}", wrapped)
        if len(self._keys) > 1000:
            self._keys.clear()
        self._keys[name] = (time.monotonic(), key)
        return key

    def _wrapped(self, owner: str, plain: bytes) -> bytes:
        if self._wrap is None:
            raise Invalid("sealed", "this installation has no secret to wrap keys with")
        nonce = secrets.token_bytes(_NONCE)
        return nonce + self._wrap.encrypt(nonce, plain, f"storage/{owner}".encode())

    def _unwrapped(self, owner: str, wrapped: bytes) -> bytes:
        try:
            if self._wrap is not None:
                sealed = wrapped[_NONCE:]
                return self._wrap.decrypt(wrapped[:_NONCE], sealed, f"storage/{owner}".encode())
        except InvalidTag:
            pass
        raise Unreadable("the installation's secret is another one than when this was kept")


def _asked(
    old: _Place, url: str | None, options: Mapping[str, str] | None
) -> tuple[str, Mapping[str, str]]:
    """The place that is wanted. What opens one bucket is never tried on another."""
    where = old.told.url if url is None else url
    if options is not None:
        return where, options if where else {}
    return where, old.options if where == old.told.url else {}


def _mark(url: str, options: Mapping[str, str]) -> str:
    if not url:
        return ""
    plain = {name.lower().removeprefix("aws_"): value for name, value in options.items()}
    place = sorted(item for item in plain.items() if item[0] not in _CREDENTIALS)
    return hashlib.sha256(json.dumps([url, place]).encode()).hexdigest()[:16]


def _check_empty(db: Connection, tenant: Tenant) -> None:
    total = func.coalesce(func.sum(buckets.c.bytes + buckets.c.objects), 0)
    held = select(total).where(buckets.c.tenant == tenant)
    waiting = select(func.count()).select_from(garbage).where(garbage.c.tenant == tenant)
    if db.execute(held).scalar_one() or db.execute(waiting).scalar_one():
        raise Invalid("url", "the place can change only while the tenant keeps no bytes")


def _facts(told: TenantStorage) -> dict[str, object]:
    return {"url": told.url, "sealed": told.sealed}
