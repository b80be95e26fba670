"""Which campaigns a tenant has, for those who ask with every message."""

from sqlalchemy import select

from carcloud.model.ids import Tenant
from carcloud.ports.records import Records
from carcloud.services.campaigns.store import campaigns, metadata


class KnownCampaigns:
    """Asks the records only after something in them has changed; raises `EngineError`."""

    def __init__(self, records: Records) -> None:
        records.create(metadata)
        self._records = records
        self._at: int | None = None
        self._known: dict[Tenant, frozenset[str]] = {}

    def __call__(self, tenant: Tenant) -> frozenset[str]:
        """The ids of all campaigns of a tenant, those that have ended too."""
        at_hand = self._records.version_at_hand()
        if at_hand is None:
            at_hand = self._records.version()
        if at_hand != self._at:
            self._known.clear()
            self._at = at_hand
        if tenant not in self._known:
            mine = select(campaigns.c.id).where(campaigns.c.tenant == tenant)
            with self._records.reading() as db:
                self._known[tenant] = frozenset(db.execute(mine).scalars())
        return self._known[tenant]
