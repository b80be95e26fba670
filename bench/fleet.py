"""A large fleet in a process of its own: `python -m bench.fleet PORT CARS SECONDS SEED IP…`."""

import json
import sys

import uvloop

from carcloud.simulator.options import Progress, SimulateOptions
from carcloud.simulator.run import simulate


def main() -> None:
    """Drive the fleet and print what came of it as one JSON object."""
    port, vehicles, seconds, seed, *addresses = sys.argv[1:]
    connected = 0

    def look(progress: Progress) -> None:
        nonlocal connected
        connected = max(connected, progress.connected)

    result = uvloop.run(
        simulate(
            SimulateOptions(
                port=int(port),
                vehicles=int(vehicles),
                seconds=float(seconds),
                period_s=10.0,
                seed=int(seed),
                connects_per_second=400.0,
                local_addresses=tuple(addresses),
                record_acknowledged=False,
            ),
            look,
        )
    )
    told = {
        "vehicles": len(result.vehicles),
        "connected": connected,  # the most at one moment
        "seconds": result.elapsed_s,
        "sent": result.sent,
        "acknowledged": result.acknowledged,
        "unconfirmed": result.unconfirmed,
        "lost_connections": result.lost_connections,
        "ack_p99_ms": result.ack_p99_ms,
    }
    sys.stdout.write(json.dumps(told) + "\n")


if __name__ == "__main__":
    main()
