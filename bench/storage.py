"""Object storage: 1 MB objects put and got through the S3 interface, beside SeaweedFS.

Both servers run on this machine in the same run, with SeaweedFS started as its makers advise for
one machine (`weed server -s3`, nothing tuned), its data on the same disk. One client
(obstore, signed requests, eight connections) puts and gets 1,000,000 random bytes a time,
for every object a new key; rounds of the two servers alternate and the median round counts.
What a GET answers is compared with what was put.

The two do not promise the same. carcloud answers a PUT when the bytes, the folder that names them
and the row that describes them are synced to disk. SeaweedFS answers when its volume server has
written to the page cache: `fsync` is off unless a path is configured for it, so a power cut may
take what it acknowledged. The row `synced` has SeaweedFS with fsync for the bucket's path, which
is nearer to the same promise. CPU seconds are those of the server process and its children.
"""

import asyncio
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import obstore
from obstore.store import S3Store
from tests.ports.free import free_port, free_ports

from bench.row import Row

ROOT = Path(__file__).parents[1]
SIZE = 1_000_000  # bytes
CONNECTIONS = 8
BUCKET, ACCESS, SECRET = "bench", "bench-access", "bench-secret"
_TICK = os.sysconf("SC_CLK_TCK")
_START_S = 90.0


@dataclass
class Server:
    """A running S3 server and what its rounds measured."""

    name: str
    pid: int
    store: Any
    filer: int = 0  # port of SeaweedFS' own interface
    rates: dict[str, list[float]] = field(default_factory=lambda: {"put": [], "get": []})
    cpu: dict[str, list[float]] = field(default_factory=lambda: {"put": [], "get": []})


