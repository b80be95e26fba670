"""Dead letters: frames that could not be read, to be looked at and read again.

Reading again puts the frame back into the stream, where ingest meets it as if it had just come.
A letter that was put back leaves the list; when it is still bad, ingest writes a new one.
"""

import asyncio
import hashlib
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from carcloud.model.blocks import pack
from carcloud.model.ids import Tenant
from carcloud.model.streams import FRAMES, frames_subject
from carcloud.model.time import now_us
from carcloud.ports.lake import Lake, QueryLimits
from carcloud.ports.records import Records
from carcloud.ports.stream import Stream
from carcloud.services.telemetry.errors import InvalidArgument, UnknownDeadLetter
from carcloud.services.telemetry.ingest_position import WRITER
from carcloud.services.telemetry.types import DeadLetter, ReasonGroup, Reprocessed
from carcloud.services.tenancy.api import AuditEntry, record_changes

TABLE = "dead_letters"
BULK_PAGE = 500  # letters
BLOCK_BYTES = 400_000  # frame bytes of one block
WAIT_S = 10.0  # s that ingest has to answer one letter
LOOK_S = 0.1  # s between looks at how far ingest is

# What the gateway could read but would not take: who sent it, or when, was not right. Ingest does
# not ask again who sent a frame, so reading such a letter again takes it into the tables.
REFUSED = frozenset(
    {"no-login", "wrong-vin", "signature", "bad-signature", "refused", "vin-duplicate",
     "future-time", "too-old"}
)  # fmt: skip

metadata = sa.MetaData()
reprocessed = sa.Table(
    "reprocessed",
    metadata,
    sa.Column("tenant", sa.String(40), primary_key=True),
    sa.Column("letter", sa.String(80), primary_key=True),
    sa.Column("attempts", sa.Integer, nullable=False),
    sa.Column("seq", sa.BigInteger, nullable=False),  # where the frame now lies in the stream
    sa.Column("reason", sa.String(200), nullable=False),
    sa.Column("received_us", sa.BigInteger, nullable=False),
    sa.Column("requested_us", sa.BigInteger, nullable=False),
)

# What varies between letters of one kind: times and numbers, VINs, digests. RE2 and Python read it.
VARIABLE = r"\b(?:0x[0-9A-Fa-f]+|[0-9A-Z]{17}\b|[0-9A-Fa-f]{16,}\b|\d+(?:[-.,:T]\d+)*(?:Z\b)?)"
_KIND = f"regexp_replace(reason, '{VARIABLE}', '#', 'g')"
_REASONS = (
    f"SELECT {_KIND} AS kind, count(*) AS n, min(epoch_us(received)) AS oldest_us, "  # noqa: S608
    "CASE WHEN count(DISTINCT coalesce(clause, '')) = 1 THEN min(clause) END AS clause "
    "FROM dead_letters GROUP BY kind"
)


