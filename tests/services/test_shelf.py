"""What the registry keeps in memory is as true as the records, also while many change and read."""

import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from carcloud.engines.records_sql import SqlRecords
from carcloud.model.ids import Tenant
from carcloud.services.tenancy.api import Tenancy
from carcloud.services.vehicles.api import NewVehicle, Unknown, VehicleChange, Vehicles
from carcloud.services.vehicles.shelf import Shelf

A = Tenant("a")
ROUNDS, READERS = 30, 4


@pytest.fixture
def vehicles(records: SqlRecords) -> Vehicles:
    Tenancy(records).tenants.ensure(A)
    made = Vehicles(records, secret=bytes(32))
    for number in range(3):
        made.create(A, NewVehicle(id=f"T-{number}"), actor="ann")
    return made


@pytest.fixture
def restless() -> Iterator[None]:
    """Threads change places as often as they can."""
    kept = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(kept)


def test_nobody_reads_what_was_before_a_change_that_has_ended(
    vehicles: Vehicles, records: SqlRecords, restless: None
) -> None:
    shelf = Shelf(records)
    done = [1]  # the revision that is kept for sure
    began = threading.Barrier(READERS + 1)

    def read() -> int:
        looks = 0
        began.wait(60)
        while done[0] < ROUNDS:
            least = done[0]
            found = shelf.get(A, "T-0")
            assert found.vehicle.revision >= least
            least = done[0]
            at_hand = shelf.at_hand(A, "T-0")
            assert at_hand is None or at_hand.vehicle.revision >= least
            looks += 1
        return looks

    def write() -> None:
        began.wait(60)
        for number in range(2, ROUNDS + 1):
            change = VehicleChange(labels={"n": str(number)})
            done[0] = vehicles.change(A, "T-0", change, actor="ann").revision

    with ThreadPoolExecutor(READERS + 1) as pool:
        readers = [pool.submit(read) for _ in range(READERS)]
        try:
            pool.submit(write).result(100)
        finally:
            done[0] = ROUNDS
        assert all(one.result(100) > 0 for one in readers)


def test_it_holds_no_more_than_it_may_and_no_vehicle_that_is_gone(
    vehicles: Vehicles, records: SqlRecords
) -> None:
    shelf = Shelf(records, entries=2)
    for number in range(3):
        shelf.get(A, f"T-{number}")
    at_hand = [shelf.at_hand(A, f"T-{number}") is not None for number in range(3)]
    assert at_hand.count(True) <= 2
    assert not at_hand[0]
    with pytest.raises(Unknown):
        shelf.get(Tenant("b"), "T-0")
    barrier = threading.Barrier(8)

    def look(number: int) -> None:
        barrier.wait(60)
        for _ in range(50):
            assert shelf.get(A, f"T-{number % 3}").vehicle.id == f"T-{number % 3}"

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(look, range(8)))
