"""The role that decodes what the gateways took and writes it to the lake."""

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from carcloud import lean
from carcloud.app.engines import Engines, open_engines
from carcloud.app.forgetting import forgetting
from carcloud.app.platform_keys import opening, platform_keys
from carcloud.app.report import Figures, Reporter
from carcloud.app.secret import sealing_secret
from carcloud.app.turns import in_turn
from carcloud.config import Settings
from carcloud.endings import begin, end
from carcloud.model.ids import Tenant
from carcloud.ports.errors import EngineError
from carcloud.ports.records import Records
from carcloud.ports.tracing import NO_TRACER, Tracer
from carcloud.rundir import RunDir
from carcloud.services.campaigns.api import KnownCampaigns
from carcloud.services.telemetry.decode_can import decoder as can_decoder
from carcloud.services.telemetry.decode_gbt32960 import Styles
from carcloud.services.telemetry.decode_gbt32960 import decoder as gbt32960_decoder
from carcloud.services.telemetry.decode_jt808 import decoder as jt808_decoder
from carcloud.services.telemetry.decode_mqtt import decoder as mqtt_decoder
from carcloud.services.telemetry.decrypt_gbt32960 import decryptor
from carcloud.services.telemetry.fields import MappingsOf
from carcloud.services.telemetry.ingest import Ingest
from carcloud.services.telemetry.protocols import Decoder
from carcloud.services.telemetry.ranges import RangesByTenant
from carcloud.services.tenancy.api import Tenancy
from carcloud.services.vehicles.api import Remembered, Reporting, Vehicles
from carcloud.services.vocabulary.api import Mappings, ModelMapping, Vocabulary

log = logging.getLogger(__name__)

_MOST_ASKED = 10_000  # vehicles that the registry tells at once
STANDS_BY = Figures({}, {})  # of an ingest that waits for its turn


async def run_ingest(
    settings: Settings, name: str, tracer: Tracer, on_stop: Callable[[Callable[[], None]], None]
) -> None:
    """Run the role until the function that `on_stop` is given is called."""
    run = RunDir(Path(settings.text("data")))
    await asyncio.to_thread(run.alone, "ingest")  # one that is still ending finishes first
    engines = await open_engines(settings)
    ingest = make_ingest(settings, engines, tracer)
    stopped, at_work = asyncio.Event(), asyncio.Event()
    on_stop(stopped.set)

    def figures() -> Figures:
        return ingest_figures(ingest) if at_work.is_set() else STANDS_BY

    telling = begin(Reporter(engines.stream, "ingest", name, figures).run, "the status report")
    run.write_ready("ingest", {})
    lean.started()

    async def work() -> None:
        at_work.set()
        await ingest.run()

    working = asyncio.create_task(in_turn(engines.records, "ingest", work))
    measuring = begin(lambda: _measure(ingest, at_work), "the measuring of the lag")
    tidying = forgetting(engines)
    asked = asyncio.create_task(_set(stopped))
    await asyncio.wait({working, asked}, return_when=asyncio.FIRST_COMPLETED)
    ingest.stop()
    if at_work.is_set():
        await asyncio.wait({working})
    await end([working, asked, telling, measuring, tidying])
    await engines.close()
    if not working.cancelled():
        working.result()


async def _set(event: asyncio.Event) -> None:
    await event.wait()


async def _measure(ingest: Ingest, at_work: asyncio.Event) -> None:
    """Once a second: how far the lake is behind the stream."""
    await at_work.wait()
    while True:
        try:
            await ingest.measure()
        except EngineError as error:
            log.debug("the lag is not known: %s", error)
        await asyncio.sleep(1)


def make_ingest(settings: Settings, engines: Engines, tracer: Tracer = NO_TRACER) -> Ingest:
    """The ingest of an installation."""
    return Ingest(
        engines.stream,
        engines.lake,
        make_decoders(settings, engines.records),
        commit_s=settings.number("ingest.commit_ms") / 1000,
        commit_rows=settings.whole("ingest.commit_rows"),
        tenants=Tenancy(engines.records).tenants.ids,
        future_s=settings.number("gateway.future_tolerance_s"),
        dedup_entries=settings.whole("ingest.dedup_entries"),
        ranges=RangesByTenant(Vocabulary(engines.records).catalogue),
        tracer=tracer,
    )


