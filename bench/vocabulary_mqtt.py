"""MQTT: messages acknowledged each second over 1,000 connections, beside two MQTT servers.

All servers are given the same by the same load generator (`mqtt_load`), which takes its share of
the machine's cores: QoS 1, 200 bytes of JSON, four messages unanswered on each connection; what is
counted is PUBACKs over some seconds after a warm-up. They do not promise the same:

- carcloud: the PUBACK comes when the message is on the disk of the stream (NATS file store, synced
  with every block). Vehicles are known by their tokens, and each has its own topics. The gateway
  and its stream run alone, as the peers do: no other role reads the stream or takes a part of the
  machine meanwhile.
- mosquitto (Debian package `mosquitto`; "not here" where it is not installed): the PUBACK comes
  when the message is in its memory. Nobody subscribes, so it stores nothing: that is the least a
  server can do, a bound and no equal.
- NATS' own MQTT: the PUBACK comes when the message is in its own MQTT stream, which is synced every
  two minutes (its default; synced with every message it needs so long at this load that it closes
  the connections). It is not yet in a stream that an application reads, which may refuse it later.

A peer that closes connections under the load says so in its row.
"""

import json
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.ports.free import free_port

from bench.row import Row
from bench.site import ROOT, site
from carcloud.app.records import open_any_records
from carcloud.engines.stream_nats.server import binary
from carcloud.model.ids import DEFAULT_TENANT
from carcloud.services.vehicles.api import Vehicles

_CONNECTIONS = 1_000
_TARGET = ">= 15,000"
_START_S = 90
_MOSQUITTO = ("mosquitto", "/usr/sbin/mosquitto")

People = list[tuple[str, str]]


def figures(small: bool) -> Iterator[Row]:
    """Three servers, one after the other."""
    connections = 100 if small else _CONNECTIONS
    ours = _ours(connections, small)
    if ours["lost"]:
        raise RuntimeError(f"{ours['lost']:.0f} connections were lost")
    peers = {"mosquitto": _mosquitto(connections, small), "NATS MQTT": _nats(connections, small)}
    for name, peer in peers.items():
        told = f"{name}: not here" if peer is None else f"{name}: {peer['rate']:,.0f}/s"
        if peer and peer["lost"]:
            told += f", {peer['lost']:,.0f} connections closed"
        yield Row(
            f"MQTT QoS 1, {connections:,} connections, acknowledged after durable",
            ours["rate"], "message/s", "" if small else _TARGET,
            told, ours["rate"] / peer["rate"] if peer and peer["rate"] else None,
        )  # fmt: skip
    yield Row("the same, from sending to PUBACK, median", ours["p50_ms"], "ms")
    yield Row("the same, 99 %", ours["p99_ms"], "ms")


def _ours(connections: int, small: bool) -> dict[str, float]:
    with site(roles="gateway", gateway__frames_per_second_per_vehicle=1_000_000) as running:
        records = open_any_records(running.settings)
        vehicles = Vehicles(records)
        names = [name for name, _ in _strangers(connections)]
        vehicles.import_csv(DEFAULT_TENANT, "\n".join(("id", *names)), actor="bench")
        made = [vehicles.make_token(DEFAULT_TENANT, name, actor="bench") for name in names]
        people: People = [(one.vehicle, one.token) for one in made]
        records.close()
        return _load(running.supervisor.run.facts("gateway")["mqtt"]["port"], people, small)


def _load(port: int, people: People, small: bool) -> dict[str, float]:
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "people.json"
        file.write_text(json.dumps(people))
        pace = ["--warm-s=0.5", "--seconds=1"] if small else []
        done = subprocess.run(
            [sys.executable, "-m", "bench.mqtt_load", str(port), str(file), *pace],
            cwd=ROOT, capture_output=True, text=True, check=True,
        )  # fmt: skip
    found: dict[str, float] = json.loads(done.stdout)
    return found


def _strangers(connections: int) -> People:
    return [(f"mqtt-{number}", "") for number in range(connections)]


def _mosquitto(connections: int, small: bool) -> dict[str, float] | None:
    program = next(filter(None, map(shutil.which, _MOSQUITTO)), None)
    if program is None:
        return None
    port = free_port()
    settings = f"listener {port} 127.0.0.1\nallow_anonymous true\nmax_inflight_messages 0\n"
    with _running(settings, [program, "-c"], port):
        return _load(port, _strangers(connections), small)


def _nats(connections: int, small: bool) -> dict[str, float] | None:
    port = free_port()
    with tempfile.TemporaryDirectory() as store:
        settings: dict[str, Any] = {
            "server_name": "bench",
            "listen": f"127.0.0.1:{free_port()}",
            "jetstream": {"store_dir": store},
            "mqtt": {"listen": f"127.0.0.1:{port}"},
        }
        with _running(json.dumps(settings), [str(binary()), "--config"], port):
            return _load(port, _strangers(connections), small)


@contextmanager
def _running(settings: str, command: list[str], port: int) -> Iterator[None]:
    """A server with this configuration file, once it listens."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "server.conf"
        file.write_text(settings)
        with (Path(folder) / "log").open("w") as log:
            process = subprocess.Popen([*command, str(file)], stdout=log, stderr=log)
            try:
                _wait_for(process, port, Path(folder) / "log")
                yield
            finally:
                process.kill()  # nothing of it is kept
                process.wait()


def _wait_for(process: "subprocess.Popen[bytes]", port: int, log: Path) -> None:
    deadline = time.monotonic() + _START_S
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
        except OSError as error:
            if process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"the peer does not start: {log.read_text()}") from error
            time.sleep(0.1)
        else:
            return
