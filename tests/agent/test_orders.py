"""Commands: checked, carried out once, answered with a reason."""

import asyncio
import json
import sys

from carcloud.agent import orders
from carcloud.agent.orders import Orders
from carcloud.agent.settings import Argument, Hook
from carcloud.agent.vocabulary import VOCABULARY
from carcloud.services.commands.kinds import KINDS, MQTT

NOW = 1_900_000_000_000_000
ECHO = "import json, sys; json.dump({'heard': json.load(sys.stdin)['arguments']}, sys.stdout)"
TYPES = {"text": "string", "whole": "integer", "number": "number", "flag": "boolean",
         "object": "object", "list": "list", "value": "any"}  # fmt: skip
HORN = "Vehicle.Body.Horn.IsActive"


class Desk:
    """Orders with their answers; `clock` is set by hand."""

    def __init__(self, folder, **changed):
        self.answers = []
        self.told = []
        self.clock = NOW
        self.done = []
        self.waits = False
        self.moves = None
        self.gate = asyncio.Event()
        hooks = (
            Hook("echo", (sys.executable, "-c", ECHO), 60, (("level", Argument("integer", 0, 9)),)),
            Hook("fail", (sys.executable, "-c", "raise SystemExit(3)")),
            Hook("hang", (sys.executable, "-c", "import time; time.sleep(60)"), 0.2),
            Hook("lock", (sys.executable, "-c", ECHO)),
            Hook("horn", (sys.executable, "-c", ECHO), 60, (("value", Argument("boolean")),), HORN),
            Hook("mute", (sys.executable, "-c", ""), 60, (("value", Argument("boolean")),), "V.X"),
        )
        given = {
            "file": folder / "commands.json",
            "built_in": {"locate": self._wait, "restart": self._wait, "track": self._wait},
            "hooks": hooks,
            "allowed": (
                "locate",
                "restart",
                "lock",
                "run:echo",
                "run:fail",
                "run:hang",
                f"set-signal:{HORN}",
            ),
            "answer": self._hear,
            "clock": lambda: self.clock,
            "model": lambda: "truck",
            "moves": lambda: self.moves,
        }
        self.orders = Orders(**{**given, **changed})

    def _hear(self, name, result, told):
        self.answers.append((name, result))
        self.told.append(told)

    async def _wait(self, arguments):
        self.waits = True
        await self.gate.wait()
        self.done.append(dict(arguments))
        return {}

    def give(self, name="1", command="locate", **fields):
        self.orders.receive(json.dumps({"id": name, "name": command, **fields}).encode())
        return self.last

    def hook(self, name, hook, **arguments):
        return self.give(name, "run", arguments={"hook": hook, "arguments": arguments})

    def write(self, name, path, value):
        return self.give(name, "set-signal", arguments={"path": path, "value": value})

    @property
    def last(self):
        if not self.answers:
            return None
        _, result = self.answers[-1]
        return result["state"], result["code"]

    async def begun(self):
        async with asyncio.timeout(60):
            while not self.waits:
                await asyncio.sleep(0.01)

    async def until(self, count):
        async with asyncio.timeout(60):
            while len(self.answers) < count:
                await asyncio.sleep(0.01)
        return self.last


def test_each_way_to_be_refused_has_its_own_reason_code(tmp_path):
    # Fact sheet, acceptance check 10.
    async def script():
        desk = Desk(tmp_path)
        assert desk.give("a", expires_ms=NOW / 1000 - 1) == ("timed_out", orders.EXPIRED_ON_RECEIPT)
        assert desk.hook("b", "echo", level="x") == ("refused", orders.TYPE_MISMATCH)
        assert desk.give("c", model="car") == ("refused", orders.MODEL_OUT_OF_SYNC)
        assert desk.give("d", expires_ms=NOW / 1000 + 5, model="truck") == ("received", 0)
        for at in range(orders.QUEUE - 1):
            desk.give(f"n{at}")
        assert desk.give("e") == ("refused", orders.BUSY)
        desk.clock += 10_000_000
        before = len(desk.answers)
        running = asyncio.create_task(desk.orders.run())
        await desk.until(before + 1)
        running.cancel()
        assert desk.answers[before][0] == "d"
        assert desk.last == ("timed_out", orders.EXPIRED_IN_QUEUE)
        codes = {
            orders.EXPIRED_ON_RECEIPT, orders.EXPIRED_IN_QUEUE, orders.TYPE_MISMATCH,
            orders.MODEL_OUT_OF_SYNC, orders.BUSY,
        }  # fmt: skip
        assert len(codes) == 5

    asyncio.run(script())


