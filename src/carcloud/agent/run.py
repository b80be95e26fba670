"""The agent itself: everything wired together, on one event loop."""

import asyncio
import contextlib
import json
import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from carcloud import __version__
from carcloud.agent.duties import Duties, is_needed
from carcloud.agent.extract import FrameTable
from carcloud.agent.forwarding import Forwarding
from carcloud.agent.keeping import Keeper, Parcel
from carcloud.agent.library import Library
from carcloud.agent.model import VehicleModel, beside, parse_model
from carcloud.agent.orders import Orders
from carcloud.agent.settings import AgentSettings
from carcloud.agent.socketcan import CanReader
from carcloud.agent.sources import Frame, Replay, read_log
from carcloud.agent.spool import Spool
from carcloud.agent.uplink import Uplink
from carcloud.agent.wishes import Wishes
from carcloud.codecs.campaign.document import Campaign, parse_campaign
from carcloud.codecs.campaign.engine import Engine
from carcloud.codecs.campaign.fields import DocumentError
from carcloud.codecs.campaign.prepare import Prepared, prepare
from carcloud.codecs.mqtt.topics import prefix

log = logging.getLogger(__name__)

STATUS_FILE = "status.json"
_TICK_S = 0.05
_STATUS_S = 2.0
_MODEL_S = 10.0  # that a replay waits for a model
_SHORT = 60  # characters of a reason, where the cloud takes no longer message
_BEFORE_RESTART_S = 1.0  # the answer to the command goes out


def _now_us() -> int:
    return time.time_ns() // 1000


