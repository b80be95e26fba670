"""The way into the vocabulary: each tenant's catalogue, and the overlay that makes it its own.

Calls block briefly; `catalogue` asks the records only after something in them has changed.
"""

import hashlib
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, func, insert, select

from carcloud.model.ids import Tenant
from carcloud.model.signals import CATALOGUE, Signal
from carcloud.model.time import now_us
from carcloud.ports.errors import Conflict, EngineError
from carcloud.ports.records import Records
from carcloud.services.tenancy.api import AuditEntry, record_changes
from carcloud.services.vocabulary.errors import (
    InvalidMapping,
    InvalidOverlay,
    MappingChanged,
    OverlayChanged,
    UnknownMapping,
    UnknownOverlay,
    UnknownSignal,
)
from carcloud.services.vocabulary.mapping_apply import Series, apply, converted
from carcloud.services.vocabulary.mapping_suggest import Suggested
from carcloud.services.vocabulary.mapping_types import (
    Checked,
    DbcFinding,
    FieldSource,
    MappingVersion,
    RawField,
    Rule,
)
from carcloud.services.vocabulary.mapping_types import (
    Mapping as ModelMapping,
)
from carcloud.services.vocabulary.mappings import Mappings
from carcloud.services.vocabulary.overlay import overlaid
from carcloud.services.vocabulary.store import metadata, overlays
from carcloud.services.vocabulary.types import Effect, Finding, Overlay

__all__ = [
    "Checked",
    "DbcFinding",
    "Effect",
    "FieldSource",
    "Finding",
    "InvalidMapping",
    "InvalidOverlay",
    "MappingChanged",
    "MappingVersion",
    "Mappings",
    "ModelMapping",
    "Overlay",
    "OverlayChanged",
    "RawField",
    "Rule",
    "Series",
    "Suggested",
    "UnknownMapping",
    "UnknownOverlay",
    "UnknownSignal",
    "Vocabulary",
    "apply",
    "converted",
    "metadata",
]

log = logging.getLogger(__name__)

NO_OVERLAY = Overlay(0, 0, "", "", "")
_MOST_TENANTS = 1_000  # catalogues in memory


@dataclass(frozen=True, slots=True)
class _Known:
    records: int  # version of the records when it was looked at
    overlay: int
    catalogue: Mapping[str, Signal]


