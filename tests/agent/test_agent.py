"""The whole agent against an MQTT server: a log in, signals and records out, whatever is cut."""

import asyncio
import json
import os
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner
from tests.agent.server import Server

from carcloud.agent.library import Library
from carcloud.agent.run import Agent
from carcloud.agent.settings import load_settings
from carcloud.agent.sources import NoLog, Replay, candump_lines, read_log
from carcloud.cli import main
from carcloud.codecs.campaign.document import document_hash
from carcloud.codecs.campaign.fields import DocumentError
from carcloud.codecs.campaign.record import decode

DBC = """VERSION ""
BU_: E
BO_ 256 Drive: 8 E
 SG_ Speed : 0|16@1+ (0.05,0) [0|0] "km/h" E
 SG_ Moving : 16|1@1+ (1,0) [0|0] "" E
"""
MODEL = {
    "id": "car",
    "dbc": [{"text": DBC}],
    "signals": [
        {"message": "Drive", "signal": "Speed", "path": "Vehicle.Speed", "datatype": "float"},
        {"message": "Drive", "signal": "Moving", "path": "Vehicle.IsMoving", "datatype": "boolean"},
    ],
}
NEW = "Vehicle.Speed > 0 && !isNull(Vehicle.Speed)"  # once for each sample
EVERY = {"id": "every", "trigger": {"when": NEW}, "compression": "none",
         "signals": [{"path": "Vehicle.Speed", "max_samples": 10}]}  # fmt: skip


def write_log(file, count, gap_us=1000):
    """A log in which the speed of frame n is n."""
    file.write_text(
        "".join(
            f"(1700000000.{at * gap_us:06d}) can0 100#{(at * 20).to_bytes(2, 'little').hex()}01\n"
            for at in range(1, count + 1)
        )
    )
    return str(file)


def settings(folder, port, **given):
    """Settings of an agent whose files are in a folder."""
    (folder / "model.json").write_text(json.dumps(MODEL))
    return load_settings(
        None,
        {"vehicle": "car-1", "folder": str(folder / "agent"), "server.port": port,
         "model": str(folder / "model.json"), "report_interval_ms": 0, **given},
    )  # fmt: skip


def campaign_file(folder, document=EVERY):
    """A campaign document as a local file."""
    file = folder / f"{document['id']}.json"
    file.write_text(json.dumps(document))
    return [str(file)]


def speeds(server):
    """Speeds in the order in which they arrived."""
    return [
        round(value)
        for payload in server.on("/collected")
        for record in decode(payload)
        for series in record.series
        for value in series.values
    ]


def test_a_log_becomes_records_and_reports(tmp_path):
    async def script():
        server = await Server().start()
        given = settings(
            tmp_path, server.port, replay=write_log(tmp_path / "a.log", 200),
            campaigns=campaign_file(tmp_path), report_interval_ms=50,
        )  # fmt: skip
        await Agent(given).run()
        assert speeds(server) == list(range(1, 201))
        rows = [row for payload in server.on("/signals") for row in json.loads(payload)]
        assert rows
        assert set(rows[-1]["values"]) == {"Vehicle.Speed", "Vehicle.IsMoving"}
        assert rows[-1]["values"]["Vehicle.IsMoving"] is True
        topics = {topic for topic, _ in server.messages}
        assert {f"v1/car-1/{each}" for each in ("checkin", "collected", "signals")} <= topics
        await server.stop()

    asyncio.run(script())


def test_a_connection_cut_in_the_middle_of_1000_records_loses_none_and_keeps_the_order(tmp_path):
    # Fact sheet, acceptance check 8.
    async def script():
        server = Server()
        given = settings(
            tmp_path, 1, replay=write_log(tmp_path / "a.log", 1000, 20),
            campaigns=campaign_file(tmp_path),
        )  # fmt: skip
        stop = asyncio.Event()
        agent = Agent(given)
        running = asyncio.create_task(agent.run(stop))
        async with asyncio.timeout(60):
            while agent.status()["records"]["kept"] < 1000:
                await asyncio.sleep(0.02)
        stop.set()
        await running
        await server.start()
        server.cut_after = 500
        again = settings(tmp_path, server.port, campaigns=campaign_file(tmp_path))
        stop = asyncio.Event()
        running = asyncio.create_task(Agent(again).run(stop))
        await server.wait(lambda it: speeds(it)[-1:] == [1000])
        stop.set()
        await running
        got = speeds(server)
        assert len(server.connects) == 2
        assert sorted(set(got)) == list(range(1, 1001))
        assert len(got) <= 1000 + 64 + 32, "twice only around the checkpoint"
        firsts = list(dict.fromkeys(got))
        assert firsts == sorted(firsts)
        await server.stop()

    asyncio.run(script())