class Agent:
    """One vehicle. `run` works until it is cancelled or told to restart.

    `replay` is played instead of the log of the settings; `arrived` is called with each message
    that the cloud has acknowledged.
    """

    def __init__(
        self,
        settings: AgentSettings,
        *,
        replay: Replay | None = None,
        arrived: Callable[[Parcel], None] = lambda _: None,
    ) -> None:
        self._settings = settings
        folder = Path(settings.folder)
        self._folder = folder
        self._library = Library(folder / "documents")
        self._model: VehicleModel | None = None
        self._campaigns: dict[str, Campaign] = {}
        self._tables: dict[str, FrameTable] = {}
        self._replay = replay
        if replay is None and settings.replay is not None:
            log_file = read_log(Path(settings.replay))
            self._replay = Replay(log_file, speed=settings.speed, loop=settings.loop)
        self._reports: tuple[str, ...] = ()  # signals of plain reports
        self._needed: tuple[str, ...] = ()  # signals of commands
        self._started_us = _now_us()
        self._frames = self._wanted = self._failed = 0
        self._can = CanReader(settings.interfaces, self.feed, _now_us)
        self._modelled = asyncio.Event()  # there is a model: the cloud's comes with the connection
        self._restart = asyncio.Event()
        self._paced = asyncio.Event()  # reports follow another pace from now on
        self._keeper = Keeper(
            Spool(folder / "spool", settings.spool_bytes),
            settings.message_bytes,
            _now_us,
            self._may_upload,
            arrived,
        )
        self._engine = Engine(
            self._keeper.take,
            memory=settings.sample_bytes,
            attributes=dict(settings.attributes),
            changed=self._forget_handlers,
        )
        self._uplink = Uplink(
            settings.vehicle, settings.server, self._keeper, self._message, self._greet
        )
        self._wishes = Wishes(folder / "reported.json", settings, self._reported)
        self._duties = Duties(
            self._wishes,
            self._engine.latest,
            lambda: () if self._model is None else self._model.types,
            self._refresh,
            self._restart_soon,
            lambda: time.monotonic_ns() // 1000,  # a while is one, whatever becomes of the clock
        )
        forwarding = Forwarding(folder / "forward.json", self._keeper, lambda: self._campaigns)
        self._orders = Orders(
            folder / "commands.json",
            {**self._duties.built_in(), "forward": forwarding.forward},
            settings.hooks,
            settings.commands,
            self._answer,
            _now_us,
            lambda: None if self._model is None else self._model.id,
            settings.clock_skew_ms * 1000,
            self._duties.moves,
        )
        self._refresh()

    # Documents

    def _refresh(self) -> None:
        """Take up the documents that are held now: the model first, then campaigns."""
        self._take_model()
        prepared: list[Prepared] = []
        paused: list[Prepared] = []
        self._campaigns = {}
        listed: frozenset[str] | None = self._library.listed
        for name, document, held in self._campaign_documents():
            try:
                campaign = parse_campaign(document)
                if held and campaign.id != name:
                    raise DocumentError("id", f"is {campaign.id!r}, its document says {name!r}")
                self._campaigns[campaign.id] = campaign
                if self._model is None:
                    self._library.settle(name, "waiting", "no model yet")
                    continue
                rests = held and name in self._library.paused
                into = paused if rests else prepared
                into.append(prepare(campaign, self._model.catalogue))
                self._library.settle(name, "paused" if rests else "active")
            except DocumentError as error:
                log.warning("campaign %s: %s", name, error)
                self._library.settle(name, "refused", str(error))
                if not held:
                    listed = None  # a file that cannot be read does not tell its id
        self._keeper.campaigns(self._campaigns.values(), listed)
        self._tables = {}
        self._paced.set()
        for name, reason in self._engine.configure(
            prepared, _now_us(), watched=self._watched(), paused=paused
        ).items():
            log.warning("campaign %s: %s", name, reason)
            self._library.settle(name, "refused", reason)

    def _campaign_documents(self) -> list[tuple[str, Any, bool]]:
        local = [
            (Path(file).name, Path(file).read_bytes(), False) for file in self._settings.campaigns
        ]
        held = [(each.wanted.id, each.document, True) for each in self._library.of_kind("campaign")]
        return [*local, *held]

    def _take_model(self) -> None:
        held = self._library.of_kind("model")
        try:
            if held:
                self._model = parse_model(held[-1].document, self._read_dbc)
                self._library.settle(held[-1].wanted.id, "active")
            elif self._settings.model is not None:
                file = Path(self._settings.model)
                self._model = parse_model(file.read_bytes(), beside(file.parent))
            else:
                self._model = None
        except DocumentError as error:
            if not held:
                raise
            log.warning("model %s: %s", held[-1].wanted.id, error)
            self._library.settle(held[-1].wanted.id, "refused", str(error))
        if self._model is not None:
            self._modelled.set()
        for each in self._library.of_kind("dbc"):
            self._library.settle(each.wanted.id, "active")

    def _read_dbc(self, kind: str, name: str) -> bytes:
        held = self._library.held[name]
        if kind != "document" or held.wanted.kind != "dbc" or not isinstance(held.document, str):
            raise KeyError(f"{kind} {name}")
        return held.document.encode()

    def _watched(self) -> Mapping[str, Any]:
        """Signals whose latest value is followed: what is reported, and what commands need."""
        types = {} if self._model is None else self._model.types
        wanted = self._wishes.signals if self._wishes.interval_ms else ()
        self._needed = tuple(filter(is_needed, types))
        self._reports = tuple(
            path for path in types if any(fnmatchcase(path, each) for each in wanted)
        )
        return {path: types[path] for path in (*self._reports, *self._needed)}

    def _forget_handlers(self) -> None:
        for table in self._tables.values():
            table.clear()

    def _may_upload(self, campaign: str, partition: str) -> bool:
        return self._engine.upload_open(campaign, partition)

    # Frames

    def feed(self, bus: str, frames: list[Frame]) -> None:
        """Frames of one bus, in the order of their time."""
        table = self._tables.get(bus)
        if table is None:
            table = self._tables[bus] = FrameTable(bus, self._model, self._engine)
        self._frames += len(frames)
        try:
            self._wanted += self._engine.run(frames, table)
        except (ValueError, TypeError, ArithmeticError) as error:
            # A value that its signal's type cannot hold; the rest of these frames is lost.
            self._failed += 1
            log.warning("frames of %s could not be used: %s", bus, error)

    async def _play(self, replay: Replay) -> None:
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._modelled.wait(), _MODEL_S)
        while not replay.done:
            for bus, frames in replay.take(_now_us()):
                self.feed(bus, frames)
            await asyncio.sleep(min(max(replay.wait_us(_now_us()) / 1e6, 0.005), 1.0))
        log.info("the log has been played")
        if self._model is None:
            log.warning(
                "nothing was decoded: there is no model; give one with --model, or save a mapping "
                "of the vehicle's model in the cloud (`carcloud models mapping set`)"
            )
        if not self._uplink.connections:
            log.warning("nothing was sent: no connection to the cloud: %s", self._uplink.reason)

    async def _tick(self) -> None:
        while True:
            await asyncio.sleep(_TICK_S)
            self._engine.tick(_now_us())

    async def _report(self) -> None:
        while True:
            self._paced.clear()
            interval = self._duties.interval_ms
            try:
                async with asyncio.timeout(interval / 1000 if interval else 1.0):
                    await self._paced.wait()
                continue
            except TimeoutError:
                more = self._needed if self._duties.tracking else ()
                values = {
                    path: value
                    for path in dict.fromkeys((*self._reports, *more))
                    if (value := self._engine.latest(path)) is not None
                }
            if values and not (self._replay is not None and self._replay.done):
                self._keeper.report(_now_us(), values)

    # Messages

    async def _message(self, topic: str, payload: bytes) -> None:
        name = topic.removeprefix(prefix(self._settings.vehicle))
        if name == "commands":
            self._orders.receive(payload)
        elif name == "documents" or name.startswith("documents/"):
            self._document(name, payload)
        elif name == "state/desired" and self._wishes.take(payload):
            self._refresh()

    def _document(self, name: str, payload: bytes) -> None:
        try:
            if name == "documents":
                self._library.take_list(payload)
            elif not self._library.take(name.removeprefix("documents/"), payload):
                return
        except DocumentError as error:
            log.warning("a list of documents that cannot be used: %s", error)
            return
        self._refresh()
        self._check_in()

    def _greet(self) -> None:
        self._check_in()
        self._wishes.tell()

    def _reported(self, document: Mapping[str, Any]) -> None:
        self._uplink.say("state/reported", document)

    def _answer(self, name: str, result: Mapping[str, Any], told: Callable[[], None]) -> None:
        short = {key: value for key, value in result.items() if key != "result"}
        short["reason"] = str(result["reason"])[:_SHORT] or "its result is too large to be sent"
        self._uplink.say(f"commands/{name}/result", result, short, told=told)

    def _check_in(self) -> None:
        status, rows = self.status(), self._library.acknowledgements()
        bare = {key: value for key, value in status.items() if key != "campaigns"}
        short = [
            row | {"reason": row["reason"][:_SHORT]} if "reason" in row else row for row in rows
        ]
        self._uplink.say(
            "checkin", {**status, "documents": rows}, {**bare, "documents": short}, bare
        )
        self._orders.tell_again()

    async def _check_in_often(self) -> None:
        while True:
            await asyncio.sleep(self._wishes.checkin_s)
            self._check_in()

    def _restart_soon(self) -> None:
        asyncio.get_running_loop().call_later(_BEFORE_RESTART_S, self._restart.set)

    # State

    def finish(self) -> None:
        """End the replay; `run` ends when the cloud has all that was kept."""
        if self._replay is not None:
            self._replay.end()

    def cut(self) -> None:
        """Drop the connection as a tunnel does; it is made again."""
        self._uplink.cut()

    def status(self) -> dict[str, Any]:
        """What the agent is doing, as JSON values."""
        spool, tally = self._keeper.spool, self._keeper.tally
        return {
            "time": _now_us() / 1000,
            "agent": __version__,
            "vehicle": self._settings.vehicle,
            "uptime_s": round((_now_us() - self._started_us) / 1e6, 1),
            "connected": self._uplink.connected,
            "connections": self._uplink.connections,
            "reason": self._uplink.reason,
            "model": None if self._model is None else self._model.id,
            "frames": {
                "seen": self._frames, "wanted": self._wanted, "failed": self._failed,
                "dropped": self._can.dropped,
            },
            "sample_bytes": self._engine.memory_bytes,
            "records": asdict(tally),
            "spool": {
                "bytes": spool.size, "waiting": self._keeper.waiting, "dropped": spool.dropped,
            },
            "campaigns": {name: asdict(each) for name, each in self._engine.counters.items()},
            "forwarding": self._keeper.forwarding(),
            "clock_steps": self._engine.steps_back,
            "missing": self._library.missing,
        }  # fmt: skip

    async def _show(self) -> None:
        file = self._folder / STATUS_FILE
        while True:
            new, status = file.with_suffix(".new"), self.status()
            try:
                new.write_text(
                    json.dumps({**status, "documents": self._library.acknowledgements()})
                )
                new.replace(file)
            except OSError as error:
                log.debug("the state cannot be written: %s", error)
            await asyncio.sleep(_STATUS_S)

    async def run(self, stop: asyncio.Event | None = None) -> bool:
        """Work until `stop`, or until a command restarts the agent: then True.

        Raises `OSError` where a CAN interface cannot be read.
        """
        ends: list[asyncio.Task[Any]] = [asyncio.create_task(self._restart.wait())]
        if stop is not None:
            ends.append(asyncio.create_task(stop.wait()))
        work = [self._tick(), self._report(), self._keeper.run(), self._uplink.run(),
                self._orders.run(), self._check_in_often(), self._show()]  # fmt: skip
        if self._replay is not None:
            ends.append(asyncio.create_task(self._play_until_sent(self._replay)))
        if self._settings.interfaces:
            work.append(self._can.run())
        tasks = [asyncio.create_task(each) for each in work]
        try:
            done, _ = await asyncio.wait([*ends, *tasks], return_when=asyncio.FIRST_COMPLETED)
            for each in done:
                each.result()
        finally:
            for each in (*ends, *tasks):
                each.cancel()
            await asyncio.gather(*ends, *tasks, return_exceptions=True)
            await self._keeper.flush()
            self._keeper.spool.close()
        return self._restart.is_set()

    async def _play_until_sent(self, replay: Replay) -> None:
        """A log that is not looped ends the agent, once the cloud has all that it may have."""
        await self._play(replay)
        await self._keeper.flush()
        if rest := self._keeper.resting:
            log.info("%d messages stay here: they wait for a request or for their condition", rest)
        while self._keeper.waiting > self._keeper.resting:  # noqa: ASYNC110 - asked ten times a second, at the end only
            await asyncio.sleep(0.1)
