"""The status board: rates from counters, silence, disk, Prometheus text, and who is connected."""

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest
from prometheus_client.parser import text_string_to_metric_families

from carcloud.model.figures import by_label
from carcloud.model.ids import Tenant
from carcloud.model.time import now_us
from carcloud.services.telemetry import presence, status
from carcloud.services.telemetry.presence import Presence, _hear, _Tenant
from carcloud.services.telemetry.status import Report, StatusBoard, report_json
from carcloud.services.telemetry.types import Reading


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(status, "time", clock)
    monkeypatch.setattr(presence, "time", clock)
    return clock


@pytest.fixture
def board(tmp_path: Path, clock: Clock) -> StatusBoard:
    return StatusBoard(None, tmp_path, 0)  # type: ignore[arg-type]  # only `start` needs it


def report(role: str = "gateway", instance: str = "g1", pid: int = 1, **more: Any) -> bytes:
    return report_json(Report(role, instance, pid, **more))


def online(vehicles: int, platforms: int = 0, tenant: str = "default") -> dict[str, float]:
    return {
        **by_label("vehicles_online", "tenant", {tenant: vehicles}),
        **by_label("platforms_online", "tenant", {tenant: platforms}),
    }


def test_vehicles_and_platforms_are_counted_apart_over_all_gateways(board: StatusBoard) -> None:
    board.hear(report(gauges={"connections": 11, **online(7, 2)}))
    board.hear(report(instance="g2", gauges={**online(3), **online(5, 1, "fleet-a")}))
    seen = [board.status(0, 0, tenant) for tenant in (None, Tenant("default"), Tenant("fleet-a"))]
    assert [(one.connected, one.platforms) for one in seen] == [(15, 3), (10, 2), (5, 1)]


def test_rates_come_from_counters(board: StatusBoard, clock: Clock) -> None:
    for second in range(8):
        board.hear(report(counters={"frames_total": 100 * second}, gauges=online(7)))
        clock.now += 1
    seen = board.status(3, 4)
    assert seen.frames_per_second == pytest.approx(100)
    assert (seen.connected, seen.vehicles, seen.dead_letters) == (7, 3, 4)


def test_a_restart_is_no_negative_rate(board: StatusBoard, clock: Clock) -> None:
    board.hear(report(counters={"frames_total": 1000}))
    clock.now += 1
    board.hear(report(pid=2, counters={"frames_total": 0}))
    clock.now += 1
    board.hear(report(pid=2, counters={"frames_total": 50}))
    assert board.status(0, 0).frames_per_second == pytest.approx(50)


def test_silence_is_a_problem_until_another_takes_over(board: StatusBoard, clock: Clock) -> None:
    board.hear(report())
    clock.now += 6
    seen = board.status(0, 0)
    assert [role.alive for role in seen.roles] == [False]
    assert "role-silent" in [problem.code for problem in seen.problems]
    assert seen.connected == 0
    board.hear(report(instance="g2"))
    seen = board.status(0, 0)
    assert [role.instance for role in seen.roles] == ["g2"]
    assert "role-silent" not in [problem.code for problem in seen.problems]


def test_a_full_disk_is_a_problem(tmp_path: Path, clock: Clock) -> None:
    (tmp_path / "file").write_bytes(b"x" * 5000)
    full = StatusBoard(None, tmp_path, 1 << 40)  # type: ignore[arg-type]
    full.look_at_disk()
    seen = full.status(0, 0)
    assert seen.disk.used_bytes == 5000
    assert "disk-full" in [problem.code for problem in seen.problems]


@pytest.mark.parametrize("data", [b"", b"{", b"[]", b'{"role": 1}', b"\xff"])
def test_what_is_no_report_is_left(board: StatusBoard, data: bytes) -> None:
    board.hear(data)
    assert board.status(0, 0).roles == []


