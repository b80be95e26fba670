"""What the listeners of a gateway process have in common, and what the process needs of each."""

import asyncio
import ssl
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from carcloud.app.report import Figures
from carcloud.config import Settings
from carcloud.gateway.admission import AdmissionDesk
from carcloud.gateway.limits import Doorkeeper, Limits
from carcloud.gateway.listener import HANDSHAKE_S, Listener, LoginDesk
from carcloud.gateway.outbox import Outbox
from carcloud.gateway.roster import Roster
from carcloud.gateway.tenant_quotas import TenantQuotas
from carcloud.model.ids import Tenant


@dataclass(frozen=True, slots=True)
class Shared:
    """What all listeners of a gateway process have in common."""

    desk: LoginDesk
    limits: Limits
    fallback_tenant: Tenant
    quotas: TenantQuotas
    roster: Roster
    door: Doorkeeper


MakeOutbox = Callable[[str, Callable[[bool], None]], Outbox]
"""(protocol, what to call when it fills up or has room again) -> the way to the stream."""


class VehicleListener(Protocol):
    """One protocol: its sockets, its outbox and its desks."""

    @property
    def gateway(self) -> Listener:
        """The sessions."""

    @property
    def outbox(self) -> Outbox:
        """Where their frames go."""

    def desks(self) -> Sequence[AdmissionDesk[Any, Any]]:
        """Whose `run` must run, besides the shared one."""

    def works(self) -> Sequence[Callable[[], Coroutine[Any, Any, None]]]:
        """What else must run for ever."""

    async def start(self, tls: ssl.SSLContext | None = None) -> dict[str, object] | None:
        """Listen; returns the address, None where the protocol is turned off."""

    def stop_listening(self) -> None:
        """Take no more."""

    async def drain(self, timeout_s: float) -> None:
        """What is on its way to the outbox has come there."""

    def figures(self) -> Figures:
        """What the listener adds to the status of the process."""


async def listen(
    settings: Settings, prefix: str, gateway: Listener, tls: ssl.SSLContext | None
) -> asyncio.Server | None:
    """Open the listening socket of `<prefix>.host` and `.port`; None where the port is -1."""
    port = settings.whole(f"{prefix}.port")
    if port < 0:
        return None
    return await asyncio.get_running_loop().create_server(
        gateway.protocol,
        settings.text(f"{prefix}.host"),
        port,
        ssl=tls,
        ssl_handshake_timeout=HANDSHAKE_S if tls is not None else None,
        backlog=4096,
        reuse_port=True,  # with further gateways, and with the one that replaces this
    )


def address_of(server: asyncio.Server | None) -> dict[str, object] | None:
    """Host and port of a listening socket."""
    if server is None:
        return None
    host, port = server.sockets[0].getsockname()[:2]
    return {"host": host, "port": port}


def tls_context(settings: Settings, prefix: str) -> ssl.SSLContext | None:
    """TLS of a vehicle listener by `<prefix>.tls_cert` and so on; None when not set."""
    certificate = settings.text(f"{prefix}.tls_cert")
    if not certificate:
        return None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.load_cert_chain(certificate, settings.text(f"{prefix}.tls_key") or None)
    authority = settings.text(f"{prefix}.tls_client_ca")
    if authority:
        context.load_verify_locations(authority)
        context.verify_mode = ssl.CERT_REQUIRED
    return context
