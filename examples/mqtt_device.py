"""A device that reports to carcloud with a plain MQTT client (`pip install paho-mqtt`).

    CARCLOUD_VEHICLE_TOKEN=cvt_… python mqtt_device.py --vehicle CAR-0001 --count 10

It sends one batch a second and waits for each to be durable. A batch that was not acknowledged
is sent again when the connection is back; carcloud keeps it once.
"""

import argparse
import json
import math
import os
import ssl
import time

from paho.mqtt import client as mqtt


def batch(now_ms: int) -> bytes:
    """Two moments with what each signal was then; the names are of COVESA VSS."""
    speed = 60 + 20 * math.sin(now_ms / 60_000)  # km/h
    rows = [
        {"time": now_ms - 500, "values": {"Vehicle.Speed": round(speed, 2)}},
        {
            "time": now_ms,
            "values": {
                "Vehicle.Speed": round(speed, 2),
                "Vehicle.IsMoving": speed > 0,
                "Vehicle.Powertrain.TractionBattery.StateOfCharge.Displayed": 71.5,  # percent
                "Vehicle.Powertrain.TractionBattery.CellVoltage.CellVoltages": [3.61, 3.6, 3.62],
            },
        },
    ]
    return json.dumps(rows).encode()


def options() -> argparse.Namespace:
    """What is typed behind the name of the program."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=1883)
    parser.add_argument("--vehicle", required=True, help="as it is registered")
    parser.add_argument("--count", type=int, default=10, help="batches to send")
    parser.add_argument("--interval", type=float, default=1.0, help="seconds between them")
    parser.add_argument("--ca", help="file with the CA of the gateway: use TLS")
    return parser.parse_args()


def main() -> None:
    """Connect, send, and wait for each acknowledgement."""
    given = options()
    client = mqtt.Client(
        mqtt.CallbackAPIVersion.VERSION2,
        client_id=given.vehicle,
        protocol=mqtt.MQTTv5,
    )
    client.username_pw_set(given.vehicle, os.environ["CARCLOUD_VEHICLE_TOKEN"])
    if given.ca:
        client.tls_set_context(ssl.create_default_context(cafile=given.ca))
    client.on_connect = lambda _client, _data, _flags, reason, _more: print("connected:", reason)
    client.connect(given.host, given.port)
    client.loop_start()
    for sent in range(given.count):
        if sent:
            time.sleep(given.interval)
        told = client.publish(
            f"v1/{given.vehicle}/signals", batch(time.time_ns() // 1_000_000), qos=1
        )
        told.wait_for_publish(timeout=30)
        if not told.is_published():
            raise SystemExit("not acknowledged within 30 s")
        print("durable:", sent + 1)
    client.disconnect()
    client.loop_stop()


if __name__ == "__main__":
    main()
