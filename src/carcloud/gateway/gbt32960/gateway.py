"""The GB/T 32960 listener: what its sessions share, and who is connected.

A session decodes only what it needs: the header, the collection time, who logs in. All frames go
to the outbox, and every reply leaves through it, so that an acknowledged frame is durable.
"""

from typing import Protocol

from carcloud.codecs.gbt32960.constants import Flag
from carcloud.codecs.gbt32960.errors import FrameError
from carcloud.codecs.gbt32960.frame import Frame
from carcloud.gateway.admission import Admission, AdmissionDesk
from carcloud.gateway.gbt32960.carried import CarriedVehicles
from carcloud.gateway.gbt32960.keys import KeyAnswer, KeyRequest
from carcloud.gateway.gbt32960.rules import Rules, Windows
from carcloud.gateway.gbt32960.session import Session
from carcloud.gateway.limits import Doorkeeper, Limits
from carcloud.gateway.listener import Listener, LoginDesk
from carcloud.gateway.outbox import Outbox
from carcloud.gateway.roster import Roster
from carcloud.gateway.tenant_quotas import TenantQuotas
from carcloud.model.ids import Tenant
from carcloud.model.time import now_us

KeyDesk = AdmissionDesk[KeyRequest, KeyAnswer]


class ReportCheck(Protocol):
    """Looks at a report before it is accepted, beyond header and time."""

    def concerns(self, edition: int, admission: Admission) -> bool:
        """Whether reports of this edition and vehicle are looked at, or all are good."""

    def __call__(self, frame: Frame, admission: Admission) -> tuple[Flag, FrameError] | None:
        """None when the report is good; else the reply flag and what is wrong."""


class Gbt32960Gateway(Listener):
    """All sessions of one listener."""

    def __init__(
        self,
        outbox: Outbox,
        desk: LoginDesk,
        rules: Rules,
        limits: Limits,
        *,
        fallback_tenant: Tenant,
        check_report: ReportCheck | None = None,
        keys: KeyDesk | None = None,
        platforms: LoginDesk | None = None,
        carried: CarriedVehicles | None = None,
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
        self.check_report = check_report
        self.keys = keys  # without it, activations and key exchanges are only kept
        self.platforms = platforms or desk  # answers the logins of platforms
        self.carried = carried  # without it, platforms bring whom they like
        self.windows = Windows(rules)
        self.windows.refresh(now_us())

    def session(self) -> Session:
        """A session for a new connection."""
        return Session(self)

    def sweep(self, now: float) -> None:
        """Once a second: time windows, and what every listener does."""
        self.windows.refresh(now_us())
        super().sweep(now)
