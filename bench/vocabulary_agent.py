"""The vehicle agent: how many CAN frames a core carries through five campaigns, and its memory.

A synthetic bus of 40 messages with 8 signals of 8 bits each, values that change in every frame,
fixed seed. Frames per second: frames from memory to buffers and conditions, all in one thread's
processor time, median of several runs; what is needed is decoded, buffered and evaluated after
every frame. In the first row the campaigns read 20 of the 40 messages (two signals of each), in
the second all 40 with four signals of each. The peer is cantools decoding the same wanted frames,
without any campaign. Memory: the `carcloud agent run` process itself, fed by replay with no cloud
to send to, largest resident size once a minute's frames at 2,000 a second (120,000) have been
played at several times their pace; buffers are counted in samples, so they hold the same. Four
campaigns keep 60 s of 80 signals, one keeps 60 s of every raw frame.
"""

import gc
import json
import random
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from bench import Row
from carcloud.agent.extract import FrameTable
from carcloud.agent.model import VehicleModel, parse_model
from carcloud.codecs.campaign.document import parse_campaign
from carcloud.codecs.campaign.engine import Engine
from carcloud.codecs.campaign.prepare import prepare
from carcloud.codecs.campaign.record import Record

IDS, SIGNALS, RATE = 40, 8, 2000  # messages, signals of each, frames/s of the bus
FIRST_ID, START_US = 0x100, 1_900_000_000_000_000
SECONDS = 60


def dbc() -> str:
    """The database of the bus."""
    lines = ['VERSION ""', "", "BU_: ECU", ""]
    for message in range(IDS):
        lines.append(f"BO_ {FIRST_ID + message} M{message}: 8 ECU")
        lines += [f' SG_ S{at} : {8 * at}|8@1+ (0.5,-10) [0|0] "" ECU' for at in range(SIGNALS)]
        lines.append("")
    return "\n".join(lines)


def model() -> dict[str, Any]:
    """Every signal of the bus under a path of its own."""
    return {
        "id": "bench",
        "dbc": [{"text": dbc()}],
        "signals": [
            {
                "message": f"M{message}",
                "signal": f"S{at}",
                "path": f"Vehicle.M{message}.S{at}",
                "datatype": "float",
            }
            for message in range(IDS)
            for at in range(SIGNALS)
        ],
    }