def test_a_connection_cut_in_the_middle_of_a_check_in_is_made_again(tmp_path):
    async def script():
        server = await Server().start()
        server.cut_after = 0
        stop = asyncio.Event()
        agent = Agent(settings(tmp_path, server.port))
        running = asyncio.create_task(agent.run(stop))
        await server.wait(lambda it: it.on("/checkin"))
        assert len(server.connects) == 2
        assert not running.done()
        agent.cut()  # as a tunnel does
        await server.wait(lambda it: len(it.on("/checkin")) >= 2)
        assert len(server.connects) == 3
        stop.set()
        await running
        await server.stop()

    asyncio.run(script())


def test_records_that_the_cloud_cannot_take_now_are_sent_again(tmp_path):
    async def script():
        server = await Server().start()
        given = settings(
            tmp_path, server.port, replay=write_log(tmp_path / "a.log", 20),
            campaigns=campaign_file(tmp_path),
        )  # fmt: skip
        server.reasons.extend([0, 0x97, 0x97])  # the check-in, then a full quota
        await Agent(given).run()
        assert sorted(set(speeds(server))) == list(range(1, 21))
        await server.stop()

    asyncio.run(script())


def document(name, kind, content, version=1):
    """Entry of the list, and the message of a document."""
    entry = {"id": name, "kind": kind, "version": version, "hash": document_hash(content)}
    return entry, json.dumps({**entry, "document": content}).encode()


def test_documents_come_from_the_cloud_and_each_is_acknowledged(tmp_path):
    async def script():
        server = await Server().start()
        parts = {
            "car": document("car", "model", {**MODEL, "dbc": [{"document": "bus"}]}),
            "bus": document("bus", "dbc", DBC),
            "every": document("every", "campaign", EVERY),
            "bad": document("bad", "campaign", {**EVERY, "id": "bad", "trigger": {"when": "1 +"}}),
            "torn": document("torn", "campaign", {**EVERY, "id": "torn"}),
        }
        listed = json.dumps({"documents": [entry for entry, _ in parts.values()]}).encode()
        server.retained = {"v1/car-1/documents": listed} | {
            f"v1/car-1/documents/{name}": payload for name, (_, payload) in parts.items()
        }
        torn = "v1/car-1/documents/torn"
        server.retained[torn] = server.retained[torn].replace(b"Vehicle", b"Vehicke")
        given = load_settings(
            None, {"vehicle": "car-1", "folder": str(tmp_path), "server.port": server.port}
        )
        stop = asyncio.Event()
        running = asyncio.create_task(Agent(given).run(stop))

        def told(it):
            if not it.on("/checkin"):
                return None
            rows = {each["id"]: each for each in json.loads(it.on("/checkin")[-1])["documents"]}
            return rows if len(rows) == 5 else None

        rows = await server.wait(told)
        results = {name: each["result"] for name, each in rows.items()}
        assert results == {"car": "active", "bus": "active", "every": "active", "bad": "refused",
                           "torn": "refused"}  # fmt: skip
        assert "trigger.when: position 4" in rows["bad"]["reason"]
        assert "hash" in rows["torn"]["reason"]
        assert rows["every"]["hash"] == document_hash(EVERY)
        # The list shrinks: what is not in it is thrown away.
        listed = json.dumps({"documents": [parts["car"][0], parts["bus"][0]]}).encode()
        server.send("v1/car-1/documents", listed)
        await server.wait(lambda it: len(json.loads(it.on("/checkin")[-1])["documents"]) == 2)
        stop.set()
        await running
        library = Library(tmp_path / "documents")
        assert set(library.held) == {"car", "bus"}
        await server.stop()

    asyncio.run(script())


def test_a_stale_list_leads_to_exactly_the_missing_documents(tmp_path):
    # Fact sheet, acceptance check 9: what the agent says is missing.
    library = Library(tmp_path)
    (old, old_payload), (new, _) = (document("a", "campaign", EVERY, n) for n in (1, 2))
    same, same_payload = document("b", "dbc", DBC)
    library.take_list(json.dumps({"documents": [old, same]}).encode())
    assert library.missing == ["a", "b"]
    assert library.take("a", old_payload)
    assert library.take("b", same_payload)
    assert library.missing == []
    other, _ = document("c", "dbc", "x")
    library.take_list(json.dumps({"documents": [new, same, other]}).encode())
    assert library.missing == ["a", "c"]
    assert not library.take("a", old_payload), "an old one that is under way does not count"
    assert Library(tmp_path).missing == ["a", "c"]