def test_prometheus_can_read_it(board: StatusBoard) -> None:
    board.hear(report(instance='g"1\\\n', counters={"frames_total": 5}, gauges={"lag-x": 2.5}))
    families = {one.name: one for one in text_string_to_metric_families(board.exposition())}
    [sample] = families["carcloud_frames"].samples
    assert sample.value == 5
    assert sample.labels == {"role": "gateway", "instance": 'g"1\\\n'}
    assert families["carcloud_lag_x"].samples[0].value == 2.5
    assert families["carcloud_up"].samples[0].value == 1


def test_presence_follows_changes_and_full_lists(clock: Clock) -> None:
    state = _Tenant()

    def tell(instance: str, full: bool, opened: list[str], closed: list[str]) -> None:
        rows = [[vehicle, 5, "10.0.0.1:9", "2025"] for vehicle in opened]
        message = {"instance": instance, "full": full, "open": rows, "closed": closed}
        _hear(state, json.dumps(message).encode())

    tell("g1", True, ["A", "B"], [])
    tell("g1", False, ["C"], ["A"])
    assert set(state.gateways["g1"].sessions) == {"B", "C"}
    assert state.gateways["g1"].sessions["C"].edition == "2025"
    seen = state.version
    tell("g1", True, ["C"], [])
    assert [v for v, at in state.changes.items() if at > seen] == ["B"]
    clock.now += 50
    tell("g2", True, ["D"], [])  # g1 is gone, and its sessions with it
    assert set(state.gateways) == {"g2"}
    assert {v for v, at in state.changes.items() if at == state.version} == {"C", "D"}
    _hear(state, b"nonsense")
    assert msgspec.json.encode(state.gateways["g2"].sessions["D"].since_us) == b"5"


def test_a_vehicle_of_a_platform_is_online_and_its_own_link_is_shown_first(clock: Clock) -> None:
    seen = Presence(None)  # type: ignore[arg-type]  # only `follow` needs it
    tenant = Tenant("default")
    state = seen._tenants[tenant] = _Tenant()
    brought, own = ["A", 5, "10.0.0.2", 2016, "LOWERPLATFORM0001"], ["A", 9, "10.0.0.3", 2025]
    for instance, row in (("g1", brought), ("g2", own)):
        told = {"instance": instance, "full": False, "open": [row], "closed": [], "platforms": []}
        _hear(state, json.dumps(told).encode())
        assert seen.online(tenant) == {"A"}
        there = seen.session(tenant, "A")
        assert there is not None
        assert there.platform == (row[4] if row is brought else None)


def test_whether_a_vehicle_is_connected_and_since_when(clock: Clock) -> None:
    seen = Presence(None)  # type: ignore[arg-type]  # only `follow` needs it
    tenant, before = Tenant("default"), now_us()
    state = seen._tenants[tenant] = _Tenant()

    def tell(instance: str, opened: list[list[Any]], closed: list[str]) -> Reading | None:
        told = {"instance": instance, "full": False, "open": opened, "closed": closed}
        _hear(state, json.dumps(told).encode())
        return seen.connected(tenant, "A")

    assert tell("g1", [["B", 5, None, 2019]], []) is None, "nobody has seen it come or go"
    assert tell("g1", [["A", 5, None, 2019]], []) == Reading(True, 5)
    assert tell("g2", [["A", 9, None, 2019]], []) == Reading(True, 5)
    assert tell("g1", [], ["A"]) == Reading(True, 9), "it has moved to another gateway"
    gone = tell("g2", [], ["A"])
    assert gone is not None
    assert (gone.value, gone.time_us >= before) == (False, True)
    assert tell("g2", [["A", 20, None, 2019]], []) == Reading(True, 20)


def test_problems_of_other_tenants_are_not_told(board: StatusBoard) -> None:
    problems = [
        {"code": "upkeep", "detail": "all"},
        {"code": "upkeep", "detail": "a", "tenant": "fleet-a"},
        {"code": "upkeep", "detail": "b", "tenant": "fleet-b"},
    ]
    board.hear(report("jobs", "jobs-1", problems=problems))
    told = [one.detail for one in board.status(0, 0, Tenant("fleet-a")).problems]
    assert told == ["all", "a"]
    assert len(board.status(0, 0).problems) == 3
