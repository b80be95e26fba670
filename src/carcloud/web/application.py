"""The HTTP application: routes, guards, errors and documents put together."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
from litestar import Litestar, MediaType, Request, Router, get
from litestar.di import Provide
from litestar.openapi.config import OpenAPIConfig
from litestar.openapi.plugins import JsonRenderPlugin
from litestar.openapi.spec import Components, SecurityScheme
from litestar.types import Guard

from carcloud import __version__
from carcloud.config import Settings
from carcloud.model.ids import Tenant
from carcloud.services.commands.api import Commands
from carcloud.services.compliance.api import Compliance, PlatformAccounts
from carcloud.services.compute.api import Jobs
from carcloud.services.metering.api import Metering
from carcloud.services.storage.api import Storage
from carcloud.services.telemetry.api import Telemetry
from carcloud.services.tenancy.api import Tenancy
from carcloud.services.tenant_life.api import TenantLife
from carcloud.services.vehicles.api import Vehicles
from carcloud.services.vocabulary.api import Mappings, Vocabulary
from carcloud.web import console, document, reference
from carcloud.web.api import (
    audit,
    buckets,
    budgets,
    campaigns,
    commands,
    dead_letters,
    forwarding,
    history_work,
    invitations,
    jobs,
    keys,
    mappings,
    models,
    objects,
    openid,
    operation,
    people,
    places,
    prices,
    queries,
    registration,
    schedules,
    second_factor,
    sessions,
    signals,
    system,
    telemetry,
    tenant_deletions,
    tenant_exports,
    tenants,
    usage,
    vehicles,
)
from carcloud.web.callers import COOKIE, Callers, LabelsOf, caller_of
from carcloud.web.describe import TAGS
from carcloud.web.fleet import FleetView
from carcloud.web.given import CampaignParts, Engine, S3Address
from carcloud.web.live import LiveFeed
from carcloud.web.observed import WebFigures
from carcloud.web.problems import Translate, exception_handlers
from carcloud.web.quick import give_in_turn, one_guard
from carcloud.web.quick_reads import QuickReads
from carcloud.web.rates import RequestRates, add_rate_headers
from carcloud.web.refusals import Refusals
from carcloud.web.security import BodyLimit, add_headers, same_origin
from carcloud.web.sight import Sights
from carcloud.web.threads import Threads

PROVIDER_CALLS = 32  # at the same time


@dataclass(frozen=True, slots=True)
class Services:
    """What the routes call."""

    tenancy: Tenancy
    vehicles: Vehicles
    vocabulary: Vocabulary
    mappings: Mappings
    telemetry: Telemetry
    commands: Commands
    campaigns: CampaignParts
    compliance: Compliance
    platforms: PlatformAccounts
    jobs: Jobs
    storage: Storage
    metering: Metering
    life: TenantLife


def create_app(
    services: Services,
    settings: Settings,
    *,
    demo: bool = False,
    pages: Path = console.PAGES,
    figures: WebFigures | None = None,
    rates: RequestRates | None = None,
    s3: S3Address | None = None,
    engines: Sequence[Engine] = (),
) -> Litestar:
    """The application over `services`; it starts and stops their live parts itself.

    Raises `InvalidSetting`.
    """
    refusals = Refusals(services.tenancy)
    asking = Threads("openid", PROVIDER_CALLS)
    callers = Callers(services.tenancy, _labels_of(services.vehicles))
    most_bytes = settings.whole("web.max_body_mb") * 1_000_000
    rates = rates or RequestRates()
    guard = one_guard((callers.guard(), rates.guard(), same_origin, callers.permission()))
    given = {
        **_given(services, callers, settings, figures),
        "s3": s3 or S3Address(),
        "engines": engines,
        "provider_threads": asking,
        "registration_limits": registration.limits_of(settings),
    }
    app = Litestar(
        route_handlers=[
            _guarded(guard),
            sessions.router(guard),
            operation.public,
            _facts_route(settings, demo),
            *reference.ROUTES,
            console.routes(pages),
        ],
        dependencies={name: _always(thing) for name, thing in given.items()},
        exception_handlers=exception_handlers(_translations(), refusals.note),
        before_send=[add_headers(settings.text("web.tiles")), add_rate_headers],
        lifespan=[_running(services, refusals, asking)],
        middleware=[BodyLimit(most_bytes)],
        request_max_body_size=most_bytes,
        openapi_config=_openapi(),
        logging_config=None,  # the process has set it up: see carcloud.logs
        debug=False,
    )
    give_in_turn(app)
    app.asgi_handler = QuickReads(app, callers, rates, guard, given)
    return app


def version() -> str:
    """The version of carcloud."""
    return __version__


def _guarded(guard: Guard) -> Router:
    """All routes that need somebody who is signed in."""
    return Router(
        "/v1",
        guards=[guard],
        dependencies={"caller": Provide(caller_of, sync_to_thread=False)},
        route_handlers=[
            people.router,
            invitations.router,
            openid.router,
            Router("/", tags=["people"], route_handlers=[second_factor.reset_second_factor]),
            keys.router,
            tenants.router,
            tenant_exports.router,
            tenant_deletions.router,
            audit.router,
            vehicles.router,
            models.router,
            mappings.router,
            history_work.router,
            signals.router,
            telemetry.router,
            commands.router,
            campaigns.router,
            queries.router,
            dead_letters.router,
            forwarding.router,
            buckets.router,
            places.router,
            objects.router,
            jobs.router,
            schedules.router,
            usage.router,
            budgets.router,
            prices.router,
            operation.router,
            system.router,
        ],
    )


def _given(
    services: Services, callers: Callers, settings: Settings, figures: WebFigures | None
) -> dict[str, Any]:
    """What routes may name."""

    async def status_json(tenant: Tenant) -> bytes:
        view = await operation.present_status(tenant, services.telemetry, services.vehicles)
        return msgspec.json.encode(view)

    return {
        "tenancy": services.tenancy,
        "vehicles": services.vehicles,
        "vocabulary": services.vocabulary,
        "mappings": services.mappings,
        "telemetry": services.telemetry,
        "commands": services.commands,
        "campaigns": services.campaigns,
        "compliance": services.compliance,
        "platforms": services.platforms,
        "jobs": services.jobs,
        "storage": services.storage,
        "metering": services.metering,
        "life": services.life,
        "callers": callers,
        "settings": settings,
        "fleet": FleetView(services.vehicles, services.telemetry),
        "live": LiveFeed(
            services.telemetry,
            Sights(services.vehicles),
            status_json,
            figures,
            settings.whole("web.max_live_clients"),
        ),
    }


def _always(thing: Any) -> Provide:
    def provide() -> Any:
        return thing

    return Provide(provide, use_cache=True, sync_to_thread=False)


def _facts_route(settings: Settings, demo: bool) -> Any:
    @get(
        "/v1/ui",
        summary="Facts for the console",
        tags=["operation"],
        security=[{}],
    )
    async def read_facts(request: Request[Any, Any, Any]) -> operation.Facts:
        """What the console needs before anybody signs in."""
        return operation.Facts(
            tiles=settings.text("web.tiles"),
            tiles_credit=settings.text("web.tiles_credit"),
            version=version(),
            demo=demo,
            url=invitations.public_url(request, settings),
            registration=settings.flag("tenants.registration"),
        )

    return read_facts


def _translations() -> Mapping[type[Exception], Translate]:
    return {
        **sessions.TRANSLATIONS,
        **vehicles.TRANSLATIONS,
        **signals.TRANSLATIONS,
        **mappings.TRANSLATIONS,
        **commands.TRANSLATIONS,
        **campaigns.TRANSLATIONS,
        **forwarding.TRANSLATIONS,
        **usage.TRANSLATIONS,
        **buckets.TRANSLATIONS,
        **jobs.TRANSLATIONS,
        **tenant_exports.TRANSLATIONS,
        **tenant_deletions.TRANSLATIONS,
    }


def _labels_of(vehicles: Vehicles) -> LabelsOf:
    def labels(tenant: Tenant, vehicle: str) -> Mapping[str, str]:
        return vehicles.registered(tenant, vehicle).vehicle.labels

    return labels


def _running(services: Services, refusals: Refusals, asking: Threads) -> Any:
    @contextlib.asynccontextmanager
    async def lifespan(_app: Litestar) -> AsyncIterator[None]:
        await services.telemetry.start()
        writing = asyncio.create_task(refusals.run(), name="refusals")
        try:
            yield
        finally:
            asking.close()
            writing.cancel()
            await asyncio.gather(writing, return_exceptions=True)
            await refusals.flush()
            await services.telemetry.stop()

    return lifespan


def _openapi() -> OpenAPIConfig:
    cookie = SecurityScheme("apiKey", name=COOKIE, security_scheme_in="cookie")
    bearer = SecurityScheme("http", scheme="bearer")
    return OpenAPIConfig(
        title="carcloud",
        version=version(),
        description=(
            "Times are RFC 3339 in UTC. Errors are problem documents (RFC 9457). Lists give "
            "`next_cursor`; ask again with `cursor`. What is edited has an `ETag`; send it back in "
            "`If-Match`."
        ),
        path=document.PATH,
        openapi_router=document.Document().router(),
        render_plugins=[JsonRenderPlugin(path="/", media_type=MediaType.JSON)],
        tags=TAGS,
        security=[{"session": []}, {"token": []}],
        components=Components(security_schemes={"session": cookie, "token": bearer}),
        use_handler_docstrings=True,
    )