class DeadLetters:
    """The dead letters of tenants. Methods that are not `async` block; use a thread."""

    def __init__(self, lake: Lake, stream: Stream, records: Records) -> None:
        self._lake = lake
        self._stream = stream
        self._records = records

    def create_tables(self) -> None:
        """Make the table that remembers what was read again."""
        self._records.create(metadata)

    def page(
        self,
        tenant: Tenant,
        reason: str | None,
        vehicle: str | None,
        after: tuple[int, str] | None,
        limit: int,
    ) -> list[DeadLetter]:
        """Up to `limit` letters, newest first, after the position (received us, id)."""
        found: list[DeadLetter] = []
        while len(found) < limit:
            rows = self._select(tenant, reason, vehicle, after, limit)
            put_back = self._put_back(tenant, [row.id for row in rows])
            found += [row for row in rows if put_back.get(row.id, (0, 0))[1] <= row.seq]
            if len(rows) < limit:
                break
            after = (rows[-1].received_us, rows[-1].id)
        return found[:limit]

    def get(self, tenant: Tenant, letter: str) -> DeadLetter:
        """One letter, also when it was put back; raises `UnknownDeadLetter`."""
        rows = self._query(tenant, f"WHERE id = {_text(letter)} ORDER BY seq DESC LIMIT 1", 1)
        if not rows:
            raise UnknownDeadLetter(letter)
        return rows[0]

    def reasons(self, tenant: Tenant) -> list[ReasonGroup]:
        """How many letters wait, by kind of reason, most frequent first."""
        rows = self._lake.query(tenant, _REASONS, QueryLimits(rows=1000)).table.to_pylist()
        counts = Counter({str(row["kind"]): int(row["n"]) for row in rows})
        clauses = {row["kind"]: row["clause"] or None for row in rows}
        oldest = min((int(row["oldest_us"]) for row in rows), default=0)
        for reason, count in self._put_back_by_reason(tenant, oldest).items():
            counts[kind_of(reason)] -= count
        return [ReasonGroup(one, clauses.get(one), n) for one, n in counts.most_common() if n > 0]

    async def reprocess(
        self, tenant: Tenant, letter: str, *, force: bool = False, actor: str = "carcloud"
    ) -> Reprocessed:
        """Put one letter back and wait for what ingest says; raises `UnknownDeadLetter`.

        A frame that the gateway refused is taken with `force` alone, else `InvalidArgument`.
        """
        found = await asyncio.to_thread(self.get, tenant, letter)
        code = refusal(found)
        if code is not None and not force:
            raise InvalidArgument("force", f"the gateway refused this frame, {code}: force it")
        after = {"vehicle": found.vehicle, "reason": found.reason, "force": code is not None}
        await asyncio.to_thread(self._audit, tenant, actor, found.id, after)
        [seq] = await self._publish(tenant, [found])
        if not await self._ingested(seq):
            return Reprocessed("queued")
        where = f"WHERE seq = {seq} AND vehicle = {_text(found.vehicle)} LIMIT 1"
        again = await asyncio.to_thread(self._query, tenant, where, 1)
        return Reprocessed("still-bad", again[0].reason) if again else Reprocessed("stored")

    async def reprocess_all(
        self, tenant: Tenant, reason: str | None, *, actor: str = "carcloud"
    ) -> tuple[int, int]:
        """Put back every letter (of one reason); returns how many (there were, were put back).

        Frames that the gateway refused stay: each needs somebody's own decision.
        """
        await asyncio.to_thread(self._audit, tenant, actor, "*", {"reason": reason})
        tried = queued = 0
        after: tuple[int, str] | None = None
        while True:
            letters = await asyncio.to_thread(self.page, tenant, reason, None, after, BULK_PAGE)
            tried += len(letters)
            for block in _blocks([letter for letter in letters if refusal(letter) is None]):
                queued += len(await self._publish(tenant, block))
            if len(letters) < BULK_PAGE:
                return tried, queued
            after = (letters[-1].received_us, letters[-1].id)

    async def put_back(
        self, tenant: Tenant, letters: Sequence[DeadLetter], *, actor: str = "carcloud"
    ) -> int:
        """Put these letters back, but for those that were before; returns how many."""
        known = await asyncio.to_thread(self._put_back, tenant, [one.id for one in letters])
        waiting = [one for one in letters if known.get(one.id, (0, 0))[1] <= one.seq]
        if not waiting:
            return 0
        await asyncio.to_thread(self._audit, tenant, actor, "*", {"letters": len(waiting)})
        for block in _blocks(waiting):
            await self._publish(tenant, block)
        return len(waiting)

    async def _ingested(self, seq: int) -> bool:
        """Wait until ingest has dealt with stream position `seq`; False = not within `WAIT_S`."""
        try:
            async with asyncio.timeout(WAIT_S):
                while await self._stream.confirmed(FRAMES.name, WRITER) < seq:  # noqa: ASYNC110
                    await asyncio.sleep(LOOK_S)  # the stream tells nobody when it is confirmed
        except TimeoutError:
            return False
        return True

    async def _publish(self, tenant: Tenant, letters: Sequence[DeadLetter]) -> list[int]:
        """Put letters of one protocol back as one block; returns the sequence of each."""
        known = await asyncio.to_thread(self._put_back, tenant, [one.id for one in letters])
        attempts = [(one.id, known.get(one.id, (0, 0))[0] + 1) for one in letters]
        told = hashlib.blake2b(repr((tenant, attempts)).encode(), digest_size=16).hexdigest()
        block = pack(
            [letter.vehicle for letter in letters],
            [letter.received_us for letter in letters],
            [None] * len(letters),
            [letter.data for letter in letters],
        )
        subject = frames_subject(tenant, letters[0].protocol)
        seq = await self._stream.publish(subject, block, f"reprocess-{told}")
        await asyncio.to_thread(self._remember, tenant, letters, seq)
        return [seq] * len(letters)

    def _audit(self, tenant: Tenant, actor: str, letter: str, after: dict[str, Any]) -> None:
        entry = AuditEntry(tenant, actor, "dead-letter.reprocess", letter, None, after)
        with self._records.transaction() as connection:
            record_changes(connection, [entry])

    def _remember(self, tenant: Tenant, letters: Sequence[DeadLetter], seq: int) -> None:
        rows = [
            {
                "tenant": tenant,
                "letter": letter.id,
                "attempts": 1,
                "seq": seq,
                "reason": kind_of(letter.reason)[:200],
                "received_us": letter.received_us,
                "requested_us": now_us(),
            }
            for letter in letters
        ]
        with self._records.transaction() as connection:
            upsert = sqlite if connection.dialect.name == "sqlite" else postgresql
            insert: Any = upsert.insert(reprocessed)
            changes = {
                "attempts": reprocessed.c.attempts + 1,
                "seq": insert.excluded.seq,
                "requested_us": insert.excluded.requested_us,
            }
            key = [reprocessed.c.tenant, reprocessed.c.letter]
            connection.execute(insert.on_conflict_do_update(index_elements=key, set_=changes), rows)

    def _put_back(self, tenant: Tenant, letters: Sequence[str]) -> dict[str, tuple[int, int]]:
        """(attempts, sequence) of those letters that were put back."""
        where = (reprocessed.c.tenant == tenant) & reprocessed.c.letter.in_(letters)
        columns = (reprocessed.c.letter, reprocessed.c.attempts, reprocessed.c.seq)
        with self._records.reading() as connection:
            rows = connection.execute(sa.select(*columns).where(where)).all()
        return {letter: (attempts, seq) for letter, attempts, seq in rows}

    def _put_back_by_reason(self, tenant: Tenant, oldest_us: int) -> dict[str, int]:
        """How many letters were put back; those that retention has dropped do not count."""
        columns = sa.select(reprocessed.c.reason, sa.func.count())
        where = (reprocessed.c.tenant == tenant) & (reprocessed.c.received_us >= oldest_us)
        with self._records.reading() as connection:
            rows = connection.execute(columns.where(where).group_by(reprocessed.c.reason)).all()
        return {reason: int(count) for reason, count in rows}

    def _select(
        self,
        tenant: Tenant,
        reason: str | None,
        vehicle: str | None,
        after: tuple[int, str] | None,
        limit: int,
    ) -> list[DeadLetter]:
        tests = ["true"]
        if reason is not None:
            tests.append(f"{_text(reason)} IN (reason, {_KIND})")
        if vehicle is not None:
            tests.append(f"vehicle = {_text(vehicle)}")
        if after is not None:
            tests.append(f"(epoch_us(received), id) < ({after[0]}, {_text(after[1])})")
        order = f"ORDER BY received DESC, id DESC LIMIT {limit}"
        return self._query(tenant, f"WHERE {' AND '.join(tests)} {order}", limit)

    def _query(self, tenant: Tenant, rest: str, limit: int) -> list[DeadLetter]:
        sql = (
            "SELECT id, vehicle, epoch_us(received) AS received_us, protocol, reason, clause, "  # noqa: S608 - values are quoted by `_text`
            f'"offset", frame AS data, seq FROM {TABLE} {rest}'
        )
        rows = self._lake.query(tenant, sql, QueryLimits(rows=limit)).table.to_pylist()
        return [DeadLetter(**row) for row in rows]


def kind_of(reason: str) -> str:
    """A reason with `#` for what varies between letters of one kind."""
    return re.sub(VARIABLE, "#", reason, flags=re.ASCII)


def refusal(letter: DeadLetter) -> str | None:
    """The code by which the gateway refused a frame that could be read; None = it could not."""
    code = letter.reason.partition(":")[0]
    return code if code in REFUSED else None


def _text(value: str) -> str:
    """A SQL string literal."""
    return "'" + value.replace("'", "''").replace("\0", "") + "'"


def _blocks(letters: Sequence[DeadLetter]) -> Iterator[list[DeadLetter]]:
    """Letters of one protocol together, at most `BLOCK_BYTES` of frames each."""
    for _, group in groupby(
        sorted(letters, key=lambda one: one.protocol), lambda one: one.protocol
    ):
        block: list[DeadLetter] = []
        size = 0
        for letter in group:
            if block and size + len(letter.data) > BLOCK_BYTES:
                yield block
                block, size = [], 0
            block.append(letter)
            size += len(letter.data)
        yield block
