"""The JT/T 808 listener of a gateway process, and the buckets its media go to."""

import asyncio
import hashlib
import ssl
import threading
from collections.abc import Callable, Coroutine, Sequence
from typing import Any

from carcloud.app.engines import Engines
from carcloud.app.listeners import MakeOutbox, Shared, address_of, listen, tls_context
from carcloud.app.report import Figures
from carcloud.app.secret import sealing_secret
from carcloud.app.storage import make_storage
from carcloud.codecs.jt808.packets import PacketLimits
from carcloud.config import Settings
from carcloud.gateway.admission import AdmissionDesk
from carcloud.gateway.jt808.gateway import Jt808Gateway
from carcloud.gateway.jt808.media import MediaRefused
from carcloud.gateway.jt808.rules import PROTOCOL, Rules
from carcloud.model.ids import Tenant
from carcloud.model.limits import OverLimit
from carcloud.model.usage import DEFAULT_PROJECT
from carcloud.services.storage.api import (
    Bucket,
    BucketThere,
    NoBucket,
    NoKey,
    ObjectFacts,
    Storage,
    StorageRefusal,
    media_bucket,
)
from carcloud.services.tenancy.api import KnownLimits

_PREFIX = "gateway.jt808"
_ACTOR = "gateway"
_FORMATS = (
    ("jpg", "image/jpeg"),
    ("tif", "image/tiff"),
    ("mp3", "audio/mpeg"),
    ("wav", "audio/wav"),
    ("wmv", "video/x-ms-wmv"),
)  # by the format byte (8.42)


class Jt808Listener:
    """One listener and its outbox."""

    def __init__(
        self,
        settings: Settings,
        engines: Engines,
        shared: Shared,
        make_outbox: MakeOutbox,
        limits: KnownLimits,
    ) -> None:
        self._settings = settings
        self._server: asyncio.Server | None = None
        self.outbox = make_outbox(PROTOCOL, lambda on: self.gateway.press(on))  # noqa: PLW0108 - made below
        self.gateway = Jt808Gateway(
            self.outbox,
            shared.desk,
            _rules(settings),
            shared.limits,
            fallback_tenant=shared.fallback_tenant,
            media=MediaBuckets(lambda: make_storage(settings, engines, limits)),
            quotas=shared.quotas,
            roster=shared.roster,
            door=shared.door,
        )

    def desks(self) -> Sequence[AdmissionDesk[Any, Any]]:
        """None of its own."""
        return ()

    def works(self) -> Sequence[Callable[[], Coroutine[Any, Any, None]]]:
        """Nothing else."""
        return ()

    async def start(self, tls: ssl.SSLContext | None = None) -> dict[str, object] | None:
        """Listen; returns the address, None where JT/T 808 is turned off."""
        tls = tls or tls_context(self._settings, _PREFIX)
        self._server = await listen(self._settings, _PREFIX, self.gateway, tls)
        return address_of(self._server)

    def stop_listening(self) -> None:
        """Take no more."""
        if self._server is not None:
            self._server.close()
        self.gateway.press(True)

    async def drain(self, timeout_s: float) -> None:
        """Media that are being written become frames of the outbox."""
        await self.gateway.media.drain(timeout_s)

    def figures(self) -> Figures:
        """Packets that were asked for again, and media."""
        told = self.gateway.figures.frames
        return Figures(
            counters={
                "jt808_packets_total": told["packet"],
                "jt808_asked_again_total": told["asked again"],
                "jt808_media_total": told["media"],
            },
            gauges={"jt808_incomplete_bytes": self.gateway.room.used},
        )


class MediaBuckets:
    """Media of vehicles as objects: one bucket a tenant, `media-<tenant>`."""

    def __init__(self, open_storage: Callable[[], Storage]) -> None:
        self._open = open_storage
        self._storage: Storage | None = None
        self._guard = threading.Lock()

    def keep(self, tenant: Tenant, vehicle: str, header: bytes, data: bytes) -> str:
        """Keep them durably and return `bucket/key`; the same again changes nothing.

        Raises `MediaRefused`, `EngineError`.
        """
        with self._guard:
            if self._storage is None:
                self._storage = self._open()
        try:
            return self._keep(self._storage, tenant, vehicle, header, data)
        except (StorageRefusal, OverLimit) as error:
            raise MediaRefused(str(error)) from error

    def _keep(
        self, storage: Storage, tenant: Tenant, vehicle: str, header: bytes, data: bytes
    ) -> str:
        bucket = _bucket(storage, tenant)
        kind = _FORMATS[header[5]] if header[5] < len(_FORMATS) else ("bin", "")
        digest = hashlib.sha256(header + data).hexdigest()[:16]
        key = f"jt808/{vehicle}/{header[:4].hex()}-{digest}.{kind[0]}"
        try:
            storage.objects.find(bucket, key)
        except NoKey:
            storage.check_room(tenant, len(data))
            body = storage.objects.body(bucket)
            try:
                body.write(data)
                headers = {"content-type": kind[1]} if kind[1] else {}
                storage.objects.put(bucket, key, body.finish(), ObjectFacts(headers))
            except BaseException:
                body.abort()
                raise
        return f"{bucket.name}/{key}"


def _bucket(storage: Storage, tenant: Tenant) -> Bucket:
    name = media_bucket(tenant)
    try:
        return storage.buckets.find(tenant, name)
    except NoBucket:
        try:
            return storage.buckets.create(tenant, name, project=DEFAULT_PROJECT, actor=_ACTOR)
        except BucketThere:  # another gateway was first
            return storage.buckets.find(tenant, name, fresh=True)


def _rules(settings: Settings) -> Rules:
    prefix = f"{_PREFIX}."
    return Rules(
        secret=sealing_secret(settings),
        packets=PacketLimits(
            message_bytes=settings.whole(prefix + "message_mb") * 1_000_000,
            ask_after_s=settings.number(prefix + "packet_wait_s"),
        ),
        packets_bytes=settings.whole(prefix + "packets_mb") * 1_000_000,
    )
