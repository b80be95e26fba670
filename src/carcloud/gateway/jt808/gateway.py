"""The JT/T 808 listener: what its sessions share.

A session decodes only what it needs: header, registration, authentication, answers to commands.
All messages go to the outbox, and every reply that says "kept" leaves through it.
"""

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

    def session(self) -> Session:
        """A session for a new connection."""
        return Session(self)
