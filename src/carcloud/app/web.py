"""The web role: console, API and what feeds them."""

import asyncio
import contextlib
import logging
import signal
import socket
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from carcloud import lean
from carcloud.app.commands import make_commands
from carcloud.app.compute import make_jobs
from carcloud.app.engine_facts import known_engines
from carcloud.app.engines import Engines, open_engines
from carcloud.app.forgetting import forgetting
from carcloud.app.forwarding import make_compliance
from carcloud.app.known_tenants import KnownTenants
from carcloud.app.report import Figures, Reporter
from carcloud.app.s3 import serve_s3
from carcloud.app.secret import sealing_secret
from carcloud.app.storage import make_storage
from carcloud.app.tokens import end_key, give_signs, local_key
from carcloud.codecs.gbt32960.describe import decode_line
from carcloud.codecs.jt808.describe import decode_bytes
from carcloud.config import Settings
from carcloud.endings import begin, end
from carcloud.engines.openid_http import OpenIdHttp
from carcloud.model.figures import by_label
from carcloud.model.ids import Tenant
from carcloud.model.limits import REQUESTS
from carcloud.ports.errors import EngineError
from carcloud.ports.lake import QueryLimits
from carcloud.rundir import RunDir
from carcloud.services.campaigns.api import Campaigns, DryRun, Follow
from carcloud.services.commands.api import without_secrets
from carcloud.services.compliance.api import PlatformAccounts
from carcloud.services.telemetry.api import QueryOptions, QueryQuota, Telemetry
from carcloud.services.tenancy.api import NotSignedIn, Tenancy
from carcloud.services.tenant_life.api import TenantLife
from carcloud.services.vehicles.api import Vehicles
from carcloud.services.vocabulary.api import Mappings, Vocabulary
from carcloud.web.application import Services, create_app
from carcloud.web.given import CampaignParts, S3Address
from carcloud.web.observed import WebFigures
from carcloud.web.proxies import TrustedProxies
from carcloud.web.rates import RequestRates
from carcloud.web.s3.figures import S3Figures
from carcloud.web.serve import Door, serve

log = logging.getLogger(__name__)


async def run_web(settings: Settings, instance: str, listeners: Mapping[str, int]) -> None:
    """Serve until SIGTERM; after SIGHUP until those who are connected have been told to go.

    `listeners`: file descriptors of listening sockets, `web` and `s3`, that this process shares
    with the one that comes after it.
    """
    engines = await open_engines(settings)
    known = KnownTenants(engines.stream, engines.records, instance, "web")
    await known.start()
    services = make_services(settings, engines, known)
    stopped = asyncio.Event()
    loop = asyncio.get_running_loop()
    doors = Door(listeners.get("web")), Door(listeners.get("s3"))
    replaced = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopped.set)

    def replace() -> None:
        replaced.set()
        stopped.set()

    loop.add_signal_handler(signal.SIGHUP, replace)
    run = RunDir(Path(settings.text("data")))
    token = await asyncio.to_thread(_local_token, run, services.tenancy)
    figures, s3_figures = WebFigures(use=known.counter.add), S3Figures()
    rates = RequestRates(lambda tenant: known.rate(tenant, REQUESTS))
    s3_address = S3Address(settings.text("storage.url"))
    app = create_app(
        services,
        settings,
        figures=figures,
        rates=rates,
        s3=s3_address,
        engines=known_engines(settings, engines, services.telemetry),
    )
    host, port = settings.text("web.host"), settings.whole("web.port")
    buckets = serve_s3(
        settings,
        services.storage,
        services.tenancy,
        known.limits,
        engines.stream,
        instance,
        s3_figures,
        rates,
        doors[1],
    )  # fmt: skip
    proxies = TrustedProxies.of(settings)
    async with buckets as s3, serve(app, host, port, figures, doors[0], proxies) as address:
        s3_address.url = s3_address.url or s3.url
        run.write_web(address.url, token)
        run.write_ready("web", {"url": address.url, "s3": s3.url})
        lean.started()

        def told() -> Figures:
            return web_figures(figures, services, s3_figures, rates)

        reporter = Reporter(engines.stream, "web", instance, told)
        tasks = [
            begin(reporter.run, "the status report"),
            begin(lambda: _each_second(known, rates, services), "the limits of tenants"),
            forgetting(engines, services.storage),
            begin(lambda: give_signs(services.tenancy, token), "the key of local commands"),
        ]
        await stopped.wait()
        if replaced.is_set():
            await asyncio.gather(*(door.close() for door in doors))
        await end(tasks)
    await known.stop()
    if not replaced.is_set():
        await asyncio.to_thread(end_key, services.tenancy, token)
    await engines.close()