def make_decoders(settings: Settings, records: Records) -> dict[str, Decoder]:
    """The decoders of all protocols, with what the registry says of vehicles."""
    vehicles = Vehicles(records, secret=sealing_secret(settings))
    keys = Remembered(vehicles.keys)
    decrypt = decryptor(
        lambda vehicle: keys.many([vehicle]).get(vehicle),
        platform_keys(settings),
        opening(settings),
        lambda vehicle, since_us: keys.many([vehicle], since_us / 1e6).get(vehicle),
    )
    future_us = int(settings.number("gateway.future_tolerance_s") * 1e6)
    vocabulary = Vocabulary(records)
    mappings = _mappings(vehicles, records, vocabulary)
    known = Mappings(records, vocabulary.catalogue)
    return {
        "gbt32960": gbt32960_decoder(
            decrypt,
            _styles(vehicles),
            mappings,
            lambda tenant: known.any(tenant, mention="gbt32960."),
        ),
        "jt808": jt808_decoder(_styles(vehicles), mappings, future_us=future_us),
        "mqtt": mqtt_decoder(vocabulary.catalogue, KnownCampaigns(records), future_us=future_us),
        "can": can_decoder(),
    }


def _styles(vehicles: Vehicles) -> Styles:
    """How vehicles report, asked of the registry only while it has special models at all."""
    models = Remembered(vehicles.reporting)
    special = Remembered(
        lambda asked: dict.fromkeys(asked, True) if vehicles.special_models() else {}
    )

    def styles(names: Sequence[str]) -> Mapping[str, Reporting]:
        return models.many(names) if special.many([""]) else {}

    return styles


def _mappings(vehicles: Vehicles, records: Records, vocabulary: Vocabulary) -> MappingsOf:
    """What models map, asked of the registry only where a model of the tenant maps at all."""
    mappings = Mappings(records, vocabulary.catalogue)
    models: dict[Tenant, Remembered[str]] = {}

    def found(tenant: Tenant, names: Sequence[str]) -> dict[str, ModelMapping]:
        if not mappings.any(tenant):
            return {}
        known = models.get(tenant)
        if known is None:
            known = Remembered(lambda asked: _models(tenant, asked), version=version)
            models[tenant] = known
        of = known.many(names)
        by_model = {model: mappings.mapping(tenant, model) for model in set(of.values())}
        return {name: one for name, model in of.items() if (one := by_model[model]) is not None}

    def version() -> int:
        at_hand = records.version_at_hand()
        return records.version() if at_hand is None else at_hand

    def _models(tenant: Tenant, asked: Sequence[str]) -> dict[str, str]:
        of: dict[str, str] = {}
        for start in range(0, len(asked), _MOST_ASKED):
            of.update(vehicles.models_of(tenant, asked[start : start + _MOST_ASKED]))
        return of

    return found


def ingest_figures(ingest: Ingest) -> Figures:
    """What the status of an ingest process says."""
    told = ingest.figures
    remembered, lookups = ingest.dedup
    gauges = {
        "lag_frames": float(told.lag_frames),
        "stream_bytes": float(told.stream_bytes),
        "dedup_entries": float(remembered),
    }
    problems = {"lake-waits": told.problem, "ingest-stuck": ingest.stuck}
    fresh = told.freshness_ms
    if fresh is not None:
        gauges["freshness_ms"] = fresh
    return Figures(
        counters={
            "frames_total": told.frames,
            "stored_total": told.stored,
            "duplicates_total": told.duplicates,
            "corrections_total": told.corrections,
            "dead_letters_total": told.dead_letters,
            "commits_total": told.commits,
            "commits_full_total": told.commits_full,
            "commit_retries_total": told.retries,
            "dedup_lookups_total": lookups,
            **told.commit_seconds.figures("commit_seconds"),
            **told.commit_frames.figures("commit_frames"),
        },
        gauges=gauges,
        problems={code: text for code, text in problems.items() if text is not None},
    )
