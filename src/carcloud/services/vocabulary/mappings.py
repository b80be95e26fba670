"""Mappings of vehicle models: versions, DBC files, and what other parts want of them.

Calls block briefly; `mapping` asks the records only after something in them has changed.
"""

import hashlib
import logging
from collections.abc import Callable
from collections.abc import Mapping as Map
from dataclasses import dataclass
from typing import Any, Final

from msgspec import structs
from sqlalchemy import Connection, func, insert, select

from carcloud.model.ids import Tenant
from carcloud.model.signals import Signal
from carcloud.model.time import now_us
from carcloud.ports.errors import Conflict, EngineError
from carcloud.ports.records import Records
from carcloud.services.tenancy.api import AuditEntry, limit_in, record_changes
from carcloud.services.vocabulary.errors import InvalidMapping, MappingChanged, UnknownMapping
from carcloud.services.vocabulary.mapping_document import file_names, read_mapping
from carcloud.services.vocabulary.mapping_store import dbc_texts, mappings
from carcloud.services.vocabulary.mapping_suggest import Suggested, suggested
from carcloud.services.vocabulary.mapping_types import (
    Checked,
    Mapping,
    MappingVersion,
    Read,
)
from carcloud.services.vocabulary.model_document import LIMIT, model_document, too_large
from carcloud.services.vocabulary.store import metadata

log = logging.getLogger(__name__)

NO_MAPPING: Final = MappingVersion(0, 0, "", "", "", ())
_MOST_KNOWN: Final = 2_000  # mappings in memory
_MOST_DOCUMENTS: Final = 500  # of them
_MOST_ID: Final = 40  # characters of a model's id

CatalogueOf = Callable[[Tenant], Map[str, Signal]]
_With = tuple[int, tuple[Any, ...], frozenset[Tenant]]  # version of the records, state, whose


@dataclass(frozen=True, slots=True)
class _Known:
    records: int  # version of the records when it was looked at
    version: int
    catalogue: Map[str, Signal]
    mapping: Mapping | None


@dataclass(frozen=True, slots=True)
class _Row:
    told: MappingVersion
    files: dict[str, str]  # name -> sha256