def test_what_is_not_there_not_allowed_or_out_of_range_is_refused(tmp_path):
    async def script():
        desk = Desk(tmp_path)
        assert desk.give("a", "nope") == ("refused", orders.NOT_SUPPORTED)
        soon = {"interval_s": 1, "duration_s": 60}
        assert desk.give("b", "track", arguments=soon) == ("refused", orders.ACCESS_DENIED)
        never = {"interval_s": 1, "duration_s": 0}
        assert desk.give("b2", "track", arguments=never) == ("refused", orders.OUT_OF_RANGE)
        assert desk.hook("c", "echo", level=10) == ("refused", orders.OUT_OF_RANGE)
        assert desk.hook("d", "echo", level=1, x=1)[1] == orders.TYPE_MISMATCH
        assert desk.hook("d2", "nope")[1] == orders.NOT_SUPPORTED
        assert desk.hook("d3", "lock")[1] == orders.NOT_SUPPORTED, "it has a command of its own"
        assert desk.hook("d4", "mute")[1] == orders.NOT_SUPPORTED, "it writes an actuator"
        assert desk.give("d5", "unlock")[1] == orders.NOT_SUPPORTED, "no hook does it"
        text = {"text": "hi", "show": "sing"}
        assert desk.give("d6", "message", arguments=text)[1] == orders.OUT_OF_RANGE
        assert desk.write("e", "V.Y", True)[1] == orders.NO_DISPATCHER
        assert desk.write("f", "V.X", True)[1] == orders.ACCESS_DENIED
        assert desk.write("g", HORN, 1)[1] == orders.TYPE_MISMATCH
        assert desk.give("h", arguments=[1]) == ("refused", orders.NOT_PARSABLE)
        count = len(desk.answers)
        for payload in (b"", b"[", b"[]", b'{"id": "a/b", "name": "locate"}'):
            desk.orders.receive(payload)
        assert len(desk.answers) == count, "nobody to answer"

    asyncio.run(script())


def test_what_needs_the_vehicle_parked_is_refused_while_it_moves(tmp_path):
    async def script():
        desk = Desk(tmp_path)
        desk.moves = "it drives 50 km/h"
        assert desk.give("a", "restart") == ("refused", orders.NOT_PARKED)
        assert "it drives 50 km/h" in desk.answers[-1][1]["reason"]
        assert desk.write("b", HORN, True) == ("refused", orders.NOT_PARKED)
        assert desk.give("c") == ("received", 0), "locate does not need it"
        desk.moves = None
        assert desk.give("d", "restart") == ("received", 0)
        desk.moves = "it moves"  # it drove off while the command waited
        desk.gate.set()
        running = asyncio.create_task(desk.orders.run())
        assert await desk.until(6) == ("refused", orders.NOT_PARKED)
        assert desk.answers[-1][0] == "d"
        running.cancel()

    asyncio.run(script())


def test_the_vocabulary_is_the_table_of_the_cloud():
    wanted = {kind.name: kind for kind in KINDS if MQTT in kind.protocols}
    assert VOCABULARY.keys() == wanted.keys()
    for name, row in VOCABULARY.items():
        kind = wanted[name]
        theirs = {
            each.name: Argument(TYPES[each.kind], each.least, each.most, each.needed, each.choices)
            for each in kind.arguments
        }
        assert (row.arguments, row.parked) == (theirs, kind.parked), name


def test_hooks_are_run_and_their_end_is_told(tmp_path):
    async def script():
        desk = Desk(tmp_path)
        running = asyncio.create_task(desk.orders.run())
        desk.hook("a", "echo", level=3)
        assert await desk.until(2) == ("executed", 0)
        assert desk.answers[-1][1]["result"] == {"heard": {"level": 3}}
        desk.write("b", HORN, True)
        assert await desk.until(4) == ("executed", 0)
        assert desk.answers[-1][1]["result"] == {"heard": {"path": HORN, "value": True}}
        desk.give("l", "lock")
        assert await desk.until(6) == ("executed", 0)
        desk.hook("c", "fail")
        assert await desk.until(8) == ("failed", orders.INTERNAL_ERROR)
        desk.hook("d", "hang")
        assert await desk.until(10) == ("failed", orders.NO_RESPONSE)
        running.cancel()

    asyncio.run(script())


def test_a_command_that_comes_twice_is_done_once_also_after_a_restart(tmp_path):
    async def script():
        desk = Desk(tmp_path)
        running = asyncio.create_task(desk.orders.run())
        desk.give("a", arguments={})
        desk.give("a", arguments={})
        await desk.begun()
        running.cancel()  # in the middle of it
        again = Desk(tmp_path)
        assert again.give("a") == ("failed", orders.INTERRUPTED)
        again.gate.set()
        running = asyncio.create_task(again.orders.run())
        again.give("b")
        await again.until(3)
        assert again.give("b") == ("executed", 0)
        assert len(again.done) == 1
        running.cancel()

    asyncio.run(script())


def test_what_waits_and_what_the_cloud_has_not_heard_survives_a_restart(tmp_path):
    async def script():
        desk = Desk(tmp_path)
        running = asyncio.create_task(desk.orders.run())
        desk.give("a")
        desk.give("b", arguments={})
        desk.give("no", "nope")
        await desk.begun()
        running.cancel()  # a is begun, b waits, nothing was acknowledged
        again = Desk(tmp_path)
        again.orders.tell_again()
        told = {name: result["code"] for name, result in again.answers}
        assert told == {"a": orders.INTERRUPTED, "no": orders.NOT_SUPPORTED}
        again.gate.set()
        running = asyncio.create_task(again.orders.run())
        assert await again.until(3) == ("executed", 0)
        assert again.answers[-1][0] == "b"
        running.cancel()
        for each in again.told:
            each()
        last = Desk(tmp_path)
        last.orders.tell_again()
        assert last.answers == [], "the cloud has them all"
        assert last.give("b") == ("executed", 0), "it is still known"

    asyncio.run(script())
