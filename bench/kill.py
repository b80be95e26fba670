"""`kill -9` in large: is every acknowledged report in the lake, once, whatever was killed?

1,000 simulated vehicles report once a second over TCP while the processes of the cloud (stream
server, gateway, ingest, web, jobs) are killed with SIGKILL one after the other, in shuffled
order; the supervisor starts them again. Two of three kills wait until reports are acknowledged
again, so that frames are on their way everywhere; the third falls into the recovery. Vehicles
keep what is not acknowledged and send it again after reconnecting. At the end the lake is
compared with what the vehicles had acknowledged, by vehicle, collection time and content.
"""

import random
import threading
import time
from collections import Counter

import uvloop
from tests.kill.victims import kill

from bench.row import Row
from bench.site import site
from carcloud.simulator.options import SimulateOptions, SimulateResult
from carcloud.simulator.run import simulate

_QUIET_S = 15  # at the end, without kills
_LONGEST_WAIT_S = 20  # for acknowledgements before the next kill


def rows(small: bool = False) -> list[Row]:
    """The count of kills and what was lost or doubled by them."""
    vehicles, seconds = (50, 20) if small else (1_000, 180)
    killed: Counter[str] = Counter()
    with site(lake__upkeep_s=10) as cloud:
        options = SimulateOptions(
            port=cloud.port,
            vehicles=vehicles,
            seconds=float(seconds),
            backoff_s=(0.2, 3.0),
            drain_s=120,
            reply_timeout_s=20,
        )
        box: list[SimulateResult] = []
        seen = [0]  # reports acknowledged so far
        fleet = threading.Thread(
            target=lambda: box.append(
                uvloop.run(simulate(options, lambda now: seen.append(now.acknowledged)))
            )
        )
        fleet.start()
        dice, began, due = random.Random(), time.monotonic(), time.monotonic() + 5
        wanted, latest = vehicles, due + _LONGEST_WAIT_S
        victims: list[str] = []
        while fleet.is_alive():
            now = time.monotonic()
            flows = seen[-1] >= wanted or now > latest
            if now > due and flows and now - began < seconds - min(_QUIET_S, seconds / 3):
                victims = victims or dice.sample(sorted(cloud.supervisor.pids()), 5)
                if kill(cloud.supervisor, victims[-1]):
                    killed[victims.pop()] += 1
                due = now + dice.uniform(0.2, 2.5)
                wanted = seen[-1] + (vehicles if dice.random() < 2 / 3 else 0)
                latest = due + _LONGEST_WAIT_S
            cloud.supervisor.tend()
            fleet.join(0.1)
        result = box[0]
        found = cloud.reckoning(
            result.vehicles, result.acknowledged_vehicle, result.acknowledged_seconds
        )
    kills = ", ".join(f"{role} {count}" for role, count in sorted(killed.items()))
    return [
        Row(f"processes killed ({kills})", killed.total(), "kills"),
        Row("connections lost by them", result.lost_connections, "connections"),
        Row("reports acknowledged", result.acknowledged, "reports"),
        Row("reports sent again as reissue", result.reissued, "reports"),
        Row("acknowledged but missing in the lake", found.missing, "reports", "<= 0"),
        Row("twice in the lake", found.duplicates, "reports", "<= 0"),
        Row("never acknowledged", result.unconfirmed, "reports", "<= 0"),
    ]
