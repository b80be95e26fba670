"""The GB/T 32960 listener of a gateway process, and what it asks of registry and accounts."""

import asyncio
import ssl
from collections.abc import Callable, Coroutine, Sequence
from typing import Any

from carcloud.app.engines import Engines
from carcloud.app.listeners import MakeOutbox, Shared, address_of, listen, tls_context
from carcloud.app.platform_keys import platform_keys, signature_rule
from carcloud.app.report import Figures
from carcloud.codecs.gbt32960.errors import FrameError
from carcloud.config import Settings
from carcloud.gateway.admission import LOGIN_FAILED, Admission, AdmissionDesk, Login
from carcloud.gateway.gbt32960.carried import (
    CARRIED_FAILED,
    CarriedClerk,
    CarriedDesk,
    CarriedVehicles,
)
from carcloud.gateway.gbt32960.gateway import Gbt32960Gateway, KeyDesk
from carcloud.gateway.gbt32960.keys import KEY_FAILED, KeyClerk, SignatureCheck
from carcloud.gateway.gbt32960.rules import PROTOCOL, Rules, platform_credentials
from carcloud.gateway.listener import LoginDesk
from carcloud.model.ids import Tenant
from carcloud.services.compliance.api import PlatformAccounts
from carcloud.services.vehicles.api import Vehicles

_PREFIX = "gateway.gbt32960"
_PLATFORMS_PER_SECOND = 2  # a password costs a tenth of a second of a core
_KEYS_PER_SECOND = 200  # activations and key exchanges; each is checked and written


class Gbt32960Listener:
    """One listener, its outbox and its desks."""

    def __init__(
        self,
        settings: Settings,
        engines: Engines,
        shared: Shared,
        make_outbox: MakeOutbox,
        vehicles: Vehicles,
        auto_register: Tenant | None,
    ) -> None:
        self._settings = settings
        self._server: asyncio.Server | None = None
        self._accounts = PlatformAccounts(engines.records)
        self.outbox = make_outbox(PROTOCOL, lambda on: self.gateway.press(on))  # noqa: PLW0108 - made below
        self.platforms: LoginDesk = AdmissionDesk(
            self._admit_platforms, _PLATFORMS_PER_SECOND, failed=LOGIN_FAILED, batch=1
        )
        clerk = KeyClerk(vehicles, auto_register, platform_keys(settings))
        self.keys: KeyDesk = AdmissionDesk(clerk.answer, _KEYS_PER_SECOND, failed=KEY_FAILED)
        self.carried: CarriedDesk = AdmissionDesk(
            CarriedClerk(vehicles, self._accounts).answer,
            settings.number("gateway.logins_per_second"),
            failed=CARRIED_FAILED,
        )
        rule = signature_rule(settings)
        self.gateway = Gbt32960Gateway(
            self.outbox,
            shared.desk,
            _rules(settings),
            shared.limits,
            fallback_tenant=shared.fallback_tenant,
            check_report=None if rule is None else SignatureCheck(rule),
            keys=self.keys,
            platforms=self.platforms,
            carried=CarriedVehicles(self.carried),
            quotas=shared.quotas,
            roster=shared.roster,
            door=shared.door,
        )

    def desks(self) -> Sequence[AdmissionDesk[Any, Any]]:
        """Whose `run` must run."""
        return self.platforms, self.keys, self.carried

    def works(self) -> Sequence[Callable[[], Coroutine[Any, Any, None]]]:
        """Nothing else."""
        return ()

    async def start(self, tls: ssl.SSLContext | None = None) -> dict[str, object] | None:
        """Listen; returns the address. GB/T 40855-2021 5.4 asks for TLS."""
        tls = tls or tls_context(self._settings, _PREFIX)
        self._server = await listen(self._settings, _PREFIX, self.gateway, tls)
        return address_of(self._server)

    def stop_listening(self) -> None:
        """Take no more."""
        if self._server is not None:
            self._server.close()
        self.gateway.press(True)

    async def drain(self, timeout_s: float) -> None:
        """Frames go to the outbox at once."""

    def figures(self) -> Figures:
        """Nothing that not every listener tells."""
        return Figures({}, {})

    def _admit_platforms(self, logins: Sequence[Login]) -> list[Admission]:
        """Ask the platform accounts; runs in a thread."""
        return [self._admit_platform(login, login.platform or b"") for login in logins]

    def _admit_platform(self, login: Login, data: bytes) -> Admission:
        try:
            user, password = platform_credentials(data)
        except FrameError as error:
            return Admission(None, str(error))
        tenant = self._accounts.admit(login.vehicle, user, password)
        return Admission(tenant, "" if tenant else "no platform account with these credentials")


def _rules(settings: Settings) -> Rules:
    prefix = f"{_PREFIX}."
    return Rules(
        reply_reports=settings.flag(prefix + "reply_reports"),
        reply_body="echo" if settings.text(prefix + "reply_body") == "echo" else "time",
        reissue_days_2016=settings.whole(prefix + "reissue_days_2016"),
        reissue_days_2025=settings.whole(prefix + "reissue_days_2025"),
        future_tolerance_s=settings.whole("gateway.future_tolerance_s"),
    )