def rows(small: bool = False) -> list[Row]:
    """Rates of both, and their ratio; small: seconds."""
    count, rounds = (40, 1) if small else (400, 5)
    data = Path(
        tempfile.mkdtemp(prefix="carcloud-bench-", dir=os.environ.get("CARCLOUD_BENCH_DIR"))
    )
    try:
        with _carcloud(data / "carcloud") as ours, _seaweed(data / "weed") as peer:
            servers = [ours] if peer is None else [ours, peer]
            for number in range(rounds):
                for server in servers if number % 2 else servers[::-1]:
                    asyncio.run(_round(server, f"r{number}", count))
            found = _rates(ours, peer)
            if peer is not None and not small:
                _sync_paths(peer)
                for number in range(rounds):
                    asyncio.run(_round(peer, f"s{number}", count // 4))
                synced = statistics.median(peer.rates["put"][rounds:])
                found.append(
                    Row("put 1 MB objects, SeaweedFS with fsync", round(synced), "objects/s")
                )
    finally:
        shutil.rmtree(data, ignore_errors=True)
    return found


def _rates(ours: Server, peer: Server | None) -> list[Row]:
    found = []
    for what in ("put", "get"):
        mine = statistics.median(ours.rates[what])
        theirs = None if peer is None else statistics.median(peer.rates[what])
        told = "" if theirs is None else f"SeaweedFS {theirs:.0f}/s"
        ratio = None if theirs is None else round(mine / theirs, 2)
        name = f"{what} 1 MB objects, {CONNECTIONS} connections"
        found.append(Row(name, round(mine), "objects/s", "", told, ratio, 1.0))
    for what in ("put", "get"):
        mine = statistics.median(ours.cpu[what]) * 1000
        theirs = None if peer is None else statistics.median(peer.cpu[what]) * 1000
        told = "" if theirs is None else f"SeaweedFS {theirs:.1f} ms"
        ratio = round(theirs / mine, 2) if theirs and mine else None  # a tick is 10 ms
        found.append(
            Row(f"CPU of the server for each {what}", round(mine, 2), "ms", "", told, ratio)
        )
    return found


async def _round(server: Server, prefix: str, count: int) -> None:
    data = os.urandom(SIZE)

    async def put(number: int) -> None:
        key = f"{prefix}/{number}"
        await obstore.put_async(server.store, key, data, use_multipart=False)

    async def get(number: int) -> None:
        answer = await obstore.get_async(server.store, f"{prefix}/{number}")
        assert bytes(await answer.bytes_async()) == data

    for what, work in (("put", put), ("get", get)):
        rate, cpu = await _timed(server, work, count)
        server.rates[what].append(rate)
        server.cpu[what].append(cpu)


async def _timed(
    server: Server, work: Callable[[int], Awaitable[None]], count: int
) -> tuple[float, float]:
    """(calls each second, CPU seconds of the server for each)."""
    numbers = iter(range(count))

    async def connection() -> None:
        for number in numbers:
            await work(number)

    cpu, began = _cpu_s(server.pid), time.perf_counter()
    await asyncio.gather(*(connection() for _ in range(CONNECTIONS)))
    seconds = time.perf_counter() - began
    return count / seconds, (_cpu_s(server.pid) - cpu) / count


def _cpu_s(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2].split()
    return sum(int(fields[index]) for index in (11, 12, 13, 14)) / _TICK


def _store(port: int) -> S3Store:
    config: Any = {
        "endpoint": f"http://127.0.0.1:{port}",
        "access_key_id": ACCESS,
        "secret_access_key": SECRET,
        "region": "us-east-1",
        "virtual_hosted_style_request": "false",
    }
    return S3Store(BUCKET, config=config, client_options={"allow_http": True})


@contextmanager
def _carcloud(folder: Path) -> Iterator[Server]:
    port = free_port()
    command = [sys.executable, "-m", "bench.storage_server", str(port), str(folder)]
    with _running(command, folder, port) as pid:
        yield Server("carcloud", pid, _store(port))


@contextmanager
def _seaweed(folder: Path) -> Iterator[Server | None]:
    """SeaweedFS, or None where its program is missing."""
    program = Path(sys.executable).parent / "weed"
    if not program.is_file():
        yield None
        return
    folder.mkdir(parents=True)
    ports = free_ports(4)
    keys = [{"accessKey": ACCESS, "secretKey": SECRET}]
    who = {"name": "b", "credentials": keys, "actions": ["Admin", "Read", "Write", "List"]}
    (folder / "s3.json").write_text(json.dumps({"identities": [who]}))
    names = ("master.port", "volume.port", "filer.port", "s3.port")
    command = [
        str(program), "server", "-s3", "-filer", f"-dir={folder}", "-ip=127.0.0.1",
        "-ip.bind=127.0.0.1", f"-s3.config={folder / 's3.json'}", "-s3.port.iceberg=0",
        "-s3.port.lance=0",
        *(f"-{name}={port}" for name, port in zip(names, ports, strict=True)),
    ]  # fmt: skip
    with _running(command, folder, ports[3]) as pid:
        yield Server("SeaweedFS", pid, _store(ports[3]), ports[2])


@contextmanager
def _running(command: list[str], folder: Path, port: int) -> Iterator[int]:
    folder.mkdir(parents=True, exist_ok=True)
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, cwd=ROOT, env=environment)
    try:
        _await(process, port, folder / "log")
        yield process.pid
    finally:
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _await(process: "subprocess.Popen[bytes]", port: int, log: Path) -> None:
    """Wait until the server keeps an object."""
    deadline = time.monotonic() + _START_S
    while True:
        try:
            obstore.put(_store(port), "ready", b"1", use_multipart=False)
        except obstore.exceptions.BaseError:
            if process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(log.read_text(errors="replace")[-2000:]) from None
            time.sleep(0.5)
        else:
            return


def _sync_paths(peer: Server) -> None:
    """Let SeaweedFS sync what comes into the bucket from now on (`fs.configure -fsync`)."""
    location = {"locationPrefix": f"/buckets/{BUCKET}/", "fsync": True}
    body = json.dumps({"locations": [location]}).encode()
    url = f"http://127.0.0.1:{peer.filer}/etc/seaweedfs/filer.conf"
    httpx.put(url, content=body).raise_for_status()
    time.sleep(2)
