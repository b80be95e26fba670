"""What the demo tells: a line while it runs, and the report at its end."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
from rich.text import Text

from carcloud.app.engines import open_lake
from carcloud.config import Settings
from carcloud.demo.agents import Agents, summary
from carcloud.demo.freshness import FreshnessProbe
from carcloud.demo.reckoning import SECOND, Acknowledged, Reckoning, reckon_fleets
from carcloud.model.ids import DEFAULT_TENANT
from carcloud.simulator.options import Progress, SimulateResult


@dataclass(slots=True)
class Outcome:
    """All that is known when the fleets have ended: GB/T 32960 first, then JT/T 808."""

    fleets: list[SimulateResult] = field(default_factory=list)
    agents: Agents | None = None
    agents_acknowledged: npt.NDArray[np.int64] = field(
        default_factory=lambda: np.empty((0, 2), np.int64)
    )  # number of the car, us since 1970
    probe: FreshnessProbe | None = None
    peak_bytes: int = 0  # of the cloud's processes
    agents_peak_bytes: int = 0


def line(progress: Mapping[str, Progress], agents: Agents | None, status: dict[str, Any]) -> Text:
    """One line about a demo that runs."""
    if not progress:
        return Text("connecting …")
    told = list(progress.values())
    more = {} if agents is None else agents.told.counters
    fresh = status.get("freshness_ms")
    parts = [
        f"{max(each.elapsed_s for each in told):6.0f} s",
        f"connected {sum(each.connected for each in told) + more.get('connected', 0)}",
        f"{status.get('frames_per_second', 0):.0f} frames/s",
        f"sent {sum(each.sent for each in told) + more.get('sent', 0)}",
        f"acknowledged {sum(e.acknowledged for e in told) + more.get('acknowledged', 0)}",
        f"stored {status.get('stored_per_second', 0):.0f}/s",
        f"fresh {fresh:.0f} ms" if fresh is not None else "fresh –",
    ]
    parts += [problem["detail"] for problem in status.get("problems", ())]
    return Text("  ".join(parts))


def report(settings: Settings, outcome: Outcome) -> dict[str, Any]:
    """The report: sums of all protocols, then `protocols` apart. Compares with the lake."""
    names, fleets = ["gbt32960", "jt808"][: len(outcome.fleets)], outcome.fleets
    acknowledged = [
        Acknowledged(
            fleet.vehicles,
            fleet.acknowledged_vehicle,
            fleet.acknowledged_seconds.astype(np.int64) * SECOND,
        )
        for fleet in fleets
    ]
    if outcome.agents is not None:
        car, time_us = outcome.agents_acknowledged.T
        names.append("mqtt")
        acknowledged.append(Acknowledged(outcome.agents.cars, car, time_us))
    found = reckon_fleets(open_lake(settings), DEFAULT_TENANT, acknowledged)
    rows = [_of_fleet(*each) for each in zip(fleets, found[: len(fleets)], strict=True)]
    if outcome.agents is not None:
        rows.append(_of_agents(outcome.agents, acknowledged[-1], found[-1]))
    cars, probe = fleets[0], outcome.probe
    return {
        "vehicles": sum(row["vehicles"] for row in rows),
        "seconds": round(cars.elapsed_s, 1),
        **{name: sum(row[name] for row in rows) for name in _SUMS},
        "ack_p50_ms": round(cars.ack_p50_ms, 2),
        "ack_p99_ms": round(cars.ack_p99_ms, 2),
        "queryable_p50_ms": probe.percentile_ms(0.5) if probe else None,
        "queryable_p99_ms": probe.percentile_ms(0.99) if probe else None,
        "peak_memory_mb": round(outcome.peak_bytes / 1e6, 1),
        "agents_memory_mb": round(outcome.agents_peak_bytes / 1e6, 1),
        "protocols": dict(zip(names, rows, strict=True)),
    }


def lines(told: Mapping[str, Any]) -> list[str]:
    """The report as text: the sums, then a table of the protocols."""
    shown = [
        f"  {name.replace('_', ' '):<18} {value}"
        for name, value in told.items()
        if name != "protocols"
    ]
    shown.append("  " + " " * 9 + "".join(f"{name:>{width}}" for name, width in _COLUMNS.items()))
    for name, row in told["protocols"].items():
        cells = "".join(f"{row[each]:>{width},}" for each, width in _COLUMNS.items())
        shown.append(f"  {name:<9}{cells}")
    return shown


_COLUMNS = {
    "vehicles": 9, "sent": 10, "acknowledged": 13, "stored": 10, "missing": 9, "duplicates": 11,
}  # fmt: skip
_SUMS = (
    "sent", "acknowledged", "unacknowledged", "reissued", "lost_connections", "stored",
    "duplicates", "missing", "dead_letters",
)  # fmt: skip


def _of_fleet(result: SimulateResult, found: Reckoning) -> dict[str, Any]:
    return {
        "vehicles": len(result.vehicles),
        "sent": result.sent,
        "acknowledged": result.acknowledged,
        "unacknowledged": result.unconfirmed,
        "reissued": result.reissued,
        "lost_connections": result.lost_connections,
        **_stored(found),
    }


def _of_agents(agents: Agents, acked: Acknowledged, found: Reckoning) -> dict[str, Any]:
    told = agents.told
    return {
        "vehicles": len(agents.cars),
        "sent": told["sent"],
        "acknowledged": len(acked.time_us),
        "unacknowledged": told["sent"] - len(acked.time_us),
        "reissued": 0,  # an agent sends again what it cannot know of; the lake has it once
        "lost_connections": told["cuts"],
        **_stored(found),
        **summary(told),
    }


def _stored(found: Reckoning) -> dict[str, int]:
    return {
        "stored": found.stored,
        "duplicates": found.duplicates,
        "missing": found.missing,
        "dead_letters": found.dead_letters,
    }
