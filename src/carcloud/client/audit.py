"""Methods of the audit: the record of changes and refusals."""

from typing import Any

from carcloud.client.access_types import AuditEntry, Chain
from carcloud.client.exchange import Bytes, Call, Listing, Moment, Stream, get
from carcloud.client.methods import AsyncGroup, Group, call, many
from carcloud.client.types import Page


class _Audit:
    @many
    def list(
        self,
        *,
        actor: str | None = None,
        action: str | None = None,
        subject: str | None = None,
        denied: bool | None = None,
        start: Moment | None = None,
        end: Moment | None = None,
        limit: int | None = None,
    ) -> Listing[AuditEntry]:
        """Entries, newest first, from `start` to before `end`; `limit` None = all."""
        which = _which(actor, action, subject, denied, start, end)
        return Listing(get("/v1/audit", Page[AuditEntry], **which), limit)

    @many
    def export(
        self,
        *,
        actor: str | None = None,
        action: str | None = None,
        subject: str | None = None,
        denied: bool | None = None,
        start: Moment | None = None,
        end: Moment | None = None,
    ) -> Stream[bytes]:
        """The same as lines of JSON, in pieces as they come."""
        which = _which(actor, action, subject, denied, start, end)
        return Bytes(get("/v1/audit/export", bytes, **which))

    @call
    def verify(self) -> Call[Chain]:
        """Check that nothing was altered or removed."""
        return get("/v1/audit/verify", Chain)


def _which(
    actor: str | None,
    action: str | None,
    subject: str | None,
    denied: bool | None,
    start: Moment | None,
    end: Moment | None,
) -> dict[str, Any]:
    who = {"actor": actor, "action": action, "subject": subject}
    return {**who, "denied": denied, "from": start, "to": end}


class AuditGroup(Group, _Audit):
    """`client.audit`"""


class AsyncAuditGroup(AsyncGroup, _Audit):
    """`client.audit`"""