def test_commands_and_desired_state_reach_the_agent(tmp_path):
    async def script():
        server = await Server().start()
        given = settings(tmp_path, server.port, commands=["set-parameters", "restart"])
        running = asyncio.create_task(Agent(given).run())
        await server.wait(lambda it: it.on("/state/reported"))
        server.send(
            "v1/car-1/state/desired",
            json.dumps(
                {"version": 3, "state": {"report_interval_ms": -1, "colour": "red"}}
            ).encode(),
        )
        await server.wait(lambda it: json.loads(it.on("/state/reported")[-1])["version"] == 3)
        told = json.loads(server.on("/state/reported")[-1])
        assert set(told["refused"]) == {"report_interval_ms", "colour"}
        for name, arguments in (
            ("set-parameters", {"parameters": {"report_interval_ms": 250}}),
            ("restart", {}),
        ):
            command = {"id": name, "name": name, "arguments": arguments}
            server.send("v1/car-1/commands", json.dumps(command).encode())
            await server.wait(lambda it, on=f"/{name}/result": len(it.on(on)) == 2)
            results = [json.loads(each)["state"] for each in server.on(f"/{name}/result")]
            assert results == ["received", "executed"]
        assert await running is True, "it is to be started again"
        wishes = json.loads((tmp_path / "agent" / "reported.json").read_text())
        assert wishes["state"]["report_interval_ms"] == 250
        await server.stop()

    asyncio.run(script())


def _agent_process(folder, port, *options):
    return subprocess.Popen(
        [sys.executable, "-m", "carcloud", "agent", "run", "--vehicle", "car-1", "--port",
         str(port), "--folder", str(folder / "agent"), "--model", str(folder / "model.json"),
         "--report-ms", "0", "--log-level", "error", *options],
        env={**os.environ},
    )  # fmt: skip


def test_kill_9_loses_no_trigger_that_was_kept(tmp_path):
    async def script():
        server = await Server().start()
        settings(tmp_path, 1)
        campaign = campaign_file(tmp_path)[0]
        agent = _agent_process(
            tmp_path, 1, "--campaign", campaign, "--replay", write_log(tmp_path / "a.log", 900)
        )
        status = tmp_path / "agent" / "status.json"
        try:
            async with asyncio.timeout(60):
                while not status.exists() or not _kept(status):
                    await asyncio.sleep(0.05)
        finally:
            agent.send_signal(signal.SIGKILL)
            agent.wait()
        kept = _kept(status)
        given = settings(tmp_path, server.port, campaigns=[campaign])
        stop = asyncio.Event()
        running = asyncio.create_task(Agent(given).run(stop))
        await server.wait(lambda it: len(speeds(it)) >= kept)
        stop.set()
        await running
        got = speeds(server)
        assert got == list(range(1, len(got) + 1))
        await server.stop()

    asyncio.run(script())


def _kept(status):
    return json.loads(status.read_text())["records"]["kept"]


