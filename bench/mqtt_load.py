"""A load generator for MQTT servers: many connections, QoS 1, so many messages unanswered on each.

It runs in a process of its own and shares the machine with the server under test, so it does
little for a message: the PUBLISH packets of a connection are built beforehand, and an answer is
known by its packet identifier. As soon as messages are acknowledged, others take their place.
"""

import argparse
import asyncio
import json
import time
from array import array
from pathlib import Path
from typing import cast

import numpy as np
import uvloop

from carcloud.codecs.mqtt.encode import encode
from carcloud.codecs.mqtt.packets import V311, Connect, Publish

_IDS = 64  # packet identifiers of a connection, and so many packets are built
_CONNECTS = 50  # opened at the same time


class Load:
    """What all connections share."""

    def __init__(self, burst: int) -> None:
        self.burst = burst
        self.acknowledged = 0
        self.counting = False
        self.stopped = False
        self.counted = 0
        self.lost = 0
        self.waits = array("d")  # s from sending to the acknowledgement, while counting


class Connection(asyncio.Protocol):
    """One vehicle: `burst` messages on their way at any time."""

    def __init__(self, load: Load, connect: bytes, packets: list[bytes]) -> None:
        self.ready = asyncio.get_running_loop().create_future()
        self._load = load
        self._connect = connect
        self._packets = packets
        self._next = 0
        self._sent = [0.0] * (_IDS + 1)
        self._rest = b""
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._transport.write(self._connect)

    def connection_lost(self, exc: Exception | None) -> None:
        self._load.lost += not self._load.stopped
        if not self.ready.done():
            self.ready.set_exception(exc or ConnectionResetError("closed at the login"))

    def send(self, count: int) -> None:
        """Publish so many messages in one write."""
        if self._load.stopped or self._transport is None:
            return
        now, start = time.perf_counter(), self._next
        for number in range(start, start + count):
            self._sent[number % _IDS + 1] = now
        self._next = start + count
        parts = [self._packets[number % _IDS] for number in range(start, start + count)]
        self._transport.write(b"".join(parts))

    def data_received(self, data: bytes) -> None:
        data = self._rest + data
        at, acks, now, load = 0, 0, time.perf_counter(), self._load
        while len(data) - at >= 4:
            if data[at] == 0x40:
                acks += 1
                if load.counting:
                    load.waits.append(now - self._sent[data[at + 2] << 8 | data[at + 3]])
            elif data[at] == 0x20:
                if data[at + 3]:
                    self.ready.set_exception(ConnectionRefusedError(f"code {data[at + 3]}"))
                else:
                    self.ready.set_result(None)
            at += 4
        self._rest = data[at:]
        load.acknowledged += acks
        load.counted += acks if load.counting else 0
        if acks:
            self.send(acks)


def _packets(topic: str, payload: bytes) -> list[bytes]:
    return [encode(Publish(topic, payload, 1, number), V311) for number in range(1, _IDS + 1)]


async def run(
    port: int, people: list[tuple[str, str]], burst: int, warm_s: float, seconds: float
) -> dict[str, float]:
    """Figures of one run; `people`: (user name, password) of each connection."""
    loop, load = asyncio.get_running_loop(), Load(burst)
    payload = json.dumps(
        {"signals": [{"path": "Vehicle.Speed", "time": 1_767_225_600_000, "value": 61.5},
                     {"path": "Vehicle.Powertrain.TractionBattery.StateOfCharge.Current",
                      "time": 1_767_225_600_000, "value": 55.25}]}
    ).encode()  # fmt: skip
    connections: list[Connection] = []
    for start in range(0, len(people), _CONNECTS):
        made = []
        for user, password in people[start : start + _CONNECTS]:
            hello = Connect(user, V311, keep_alive=300, username=user or None,
                            password=password.encode() if password else None)  # fmt: skip
            packets = _packets(f"v1/{user}/signals", payload)
            one = Connection(load, encode(hello, V311), packets)
            await loop.create_connection(lambda one=one: one, "127.0.0.1", port)
            made.append(one)
        await asyncio.gather(*(one.ready for one in made))
        connections += made
    for one in connections:
        one.send(burst)
    await asyncio.sleep(warm_s)
    load.counting, began = True, time.perf_counter()
    await asyncio.sleep(seconds)
    load.counting, took = False, time.perf_counter() - began
    load.stopped = True
    p50, p99 = np.percentile(np.array(load.waits), [50, 99]) if load.waits else (0.0, 0.0)
    await asyncio.sleep(0.5)
    return {
        "rate": load.counted / took,
        "p50_ms": float(p50) * 1000,
        "p99_ms": float(p99) * 1000,
        "lost": load.lost,
        "acknowledged": load.acknowledged,
    }


def main() -> None:
    """Print the figures as JSON."""
    parser = argparse.ArgumentParser()
    parser.add_argument("port", type=int)
    parser.add_argument("people", type=Path, help="JSON: [[user name, password], ...]")
    parser.add_argument("--burst", type=int, default=4)
    parser.add_argument("--warm-s", type=float, default=2.0)
    parser.add_argument("--seconds", type=float, default=8.0)
    asked = parser.parse_args()
    people = [tuple(one) for one in json.loads(asked.people.read_text())]
    figures = uvloop.run(run(asked.port, people, asked.burst, asked.warm_s, asked.seconds))
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
