"""The MQTT listener of a gateway process, and what it asks the registry and the store."""

import asyncio
import contextlib
import json
import ssl
from collections.abc import Callable, Coroutine, Sequence
from typing import Any

from carcloud.app.engines import Engines
from carcloud.app.listeners import MakeOutbox, Shared, address_of, listen, tls_context
from carcloud.app.mqtt_commands import MqttCommands
from carcloud.app.report import Figures
from carcloud.config import Settings
from carcloud.gateway.admission import AdmissionDesk
from carcloud.gateway.mqtt.downlink import (
    NOTHING,
    Delivered,
    Downlink,
    Forbidden,
    Found,
    Look,
    Told,
)
from carcloud.gateway.mqtt.gateway import MqttGateway
from carcloud.gateway.mqtt.rules import PROTOCOL, Rules
from carcloud.model.figures import by_label
from carcloud.model.ids import Tenant
from carcloud.model.streams import down_subject
from carcloud.model.time import SECOND, now_us
from carcloud.ports.errors import EngineError
from carcloud.services.tenancy.api import AuditEntry
from carcloud.services.vehicles.api import Outgoing, Wanted, announce

_PREFIX = "gateway.mqtt"
_LOOKS_PER_SECOND = 20_000  # of sessions for what waits for their vehicle
_DELIVERIES_PER_SECOND = 2_000  # messages that vehicles have, to be taken away
_TOLD_PER_SECOND = 2_000  # what vehicles tell of commands and of their state
_ATTEMPTS_PER_SECOND = 20  # on forbidden topics that reach the audit
_ROUND_S = 10  # between looks at which vehicles were put something for
_OVERLAP_US = 20 * SECOND  # of such looks: clocks of several machines differ