def campaigns(messages: int, signals: int, raw: bool = False) -> list[dict[str, Any]]:
    """Five campaigns that share out the signals; conditions are true about once a minute."""
    found: list[dict[str, Any]] = []
    for number in range(5):
        mine = range(number, messages, 5)
        paths = [f"Vehicle.M{message}.S{at}" for message in mine for at in range(signals)]
        condition = " && ".join(f"{path} > 115" for path in paths[:3])
        found.append(
            {
                "id": f"campaign-{number}",
                "trigger": {
                    "when": f"{condition} || abs({paths[-1]}) > 1000",
                    "mode": "RISING_EDGE",
                    "minimum_interval_ms": 10_000,
                },
                "pre_trigger_ms": SECONDS * 1000,
                "signals": [{"path": path, "max_samples": SECONDS * RATE // IDS} for path in paths],
            }
        )
    if raw:
        found[-1]["signals"] = []
        found[-1]["frames"] = [
            {"id": FIRST_ID + message, "max_frames": SECONDS * RATE // IDS}
            for message in range(IDS)
        ]
    return found


def frames(count: int) -> list[tuple[int, int, bytes]]:
    """Frames of the bus in turn, 2,000 a second."""
    source = random.Random(4)
    return [
        (START_US + at * 1_000_000 // RATE, FIRST_ID + at % IDS, source.randbytes(8))
        for at in range(count)
    ]


def _engine(read: VehicleModel, documents: list[dict[str, Any]]) -> tuple[Engine, FrameTable]:
    def emit(_campaign: object, record: Record) -> None:
        assert record.campaign

    engine = Engine(emit, memory=256 << 20)
    prepared = [prepare(parse_campaign(each), read.catalogue) for each in documents]
    refused = engine.configure(prepared, START_US)
    assert not refused, refused
    return engine, FrameTable("can0", read, engine)


def evaluation_rate(messages: int, signals: int, count: int, runs: int) -> tuple[float, float]:
    """Frames a second, and the share of frames that some campaign wants."""
    read, stream = parse_model(model()), frames(count)
    taken, wanted = [], 0
    for _ in range(runs + 1):
        engine, table = _engine(read, campaigns(messages, signals))
        gc.collect()
        start = time.process_time()
        wanted = engine.run(stream, table)
        taken.append(time.process_time() - start)
    return count / statistics.median(taken[1:]), wanted / count


def cantools_rate(messages: int, count: int) -> float:
    """Frames a second of the same bus when cantools decodes the wanted ones."""
    import cantools

    database = cantools.database.load_string(dbc(), "dbc")
    stream = frames(count)
    start = time.process_time()
    for _, key, payload in stream:
        if key < FIRST_ID + messages:
            database.decode_message(key, payload, decode_choices=False)
    return count / (time.process_time() - start)


def _resident(pid: int) -> float:
    """Largest resident size of a process so far, in MB."""
    text = Path(f"/proc/{pid}/status").read_text()
    (line,) = (line for line in text.splitlines() if line.startswith("VmHWM"))
    return int(line.split()[1]) / 1000


def memory(speed: int) -> tuple[float, dict[str, Any]]:
    """Largest resident size of a real agent in MB, and its state at the end."""
    with tempfile.TemporaryDirectory(prefix="carcloud-bench-") as name:
        folder = Path(name)
        lines = [
            f"({t // 1_000_000}.{t % 1_000_000:06d}) can0 {key:03X}#{payload.hex()}\n"
            for t, key, payload in frames(10 * RATE)
        ]
        (folder / "bus.log").write_text("".join(lines))
        (folder / "model.json").write_text(json.dumps(model()))
        options = []
        for document in campaigns(IDS, 2, raw=True):
            file = folder / f"{document['id']}.json"
            file.write_text(json.dumps(document))
            options += ["--campaign", str(file)]
        command = [
            sys.executable, "-m", "carcloud", "agent", "run", "--vehicle", "bench", "--port", "1",
            "--folder", str(folder / "agent"), "--replay", str(folder / "bus.log"), "--loop",
            "--speed", str(speed), "--model", str(folder / "model.json"), *options,
        ]  # fmt: skip
        agent = subprocess.Popen(command, stderr=subprocess.DEVNULL)
        try:
            return _after_a_minute(agent, folder / "agent" / "status.json")
        finally:
            agent.terminate()
            agent.wait(120)


def _after_a_minute(agent: "subprocess.Popen[bytes]", status: Path) -> tuple[float, dict[str, Any]]:
    limit = time.monotonic() + 240
    while time.monotonic() < limit:
        time.sleep(1)
        assert agent.poll() is None, "the agent has ended"
        if status.exists():
            state: dict[str, Any] = json.loads(status.read_text())
            if state["frames"]["seen"] >= SECONDS * RATE * 5 // 4:
                return _resident(agent.pid), state
    raise TimeoutError("the agent did not see a minute of frames")


def figures(small: bool = False) -> Iterator[Row]:
    """The figures one after the other; `small` uses few frames, to see that it works."""
    count, runs = (20_000, 1) if small else (200_000, 5)
    rate, share = evaluation_rate(20, 2, count, runs)
    peer = cantools_rate(20, count // 20)
    yield Row(f"agent: 5 campaigns, {share:.0%} of frames wanted, 2 signals of each", rate,
              "frames/s", ">= 100,000", "cantools, decoding them only", rate / peer)  # fmt: skip
    rate, share = evaluation_rate(40, 4, count, runs)
    peer = cantools_rate(40, count // 20)
    yield Row(f"agent: 5 campaigns, {share:.0%} of frames wanted, 4 signals of each", rate,
              "frames/s", "", "cantools, decoding them only", rate / peer)  # fmt: skip
    resident, state = memory(30 if small else 8)
    samples = state["sample_bytes"] / 1e6
    yield Row(f"agent process: 5 campaigns, 60 s at 2,000 frames/s ({samples:.0f} MB of samples)",
              resident, "MB", "<= 150")  # fmt: skip