def _local_token(run: RunDir, tenancy: Tenancy) -> str:
    """The key that a web process at this data folder has left, as long as it is good."""
    token = run.kept_token()
    if token is not None:
        with contextlib.suppress(NotSignedIn):
            tenancy.keys.identify(token)
            return token
    return local_key(tenancy, f"{socket.gethostname()}:{run.data}")


async def _each_second(known: KnownTenants, rates: RequestRates, services: Services) -> None:
    forgotten = set[Tenant]()
    while True:
        await known.each_second({REQUESTS: rates.take_counts()})
        for tenant in known.suspended - forgotten:
            try:
                await services.telemetry.forget(tenant)
            except EngineError as error:
                log.info("%s is not forgotten yet: %s", tenant, error)
            else:
                forgotten.add(tenant)
        forgotten &= known.suspended
        await asyncio.sleep(1)


def web_figures(
    figures: WebFigures, services: Services, s3: S3Figures, rates: RequestRates
) -> Figures:
    """What the status of a web process says."""
    queries = services.telemetry.queries
    return Figures(
        counters={
            **figures.counters(),
            **s3.counters(),
            **by_label("quota_refusals_total", "limit", {REQUESTS: rates.refused.total()}),
            "queries_total": queries.answered,
            "queries_cut_total": queries.cut,
            "queries_cancelled_total": queries.cancelled,
            **by_label("queries_refused_total", "limit", queries.refused),
        },
        gauges={"live_clients": figures.live_clients, "queries_running": queries.running},
    )


def kept_jt808(message: bytes, edition: str | None) -> Mapping[str, Any]:
    """A kept message of JT/T 808 as JSON, without the passwords among a terminal's parameters.

    2011 is known by the registration only.
    """
    found = decode_bytes(message, registered=2011 if edition == "2011" else 2013)[0]
    shown: Mapping[str, Any] = without_secrets(found)
    return shown


def make_services(settings: Settings, engines: Engines, known: KnownTenants) -> Services:
    """The services that the routes call."""

    def query_ms(tenant: Tenant, start: int, end: int) -> int:
        told = known.metering.total(tenant, "query_seconds", start, end)
        return told + known.counter.waiting(tenant, "query_seconds")

    def held(tenant: Tenant) -> dict[str, str]:
        found = engines.lake.tables(tenant)
        return dict(next((one.columns for one in found if one.name == "signals" and one.rows), ()))

    vocabulary = Vocabulary(engines.records, held=held)
    telemetry = Telemetry(
        engines.lake,
        engines.stream,
        engines.blobs,
        engines.records,
        data=Path(settings.text("data")),
        reserve_mb=settings.whole("disk.reserve_mb"),
        signals=vocabulary.catalogue,
        decoders={
            "gbt32960": lambda frame, _: decode_line(frame.hex()),
            "jt808": kept_jt808,
        },
        options=QueryOptions(
            QueryLimits(
                settings.whole("query.rows"),
                settings.number("query.seconds"),
                settings.whole("query.memory_mb"),
            ),
            settings.whole("query.concurrent"),
            settings.whole("query.waiting"),
        ),
        quota=QueryQuota(known.limit, query_ms, known.counter.add),
    )
    storage = make_storage(settings, engines, known.limits, known.lake_bytes)
    return Services(
        Tenancy(
            engines.records,
            secret=sealing_secret(settings),
            provider_web=OpenIdHttp(private=settings.flag("openid.private")),
        ),
        Vehicles(engines.records, secret=sealing_secret(settings)),
        vocabulary,
        Mappings(engines.records, vocabulary.catalogue),
        telemetry,
        make_commands(settings, engines),
        CampaignParts(
            Campaigns(engines.records, engines.stream, catalogue=vocabulary.catalogue),
            DryRun(engines.lake, known.metering.price),
            Follow(engines.records, engines.lake),
        ),
        make_compliance(settings, engines),
        PlatformAccounts(engines.records),
        make_jobs(settings, engines),
        storage,
        known.metering,
        TenantLife(
            engines.records,
            storage,
            days=lambda: settings.number("tenants.deletion_days"),
            second_person=lambda: settings.flag("tenants.deletion_approval"),
        ),
    )