class MqttListener:
    """One listener, its outbox and its desks."""

    def __init__(
        self,
        settings: Settings,
        engines: Engines,
        shared: Shared,
        make_outbox: MakeOutbox,
    ) -> None:
        self._settings = settings
        self._stream = engines.stream
        self._outgoing = Outgoing(engines.records)
        self._server: asyncio.Server | None = None
        self._telling: set[asyncio.Task[None]] = set()
        self.outbox = make_outbox(PROTOCOL, lambda on: self.gateway.press(on))  # noqa: PLW0108 - made below
        self._looks: AdmissionDesk[Look, Found] = AdmissionDesk(
            self._look, _LOOKS_PER_SECOND, failed=NOTHING
        )
        self._deliveries: AdmissionDesk[Delivered, bool] = AdmissionDesk(
            self._delivered, _DELIVERIES_PER_SECOND, failed=False
        )
        self._attempts: AdmissionDesk[Forbidden, bool] = AdmissionDesk(
            self._note, _ATTEMPTS_PER_SECOND, failed=False
        )
        commands = self._commands = MqttCommands(engines)
        self._told: AdmissionDesk[Told, str] = AdmissionDesk(
            commands.told, _TOLD_PER_SECOND, failed="it could not be kept"
        )
        self.gateway = MqttGateway(
            self.outbox,
            shared.desk,
            _rules(settings),
            shared.limits,
            fallback_tenant=shared.fallback_tenant,
            downlink=Downlink(self._looks, self._deliveries, self._told),
            on_forbidden=lambda attempt: _asked(self._attempts.ask(attempt, _nothing)),
            tell_others=self._tell_others,
            quotas=shared.quotas,
            roster=shared.roster,
            door=shared.door,
        )

    def desks(self) -> Sequence[AdmissionDesk[Any, Any]]:
        """Whose `run` must run."""
        return self._looks, self._deliveries, self._attempts, self._told

    def works(self) -> Sequence[Callable[[], Coroutine[Any, Any, None]]]:
        """What else must run for ever."""
        return (self._keep_looking,)

    async def start(self, tls: ssl.SSLContext | None = None) -> dict[str, object] | None:
        """Listen; returns the address, None where MQTT is turned off."""
        self._server = await listen(
            self._settings, _PREFIX, self.gateway, tls or _tls(self._settings)
        )
        loop = asyncio.get_running_loop()

        def put_again(told: Told) -> None:
            loop.call_soon_threadsafe(self.gateway.look, [told.vehicle])

        self._commands.on_put_again(put_again)
        await self._stream.listen(down_subject(Tenant("*")), self._hear)
        return address_of(self._server)

    def stop_listening(self) -> None:
        """Take no more."""
        if self._server is not None:
            self._server.close()
        self.gateway.press(True)

    async def drain(self, timeout_s: float) -> None:
        """Nothing is on its way."""

    async def _keep_looking(self) -> None:
        """For ever: see what was put for vehicles, where no word of it has come."""
        since = now_us()
        while True:
            await asyncio.sleep(_ROUND_S)
            here, begun = self.gateway.connected(), now_us()
            if not here:
                since = begun
                continue
            try:
                found = await asyncio.to_thread(
                    self._outgoing.changed_since, since - _OVERLAP_US, here
                )
                await asyncio.to_thread(self._outgoing.forget_expired)
            except EngineError:  # the desks say so
                continue
            since = begun
            self.gateway.look(found)

    def figures(self) -> Figures:
        """What the listener adds to the status of the process."""
        told = self.gateway.mqtt
        return Figures(
            counters={
                "mqtt_delivered_total": told.delivered,
                "mqtt_forbidden_total": told.forbidden,
                "mqtt_wills_total": told.wills,
                "mqtt_subscriptions_refused_total": told.subscriptions_refused,
                "mqtt_sessions_dropped_total": self.gateway.states.dropped,
                **by_label("mqtt_undelivered_total", "reason", told.dropped),
            },
            gauges={"mqtt_sessions_waiting": len(self.gateway.states)},
        )

    def _tell_others(self, tenant: Tenant, vehicle: str) -> None:
        """Something waits for a vehicle that has gone from here: another gateway may have it."""

        async def tell() -> None:
            with contextlib.suppress(EngineError):  # they look by themselves
                await announce(self._stream, tenant, [vehicle])

        task = asyncio.create_task(tell())
        self._telling.add(task)
        task.add_done_callback(self._telling.discard)

    async def _hear(self, _subject: str, data: bytes) -> None:
        self.gateway.look(json.loads(data))

    def _look(self, looks: Sequence[Look]) -> list[Found]:
        """In a thread."""
        wanted = [
            Wanted(one.tenant, one.vehicle, one.filters, one.known, one.held) for one in looks
        ]
        found = self._outgoing.look(wanted)
        return [Found(one.messages, one.more, one.gone) for one in found]

    def _delivered(self, had: Sequence[Delivered]) -> list[bool]:
        """In a thread."""
        self._outgoing.delivered((one.tenant, one.vehicle, one.id) for one in had)
        return [True] * len(had)

    def _note(self, attempts: Sequence[Forbidden]) -> list[bool]:
        """In a thread: what a vehicle tried and may not."""
        entries = [
            AuditEntry(
                one.tenant, one.vehicle, f"vehicle.{one.what}", one.vehicle, None,
                {"topic": one.topic[:200]}, denied=True, address=one.address,
            )
            for one in attempts
        ]  # fmt: skip
        self._outgoing.note_attempts(entries)
        return [True] * len(attempts)


def _nothing(_: bool) -> None:
    """Nobody waits for the answer."""


def _asked(_ticket: int) -> None:
    """The desk will see to it."""


def _rules(settings: Settings) -> Rules:
    prefix = f"{_PREFIX}."
    return Rules(
        max_packet_bytes=settings.whole(prefix + "max_packet_kb") * 1024,
        receive_maximum=settings.whole(prefix + "receive_maximum"),
        topic_aliases=settings.whole(prefix + "topic_aliases"),
        keep_alive_s=settings.whole(prefix + "keep_alive_s"),
        session_s=int(settings.number(prefix + "session_hours") * 3600),
        sessions=settings.whole(prefix + "max_sessions"),
        subscriptions=settings.whole(prefix + "subscriptions"),
        window=settings.whole(prefix + "window"),
    )


def _tls(settings: Settings) -> ssl.SSLContext | None:
    """A certificate is asked of vehicles where there is a CA: one with a token needs none."""
    context = tls_context(settings, _PREFIX)
    required = settings.flag(f"{_PREFIX}.tls_client_required")
    if context is not None and context.verify_mode == ssl.CERT_REQUIRED and not required:
        context.verify_mode = ssl.CERT_OPTIONAL
    return context
