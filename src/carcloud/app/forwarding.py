"""Forwarding to further platforms, as the jobs role runs it."""

import asyncio
import logging
from collections.abc import Callable

from carcloud.app.engines import Engines
from carcloud.app.platform_keys import opening, platform_keys
from carcloud.app.secret import sealing_secret
from carcloud.codecs.gbt32960.constants import Encryption
from carcloud.config import Settings
from carcloud.gateway.gbt32960.forward import Forwarder, Queue
from carcloud.model.ids import Tenant
from carcloud.ports.errors import EngineError
from carcloud.services.compliance.api import (
    Batch,
    Compliance,
    LinkSpec,
    Outgoing,
    Progress,
    UnknownLink,
    fresh_enough,
)
from carcloud.services.telemetry.decrypt_gbt32960 import Decrypt, decryptor
from carcloud.services.vehicles.api import Remembered, Vehicles

log = logging.getLogger(__name__)

_LOOK_S = 2  # between two looks at the table of links
_WARN_S = 60  # between two looks at how far they are behind
_ENCRYPTION = 21  # offset of the byte that says how the data unit is encrypted (6.2 table 2)


class Forwarding:
    """Runs the links of all tenants that are enabled."""

    def __init__(self, compliance: Compliance, decrypt: Decrypt) -> None:
        self._compliance = compliance
        self._decrypt = decrypt
        self._links: dict[tuple[Tenant, LinkSpec], asyncio.Task[None]] = {}
        self.warnings: list[str] = []

    @property
    def running(self) -> int:
        """How many links run."""
        return len(self._links)

    async def run(self) -> None:
        """Start and stop links as the table changes, until cancelled; then say goodbye."""
        await self._until_done(self._compliance.disconnect_all)
        try:
            while True:
                await self._follow()
                await asyncio.sleep(_LOOK_S)
        finally:
            tasks = list(self._links.values())
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def watch(self) -> None:
        """Now and then look whether a link is so far behind that frames are lost."""
        while True:
            try:
                self.warnings = await asyncio.to_thread(self._compliance.warnings)
            except EngineError as error:
                log.warning("forwarding is not watched: %s", error)
            await asyncio.sleep(_WARN_S)

    async def _follow(self) -> None:
        try:
            wanted = set(await asyncio.to_thread(self._compliance.enabled))
        except EngineError as error:
            log.warning("forwarding waits: %s", error)
            return
        for key in set(self._links) - wanted:
            task = self._links.pop(key)
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
        for key in wanted - set(self._links):
            self._links[key] = asyncio.create_task(self._link(*key))

    async def _link(self, tenant: Tenant, spec: LinkSpec) -> None:
        """One link until cancelled, through every trouble of the engines."""
        queue = _queue(self._compliance, self._decrypt, tenant, spec.name)
        link = Forwarder(spec, queue)
        try:
            while True:
                try:
                    await link.run()
                except EngineError as error:
                    log.warning("link %s waits: %s", spec.name, error)
                except UnknownLink:
                    return  # removed; the next look at the table forgets it
                except Exception as error:
                    log.error("link %s failed", spec.name, exc_info=error)
                    await self._say(tenant, spec.name, f"failed: {error!r}")
                await asyncio.sleep(_LOOK_S)
        finally:
            self._compliance.forget(tenant, spec.name)
            await self._say(tenant, spec.name, None)

    async def _say(self, tenant: Tenant, name: str, problem: str | None) -> None:
        try:
            await asyncio.to_thread(
                self._compliance.tell, tenant, name, connected=False, problem=problem
            )
        except EngineError as error:
            log.warning("the state of link %s is not told: %s", name, error)

    async def _until_done(self, work: Callable[[], None]) -> None:
        while True:
            try:
                await asyncio.to_thread(work)
            except EngineError as error:
                log.warning("forwarding waits: %s", error)
                await asyncio.sleep(_LOOK_S)
            else:
                return


def make_compliance(settings: Settings, engines: Engines) -> Compliance:
    """The compliance service of an installation."""
    return Compliance(
        engines.records,
        engines.lake,
        secret=sealing_secret(settings),
        frames_days=settings.whole("lake.frames_days") or None,
    )


def make_forwarding(settings: Settings, engines: Engines) -> Forwarding:
    """The forwarding of an installation."""
    vehicles = Vehicles(engines.records, secret=sealing_secret(settings))
    keys = Remembered(vehicles.keys)
    decrypt = decryptor(
        lambda vehicle: keys.many([vehicle]).get(vehicle),
        platform_keys(settings),
        opening(settings),
    )
    return Forwarding(make_compliance(settings, engines), decrypt)


def in_clear(frame: Outgoing, decrypt: Decrypt) -> bytes:
    """The frame as a further platform can read it; as it came if it cannot be opened any more."""
    if frame.raw[_ENCRYPTION] == Encryption.NONE:
        return frame.raw
    try:
        return decrypt(frame.vehicle, frame.raw, frame.time_us)
    except ValueError as error:
        log.info("a frame of %s goes out encrypted: %s", frame.vehicle, error)
        return frame.raw


def _queue(compliance: Compliance, decrypt: Decrypt, tenant: Tenant, name: str) -> Queue:
    async def following() -> Batch | None:
        return await asyncio.to_thread(compliance.next, tenant, name)

    async def advance(batch: Batch, progress: Progress) -> None:
        await asyncio.to_thread(compliance.advance, tenant, name, batch, progress)

    async def tell(connected: bool, problem: str | None) -> None:
        await asyncio.to_thread(
            lambda: compliance.tell(tenant, name, connected=connected, problem=problem)
        )

    return Queue(following, advance, tell, fresh_enough, lambda frame: in_clear(frame, decrypt))
