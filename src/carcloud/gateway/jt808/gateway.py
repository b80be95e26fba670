"""The JT/T 808 listener: what its sessions share.

A session decodes only what it needs: header, registration, authentication, answers to commands.
All messages go to the outbox, and every reply that says "kept" leaves through it.
"""

from collections import OrderedDict

from carcloud.codecs.jt808.packets import Room
from carcloud.gateway.jt808.media import MediaDesk, MediaSink
from carcloud.gateway.jt808.rules import Rules
from carcloud.gateway.jt808.session import Session
from carcloud.gateway.limits import Doorkeeper, Limits
from carcloud.gateway.listener import Listener, LoginDesk
from carcloud.gateway.outbox import Outbox
from carcloud.gateway.roster import Roster
from carcloud.gateway.tenant_quotas import TenantQuotas
from carcloud.model.ids import Tenant

_REMEMBERED = 100_000  # terminals of 2011


class Editions:
    """Which terminals have registered as 2011: the header is that of 2013."""

    def __init__(self) -> None:
        self._old: OrderedDict[str, None] = OrderedDict()

    def learn(self, phone: str, edition: int) -> None:
        """A registration has told it."""
        if edition != 2011:
            self._old.pop(phone, None)
            return
        self._old[phone] = None
        if len(self._old) > _REMEMBERED:
            self._old.popitem(last=False)

    def of(self, phone: str) -> int:
        """2011 or 2013, for a terminal without the mark of 2019."""
        return 2011 if phone in self._old else 2013


class Jt808Gateway(Listener):
    """All sessions of one listener."""

    def __init__(
        self,
        outbox: Outbox,
        desk: LoginDesk,
        rules: Rules,
        limits: Limits,
        *,
        fallback_tenant: Tenant,
        media: MediaSink | None = None,
        quotas: TenantQuotas | None = None,
        roster: Roster | None = None,
        door: Doorkeeper | None = None,
    ) -> None:
        super().__init__(
            outbox,
            desk,
            limits,
            fallback_tenant=fallback_tenant,
            quotas=quotas,
            roster=roster,
            door=door,
        )
        self.rules = rules
        self.media = MediaDesk(media)  # without a sink, small media stay in their frames
        self.room = Room(rules.packets_bytes)
        self.editions = Editions()

    def session(self) -> Session:
        """A session for a new connection."""
        return Session(self)