class Mappings:
    """The service. That a model exists is for the callers to know."""

    def __init__(self, records: Records, catalogue: CatalogueOf) -> None:
        records.create(metadata)
        self._records = records
        self._catalogue = catalogue
        self._known: dict[tuple[Tenant, str], _Known] = {}
        self._documents: dict[tuple[Tenant, str], tuple[Mapping, dict[str, Any]]] = {}
        self._with: dict[str, _With] = {}  # by what texts mention

    def mapping(self, tenant: Tenant, model: str) -> Mapping | None:
        """The mapping of a model that holds; None where it has none.

        The same object until it or the catalogue changes. Where the records do not answer, what
        held before; raises `EngineError` before that.
        """
        known = self._known.get((tenant, model))
        at_hand = self._records.version_at_hand()
        if known is not None and at_hand == known.records:
            return known.mapping
        try:
            return self._looked_at(tenant, model, known)
        except EngineError as error:
            if known is None:
                raise
            log.warning("the records do not answer, the earlier mapping holds: %s", error)
            return known.mapping

    def _looked_at(self, tenant: Tenant, model: str, known: _Known | None) -> Mapping | None:
        catalogue = self._catalogue(tenant)
        records = self._records.version()  # first the number: never newer than what is read
        with self._records.reading() as db:
            number = _newest(db, tenant, model)
            if known is not None and known.version == number and known.catalogue is catalogue:
                mapping = known.mapping
            elif number:
                row = _read(db, tenant, model, number)
                texts = _texts(db, tenant, row.files)
                mapping = _usable(row.told, texts, catalogue, tenant, model)
            else:
                mapping = None
        if (tenant, model) not in self._known and len(self._known) >= _MOST_KNOWN:
            self._known.pop(next(iter(self._known)))
        self._known[tenant, model] = _Known(records, number, catalogue, mapping)
        return mapping

    def any(self, tenant: Tenant, mention: str = "") -> bool:
        """Whether any model of the tenant has, or had, a mapping with this in its text; quick,
        from memory while nothing changes. Raises `EngineError` where the records never answered."""
        at_hand = self._records.version_at_hand()
        known = self._with.get(mention)
        if known is None or known[0] != at_hand:
            try:
                known = self._with[mention] = self._looked_for(mention, known)
            except EngineError:
                if known is None:
                    raise
        return tenant in known[2]

    def _looked_for(self, mention: str, known: _With | None) -> _With:
        records = self._records.version()
        query = select(mappings.c.tenant).distinct()
        if mention:
            query = query.where(mappings.c.text.contains(mention, autoescape=True))
        with self._records.reading() as db:
            newest = select(func.count(), func.max(mappings.c.created_us))
            state = tuple(db.execute(newest.select_from(mappings)).one())
            if known is not None and known[1] == state:  # a row never changes
                return records, state, known[2]
            return records, state, frozenset(map(Tenant, db.execute(query).scalars()))

    def model_document(self, tenant: Tenant, model: str) -> dict[str, Any] | None:
        """The model as vehicles take it, made once for each mapping; None where it has none."""
        mapping = self.mapping(tenant, model)
        if mapping is None:
            return None
        known = self._documents.get((tenant, model))
        if known is None or known[0] is not mapping:
            if known is None and len(self._documents) >= _MOST_DOCUMENTS:
                self._documents.pop(next(iter(self._documents)))
            known = self._documents[tenant, model] = mapping, model_document(mapping)
        return known[1]

    def version(self, tenant: Tenant, model: str, version: int | None = None) -> MappingVersion:
        """A version, by default the one that holds, of version 0 where there is none; raises
        `UnknownMapping`."""
        with self._records.reading() as db:
            number = _newest(db, tenant, model) if version is None else version
            return _read(db, tenant, model, number).told if number else NO_MAPPING

    def versions(
        self, tenant: Tenant, model: str, *, before: int | None = None, limit: int
    ) -> list[MappingVersion]:
        """Versions, newest first, without their text."""
        columns = [one for one in mappings.c if one.name not in ("tenant", "model", "text")]
        query = select(*columns).where(_of(tenant, model))
        if before is not None:
            query = query.where(mappings.c.version < before)
        with self._records.reading() as db:
            rows = db.execute(query.order_by(mappings.c.version.desc()).limit(limit)).mappings()
            return [_told({**row, "text": ""}) for row in rows]

    def dbc(self, tenant: Tenant, model: str, name: str, version: int | None = None) -> str:
        """The text of a DBC file of a version; raises `UnknownMapping`."""
        with self._records.reading() as db:
            number = _newest(db, tenant, model) if version is None else version
            if not number:
                raise UnknownMapping(f"model {model!r} has no mapping")
            files = _read(db, tenant, model, number).files
            if name not in files:
                raise UnknownMapping(f"version {number} of the mapping has no DBC file {name!r}")
            return _texts(db, tenant, {name: files[name]})[name]

    def check(
        self,
        tenant: Tenant,
        model: str,
        text: str,
        dbc: Map[str, str],
        catalogue: Map[str, Signal] | None = None,
    ) -> Checked:
        """What is wrong with a mapping, and where each raw field lands. `dbc`: texts by file
        name; files that are not given are those of the version that holds. `catalogue`: that
        of an overlay that is not saved yet; by default the one that holds."""
        return self._taken(tenant, model, text, dbc, catalogue)[0].checked

    def described(self, tenant: Tenant, model: str, told: MappingVersion) -> Checked:
        """What is wrong with a saved version by now, and where each raw field lands."""
        with self._records.reading() as db:
            files = _read(db, tenant, model, told.version).files if told.version else {}
            texts = _texts(db, tenant, files)
        return read_mapping(told.text, texts, self._catalogue(tenant), model=model).checked

    def suggest(self, tenant: Tenant, dbc: Map[str, str], overlay: str = "") -> Suggested:
        """A first mapping of the signals of DBC files; `overlay`: the one that holds.

        Raises `InvalidMapping`.
        """
        return suggested(dbc, self._catalogue(tenant), overlay)

    def save(
        self,
        tenant: Tenant,
        model: str,
        text: str,
        dbc: Map[str, str],
        *,
        note: str,
        actor: str,
        if_version: int | None,
    ) -> tuple[MappingVersion, Checked]:
        """A new version, which holds from now on. Files of the version that holds that are not
        given, and that the text names, stay.

        Raises `InvalidMapping`, `MappingChanged`. `if_version`: the version that the caller has
        seen; None = any.
        """
        read, texts = self._taken(tenant, model, text, dbc, None)
        if read.checked.findings:
            raise InvalidMapping(read.checked.findings)
        files = {name: _digest(body) for name, body in texts.items()}
        try:
            with self._records.transaction() as db:
                number = _newest(db, tenant, model)
                if if_version is not None and if_version != number:
                    raise MappingChanged(f"the mapping is at version {number} now")
                old = _read(db, tenant, model, number).told if number else NO_MAPPING
                new = MappingVersion(number + 1, now_us(), actor, note[:200], text, tuple(files))
                _keep_texts(db, tenant, texts)
                db.execute(insert(mappings).values(_columns(tenant, model, new, files)))
                before, after = _audited(old), _audited(new, len(read.mapping.rules), files)
                entry = AuditEntry(tenant, actor, "model.mapping", model, before, after)
                record_changes(db, [entry])
        except Conflict as error:
            raise MappingChanged("somebody saved a mapping at the same time") from error
        return new, read.checked

    def _taken(
        self,
        tenant: Tenant,
        model: str,
        text: str,
        dbc: Map[str, str],
        catalogue: Map[str, Signal] | None,
    ) -> tuple[Read, dict[str, str]]:
        """The mapping read with the files that it names, and their texts."""
        named = file_names(text)
        with self._records.reading() as db:
            number = _newest(db, tenant, model)
            held = _read(db, tenant, model, number).files if number else {}
            wanted = {name: held[name] for name in named if name in held and name not in dbc}
            texts = {**_texts(db, tenant, wanted), **dbc}
            most = limit_in(db, tenant, LIMIT)
        texts = {name: texts[name] for name in named if name in texts}
        known = self._catalogue(tenant) if catalogue is None else catalogue
        read = read_mapping(text, texts, known, model=model)
        told = too_large(read.mapping, most)
        if told is not None:
            findings = (told, *read.checked.dbc_findings)
            read = Read(read.mapping, structs.replace(read.checked, dbc_findings=findings))
        return read, texts