class Vocabulary:
    """The service."""

    def __init__(
        self,
        records: Records,
        *,
        held: Callable[[Tenant], Mapping[str, str]] = lambda _tenant: {},
        base: Mapping[str, Signal] = CATALOGUE,
    ) -> None:
        """`held` tells the columns of a tenant that have data, with their Arrow types."""
        records.create(metadata)
        self._records = records
        self._held = held
        self._base = base
        self._known: dict[Tenant, _Known] = {}

    def catalogue(self, tenant: Tenant) -> Mapping[str, Signal]:
        """All signals of a tenant by path; the same object until its overlay changes.

        Where the records do not answer, what held before; raises `EngineError` before that.
        """
        known = self._known.get(tenant)
        at_hand = self._records.version_at_hand()
        if known is not None and at_hand == known.records:
            return known.catalogue
        try:
            return self._looked_at(tenant, known)
        except EngineError as error:
            if known is None:
                raise
            log.warning("the records do not answer, the earlier catalogue holds: %s", error)
            return known.catalogue

    def _looked_at(self, tenant: Tenant, known: _Known | None) -> Mapping[str, Signal]:
        version = self._records.version()  # first the number: never newer than what is read
        with self._records.reading() as db:
            number = _newest(db, tenant)
            if known is None or known.overlay != number:
                overlay = _read(db, tenant, number) if number else NO_OVERLAY
                found = overlaid(self._base, overlay.text)
                if found.effect.findings:  # an earlier version of carcloud took it
                    log.warning("overlay %d of %s: %s", number, tenant, found.effect.findings[0])
                catalogue = found.catalogue
            else:
                catalogue = known.catalogue
        if tenant not in self._known and len(self._known) >= _MOST_TENANTS:
            self._known.pop(next(iter(self._known)))
        self._known[tenant] = _Known(version, number, catalogue)
        return catalogue

    def signal(self, tenant: Tenant, path: str) -> Signal:
        """One signal; raises `UnknownSignal`."""
        found = self.catalogue(tenant).get(path)
        if found is None:
            raise UnknownSignal(path)
        return found

    def standard(self, path: str) -> Signal | None:
        """The signal as it is without an overlay; None where there is none then."""
        return self._base.get(path)

    def overlay(self, tenant: Tenant, version: int | None = None) -> Overlay:
        """A version of the overlay, by default the one that holds, of version 0 where there is
        none; raises `UnknownOverlay`."""
        with self._records.reading() as db:
            number = _newest(db, tenant) if version is None else version
            if number == 0:
                return NO_OVERLAY
            return _read(db, tenant, number)

    def versions(self, tenant: Tenant, *, before: int | None = None, limit: int) -> list[Overlay]:
        """Versions of the overlay, newest first, without their text."""
        columns = [column for column in overlays.c if column.name not in ("tenant", "text")]
        query = select(*columns).where(overlays.c.tenant == tenant)
        if before is not None:
            query = query.where(overlays.c.version < before)
        with self._records.reading() as db:
            rows = db.execute(query.order_by(overlays.c.version.desc()).limit(limit)).mappings()
            return [Overlay(**row, text="") for row in rows]

    def check(self, tenant: Tenant, text: str) -> Effect:
        """What an overlay would do, and what is wrong with it."""
        before = self.catalogue(tenant)
        return overlaid(self._base, text, held=self._held(tenant), before=before).effect

    def catalogue_with(self, text: str) -> Mapping[str, Signal]:
        """All signals that an overlay would give; raises `InvalidOverlay`."""
        found = overlaid(self._base, text)
        if found.effect.findings:
            raise InvalidOverlay(found.effect.findings)
        return found.catalogue

    def save(
        self, tenant: Tenant, text: str, *, note: str, actor: str, if_version: int | None
    ) -> tuple[Overlay, Effect]:
        """A new version, which holds from now on, and what it does.

        Raises `InvalidOverlay`, `OverlayChanged`.
        `if_version`: the version that the caller has seen; None = any.
        """
        effect = self.check(tenant, text)
        if effect.findings:
            raise InvalidOverlay(effect.findings)
        try:
            with self._records.transaction() as db:
                number = _newest(db, tenant)
                if if_version is not None and if_version != number:
                    raise OverlayChanged(f"the overlay is at version {number} now")
                old = _read(db, tenant, number) if number else NO_OVERLAY
                new = Overlay(number + 1, now_us(), actor, note[:200], text)
                db.execute(insert(overlays).values(tenant=tenant, **_columns(new)))
                before, after = _told(old), _told(new, effect)
                name = "signals.overlay"
                record_changes(db, [AuditEntry(tenant, actor, name, "overlay", before, after)])
        except Conflict as error:
            raise OverlayChanged("somebody saved an overlay at the same time") from error
        return new, effect


def _newest(db: Connection, tenant: Tenant) -> int:
    query = select(func.max(overlays.c.version)).where(overlays.c.tenant == tenant)
    return int(db.execute(query).scalar() or 0)


def _read(db: Connection, tenant: Tenant, version: int) -> Overlay:
    mine = (overlays.c.tenant == tenant) & (overlays.c.version == version)
    row = db.execute(select(overlays).where(mine)).mappings().first()
    if row is None:
        raise UnknownOverlay(str(version))
    return Overlay(**{name: value for name, value in row.items() if name != "tenant"})


def _columns(overlay: Overlay) -> dict[str, Any]:
    return {name: getattr(overlay, name) for name in overlay.__struct_fields__}


def _told(overlay: Overlay, effect: Effect | None = None) -> dict[str, Any] | None:
    """What the audit keeps: the text stays readable as a version, its digest proves it."""
    if overlay.version == 0:
        return None
    told: dict[str, Any] = {
        "version": overlay.version,
        "note": overlay.note,
        "sha256": hashlib.sha256(overlay.text.encode()).hexdigest(),
    }
    if effect is not None:
        counts = {"added": effect.added, "changed": effect.changed, "removed": effect.removed}
        told.update({name: len(paths) for name, paths in counts.items()})
    return told
