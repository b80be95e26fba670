"""`carcloud demo --json`: the main job, as a newcomer runs it."""

import asyncio
import json
import subprocess
import sys

import pytest

from carcloud.demo.run import gathered

KEYS = {
    "sent", "acknowledged", "stored", "duplicates", "missing", "dead_letters", "ack_p50_ms",
    "ack_p99_ms", "queryable_p50_ms", "queryable_p99_ms", "peak_memory_mb",
}  # fmt: skip


@pytest.mark.timeout(300)  # of which a first start takes most: it compiles the decoders
def test_a_short_demo_stores_what_it_acknowledges(tmp_path):
    done = subprocess.run(
        [
            sys.executable, "-m", "carcloud", "demo", "--for", "12", "--vehicles", "40",
            "--trucks", "8", "--agents", "6",
            "--loss", "120", "--json", "--data", str(tmp_path / "demo"),
        ],
        capture_output=True,
        text=True,
        timeout=280,
        check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    assert report.keys() >= KEYS
    assert report["sent"] >= report["acknowledged"] > 200
    assert report["stored"] >= report["acknowledged"]
    assert (report["missing"], report["duplicates"], report["dead_letters"]) == (0, 0, 0)
    assert set(report["protocols"]) == {"gbt32960", "jt808", "mqtt"}
    for name, row in report["protocols"].items():
        assert row["sent"] >= row["acknowledged"] > 0, name
        assert row["stored"] >= row["acknowledged"], name
    agents = report["protocols"]["mqtt"]
    assert agents["vehicles"] == 6
    assert agents["can_frames"] > agents["vehicles"] * 25 * 5
    assert report["ack_p50_ms"] <= report["ack_p99_ms"]
    assert report["queryable_p50_ms"] <= report["queryable_p99_ms"]
    assert "http://127.0.0.1:" in done.stderr


def test_the_time_of_a_demo_begins_when_all_are_connected() -> None:
    left = [2, 1, 1, 0]
    told: list[int] = []

    def missing() -> int:
        told.append(left[min(len(told), len(left) - 1)])
        return told[-1]

    async def check() -> None:
        stop = asyncio.Event()
        await gathered(missing, stop)
        assert told == left
        await gathered(lambda: 1, stop, most_s=0.01)  # whoever does not come is not waited for
        stop.set()
        async with asyncio.timeout(60):
            await gathered(lambda: 1, stop)

    asyncio.run(check())