def _usable(
    told: MappingVersion,
    texts: dict[str, str],
    catalogue: Map[str, Signal],
    tenant: Tenant,
    model: str,
) -> Mapping:
    """What is right of a version: the catalogue may have changed since it was saved."""
    read = read_mapping(told.text, texts, catalogue, model=model, version=told.version)
    if read.checked.findings:
        first = read.checked.findings[0]
        log.warning("mapping of %s/%s: line %d: %s", tenant, model, first.line, first.text)
    return read.mapping


def _of(tenant: Tenant, model: str) -> Any:
    # Longer ids are no model's; some databases refuse to compare what holds a zero byte.
    known = model if len(model) <= _MOST_ID and model.isprintable() else ""
    return (mappings.c.tenant == tenant) & (mappings.c.model == known)


def _newest(db: Connection, tenant: Tenant, model: str) -> int:
    query = select(func.max(mappings.c.version)).where(_of(tenant, model))
    return int(db.execute(query).scalar() or 0)


def _read(db: Connection, tenant: Tenant, model: str, version: int) -> _Row:
    mine = _of(tenant, model) & (mappings.c.version == version)
    row = db.execute(select(mappings).where(mine)).mappings().first()
    if row is None:
        raise UnknownMapping(f"there is no version {version} of the mapping")
    return _Row(_told(dict(row)), dict(row["dbc"]))


def _told(row: dict[str, Any]) -> MappingVersion:
    names = tuple(name for name, _ in row["dbc"])
    return MappingVersion(
        row["version"], row["created_us"], row["actor"], row["note"], row["text"], names
    )


def _columns(
    tenant: Tenant, model: str, new: MappingVersion, files: Map[str, str]
) -> dict[str, Any]:
    told = {name: getattr(new, name) for name in new.__struct_fields__ if name != "dbc"}
    pairs = [[name, digest] for name, digest in files.items()]
    return {"tenant": tenant, "model": model, **told, "dbc": pairs}


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def _texts(db: Connection, tenant: Tenant, files: Map[str, str]) -> dict[str, str]:
    digests = set(files.values())
    mine = (dbc_texts.c.tenant == tenant) & dbc_texts.c.sha256.in_(digests)
    rows = db.execute(select(dbc_texts.c.sha256, dbc_texts.c.text).where(mine)).all()
    found: dict[str, str] = {digest: text for digest, text in rows}
    return {name: found[digest] for name, digest in files.items() if digest in found}


def _keep_texts(db: Connection, tenant: Tenant, texts: Map[str, str]) -> None:
    by_digest = {_digest(text): text for text in texts.values()}
    query = select(dbc_texts.c.sha256).where(
        (dbc_texts.c.tenant == tenant) & dbc_texts.c.sha256.in_(by_digest)
    )
    known = set(db.execute(query).scalars())
    for digest, text in by_digest.items():
        if digest not in known:
            db.execute(insert(dbc_texts).values(tenant=tenant, sha256=digest, text=text))


def _audited(
    told: MappingVersion, signals: int | None = None, files: Map[str, str] | None = None
) -> dict[str, Any] | None:
    """What the audit keeps: the text stays readable as a version, its digest proves it."""
    if told.version == 0:
        return None
    kept: dict[str, Any] = {
        "version": told.version,
        "note": told.note,
        "sha256": _digest(told.text),
    }
    if files is not None:
        kept.update(signals=signals, dbc=dict(files))
    return kept