def test_the_agent_loads_no_heavy_library():
    code = (
        "import sys, carcloud.cli.agent, carcloud.cli.root;"
        "print([m for m in ('numpy', 'pyarrow', 'numba', 'duckdb', 'sqlalchemy', 'litestar')"
        " if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_its_state_is_shown(tmp_path):
    status = Agent(settings(tmp_path, 1, campaigns=campaign_file(tmp_path))).status()
    (tmp_path / "status.json").write_text(json.dumps({**status, "documents": []}))
    shown = CliRunner().invoke(main, ["agent", "status", "--folder", str(tmp_path)])
    assert "car-1 (not connected" in shown.output
    assert "every: 0 triggers" in shown.output
    asked = CliRunner().invoke(main, ["agent", "status", "--folder", str(tmp_path), "--json"])
    assert json.loads(asked.output)["model"] == "car"
    missing = CliRunner().invoke(main, ["agent", "status", "--folder", str(tmp_path / "x")])
    assert missing.exit_code == 1
    assert "is an agent running there?" in missing.output


@pytest.mark.parametrize(
    ("text", "field"),
    [
        ("", "vehicle"),
        ('vehicle = "a/b"', "vehicle"),
        ('vehicle = "a"\nspeed = 0', "speed"),
        ('vehicle = "a"\ncolour = 1', "colour"),
        ('vehicle = "a"\n[server]\nport = 70000', "server.port"),
        ('vehicle = "a"\n[server]\nkey = "k"', "server.certificate"),
        ('vehicle = "a"\n[[hooks]]\nname = "h"', "hooks[0].run"),
        ('vehicle = "a"\n[[hooks]]\nname = "h"\nrun = ["x"]\narguments.a.type = "date"',
         "hooks[0].arguments.a.type"),
        ("vehicle = ", ""),
    ],
)  # fmt: skip
def test_settings_that_cannot_be_used_name_the_field(tmp_path, text, field):
    file = tmp_path / "agent.toml"
    file.write_text(text)
    with pytest.raises(DocumentError) as caught:
        load_settings(file, {})
    assert caught.value.field == field


def test_a_candump_log_is_read_line_by_line():
    lines = (
        "(1700000000.5) can0 123#0102\n\n# a comment\n(1700000000.500001) can1 18FEF147#00 R\n"
        "(1700000001.000000) can0 123##1AABB\n(1700000002.0) can0 123#R8\n"
    )
    assert list(candump_lines(lines)) == [
        ("can0", (1_700_000_000_500_000, 0x123, b"\1\2")),
        ("can1", (1_700_000_000_500_001, 0x18FEF147 | 1 << 31, b"\0")),
        ("can0", (1_700_000_001_000_000, 0x123, b"\xaa\xbb")),
    ]
    with pytest.raises(NoLog, match="line 2"):
        list(candump_lines("(1.0) can0 1#00\nnonsense\n"))


def test_a_replay_keeps_the_pace_and_begins_again(tmp_path):
    log = read_log(Path(write_log(tmp_path / "a.log", 3, 1000)))
    replay = Replay(log, speed=2, loop=True)
    times = [frame[0] for _, frames in replay.take(0) for frame in frames]
    times += [frame[0] for _, frames in replay.take(3200) for frame in frames]
    assert times == [0, 500, 1000, 1500, 2000, 2500, 3000]
    assert replay.wait_us(3200) == 300
    assert not replay.done
    later = Replay(log, loop=True, skip_us=2000)  # begins with the last frame
    times = [frame[0] for _, frames in later.take(7000) for frame in frames]
    times += [frame[0] for _, frames in later.take(8000) for frame in frames]
    assert times == [7000, 8000]
    later.end()
    assert later.done
    assert later.take(99_000) == []


def test_a_replay_goes_on_from_a_clock_that_jumped(tmp_path):
    log = read_log(Path(write_log(tmp_path / "a.log", 9, 1000)))
    replay = Replay(log, loop=True)
    for now, most in ((10_000_000, 1), (90_000_000, 4096), (20_000_000, 1), (20_005_000, 6)):
        times = [frame[0] for _, frames in replay.take(now) for frame in frames]
        assert len(times) <= most
        assert all(now - 1_000_000 <= each <= now for each in times)
    assert times


@pytest.mark.parametrize("has_model", [True, False])
def test_a_replay_that_came_to_nothing_says_so(tmp_path, caplog, monkeypatch, has_model):
    monkeypatch.setattr("carcloud.agent.run._MODEL_S", 0.1)
    given = settings(tmp_path, 1, replay=write_log(tmp_path / "a.log", 3))
    agent = Agent(given if has_model else replace(given, model=None))
    asyncio.run(agent.run())
    told = [each.getMessage() for each in caplog.records if each.levelname == "WARNING"]
    assert any("nothing was decoded" in each for each in told) == (not has_model)
    assert any("nothing was sent: no connection" in each for each in told)


def test_a_replay_waits_for_the_model_of_the_cloud(tmp_path, monkeypatch):
    monkeypatch.setattr("carcloud.agent.run._MODEL_S", 60.0)

    async def script():
        server = await Server().start()
        model = document("car", "model", MODEL)
        server.retained = {
            "v1/car-1/documents": json.dumps({"documents": [model[0]]}).encode(),
            "v1/car-1/documents/car": model[1],
        }
        log = write_log(tmp_path / "a.log", 20)
        given = settings(tmp_path, server.port, replay=log, campaigns=campaign_file(tmp_path))
        await Agent(replace(given, model=None)).run()
        assert speeds(server) == list(range(1, 21))
        await server.stop()

    asyncio.run(script())
