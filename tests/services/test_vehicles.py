"""The registry on SQLite and PostgreSQL."""

import threading
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from carcloud.engines.records_sql import SqlRecords
from carcloud.model.ids import Tenant
from carcloud.services.tenancy.api import AuditFilter, Tenancy, TenantState
from carcloud.services.vehicles.api import (
    Changed,
    Credentials,
    CredentialsChange,
    Datum,
    Exists,
    Filter,
    Invalid,
    Lifecycle,
    Login,
    NewVehicle,
    Unknown,
    VehicleChange,
    VehicleModel,
    Vehicles,
)

A, B = Tenant("a"), Tenant("b")
SECRET = bytes(range(32))
WEIGHTS = (8, 7, 6, 5, 4, 3, 2, 10, 0, 9, 8, 7, 6, 5, 4, 3, 2)  # GB 16735, check digit of a VIN
VALUES = dict(zip("ABCDEFGHJKLMNPRSTUVWXYZ", "12345678123457923456789", strict=True))


def vin(number: int) -> str:
    """A synthetic VIN with a right check digit."""
    text = f"LTEST{0:03d}0{number:08d}"
    total = sum(int(VALUES.get(c, c)) * w for c, w in zip(text, WEIGHTS, strict=True))
    return text[:8] + "0123456789X"[total % 11] + text[9:]


class Service:
    """The registry of one database, with the tenancy whose audit it writes."""

    def __init__(self, records: SqlRecords) -> None:
        self.now = 1_700_000_000_000_000
        self.tenancy = Tenancy(records)
        self.vehicles = Vehicles(records, secret=SECRET, now=self.tick)

    def tick(self) -> int:
        self.now += 1
        return self.now

    def actions(self, subject: str) -> list[str]:
        return [
            entry.action for entry in self.tenancy.trail.page(A, AuditFilter(subject=subject)).items
        ]


@pytest.fixture
def service(records: SqlRecords) -> Service:
    return Service(records)


@pytest.fixture
def vehicles(service: Service) -> Vehicles:
    return service.vehicles


def login(vehicle: str, **more: Any) -> Login:
    return Login(**{"vehicle": vehicle, "protocol": "gbt32960", "address": "192.0.2.1", **more})


def create(vehicles: Vehicles, id: str, tenant: Tenant = A, **more: Any) -> None:
    vehicles.create(tenant, NewVehicle(id=id, **more), actor="ann")


def test_created_vehicle_is_found(vehicles: Vehicles) -> None:
    made = vehicles.create(A, NewVehicle(id=vin(1), labels={"depot": "北京"}), actor="ann")
    assert made == vehicles.get(A, vin(1))
    assert made.vin == vin(1)
    assert made.lifecycle is Lifecycle.REGISTERED
    assert (made.revision, made.labels) == (1, {"depot": "北京"})
    assert vehicles.create(A, NewVehicle(id="T-800"), actor="ann").vin is None


def test_another_tenant_sees_and_changes_nothing(vehicles: Vehicles) -> None:
    create(vehicles, vin(1), labels={"k": "v"})
    for call in (vehicles.get, vehicles.credentials, vehicles.last_login):
        with pytest.raises(Unknown):
            call(B, vin(1))
    with pytest.raises(Unknown):
        vehicles.change(B, vin(1), VehicleChange(labels={"k": "w"}), actor="bob")
    with pytest.raises(Unknown):
        vehicles.retire(B, vin(1), actor="bob")
    with pytest.raises(Unknown):
        vehicles.set_credentials(B, vin(1), CredentialsChange(iccid="1"), actor="bob")
    assert vehicles.find(B, Filter()).items == []
    assert vehicles.find(B, Filter(label="k:v")).items == []
    assert vehicles.many(B, [vin(1)]) == {}
    assert vehicles.count(B) == 0


def test_a_vehicle_belongs_to_one_tenant(vehicles: Vehicles) -> None:
    create(vehicles, vin(1))
    for tenant in (A, B):
        with pytest.raises(Exists):
            create(vehicles, vin(1), tenant)
        with pytest.raises(Exists):
            create(vehicles, "other", tenant, vin=vin(1))


@pytest.mark.parametrize(
    ("new", "field"),
    [
        ({"id": ""}, "id"),
        ({"id": "a b"}, "id"),
        ({"id": "x" * 41}, "id"),
        ({"id": "x", "vin": "LTEST0000I0000001"}, "vin"),
        ({"id": "x", "model": "none"}, "model"),
        ({"id": "x", "model": "../x"}, "model"),
        ({"id": "x", "protocol": "?"}, "protocol"),
        ({"id": "x", "labels": {"1": "v"}}, "labels"),
        ({"id": "x", "labels": {"k": ""}}, "labels.k"),
        ({"id": "x", "labels": {"k": "a\x00b"}}, "labels.k"),
        ({"id": "x", "labels": {f"k{i}": "v" for i in range(33)}}, "labels"),
    ],
)
def test_wrong_values_name_their_field(vehicles: Vehicles, new: Any, field: str) -> None:
    with pytest.raises(Invalid) as caught:
        create(vehicles, **new)
    assert caught.value.field == field
    assert vehicles.count(A) == 0


def test_change_is_a_merge_patch_with_a_revision(service: Service) -> None:
    vehicles = service.vehicles
    create(vehicles, vin(1), labels={"a": "1", "b": "2"})
    patch = msgspec.json.decode(b'{"labels": {"a": null, "c": "3"}}', type=VehicleChange)
    changed = vehicles.change(A, vin(1), patch, actor="ann", if_revision=1)
    assert changed.labels == {"b": "2", "c": "3"}
    assert (changed.revision, changed.updated > changed.created) == (2, True)
    assert vehicles.get(A, vin(1)) == changed
    assert vehicles.find(A, Filter(label="a:1")).items == []
    assert vehicles.find(A, Filter(label="c:3")).items == [changed]
    with pytest.raises(Changed):
        vehicles.change(A, vin(1), patch, actor="ann", if_revision=1)
    same = vehicles.change(A, vin(1), patch, actor="ann", if_revision=2)
    assert same.revision == 2
    entry = service.tenancy.trail.page(A, AuditFilter(subject=vin(1))).items[0]
    assert (entry.actor, entry.action) == ("ann", "vehicle.change")
    assert entry.before == {"labels": {"a": "1", "b": "2"}}
    assert entry.after == {"labels": {"b": "2", "c": "3"}}
    assert service.actions(vin(1)) == ["vehicle.change", "vehicle.create"]


def test_lifecycle_does_not_go_back_to_registered(vehicles: Vehicles) -> None:
    create(vehicles, vin(1))
    assert vehicles.retire(A, vin(1), actor="ann").lifecycle is Lifecycle.RETIRED
    with pytest.raises(Invalid) as caught:
        vehicles.change(A, vin(1), VehicleChange(lifecycle=Lifecycle.REGISTERED), actor="ann")
    assert caught.value.field == "lifecycle"


def test_pages_hold_each_vehicle_once(vehicles: Vehicles) -> None:
    for number in (5, 3, 9, 1, 7, 2, 8):
        create(vehicles, f"v{number}")
    vehicles.change(A, "v3", VehicleChange(labels={"x": "y"}), actor="ann")
    by_id = walk(vehicles, "id")
    assert by_id == [f"v{n}" for n in (1, 2, 3, 5, 7, 8, 9)]
    assert walk(vehicles, "updated") == [f"v{n}" for n in (3, 8, 2, 7, 1, 9, 5)]
    assert vehicles.matching_ids(A, Filter()) == by_id


def walk(vehicles: Vehicles, sort: Any) -> list[str]:
    found: list[str] = []
    cursor = None
    while True:
        page = vehicles.find(A, Filter(), sort=sort, cursor=cursor, limit=2)
        found += [vehicle.id for vehicle in page.items]
        cursor = page.next_cursor
        if cursor is None:
            return found


@pytest.mark.parametrize("cursor", ["", "x", "é", "W10", "WyJ1cGRhdGVkIiwgMSwgInYxIl0", "bnVsbA"])
def test_foreign_cursors_are_refused(vehicles: Vehicles, cursor: str) -> None:
    with pytest.raises(Invalid) as caught:
        vehicles.find(A, Filter(), cursor=cursor)
    assert caught.value.field == "cursor"
    with pytest.raises(Invalid):
        vehicles.find(A, Filter(), limit=501)


def test_search_finds_parts_in_any_case(vehicles: Vehicles) -> None:
    vehicles.create_model(A, VehicleModel("m1", "One"), actor="ann")
    create(vehicles, vin(17), model="m1", labels={"depot": "Zürich Süd"}, protocol="gbt32960")
    create(vehicles, "truck-1", vin=vin(18), labels={"depot": "100%"})
    cases = {
        vin(17)[:7].lower(): [vin(17), "truck-1"],
        vin(17)[-4:]: [vin(17)],
        vin(18)[-4:]: ["truck-1"],
        "ZÜRICH": [vin(17)],
        "%": ["truck-1"],
        "_": [],
        "M1": [vin(17)],
        "nothing": [],
    }
    for q, wanted in cases.items():
        assert vehicles.matching_ids(A, Filter(q=q)) == wanted, q
    assert vehicles.matching_ids(A, Filter(label="depot")) == [vin(17), "truck-1"]
    assert vehicles.matching_ids(A, Filter(label="depot:100%")) == ["truck-1"]
    assert vehicles.matching_ids(A, Filter(model="m1")) == [vin(17)]
    assert vehicles.matching_ids(A, Filter(protocol="gbt32960")) == [vin(17)]
    assert vehicles.count(A, Filter(lifecycle=Lifecycle.REGISTERED)) == 2
    assert vehicles.count(A, Filter(lifecycle=Lifecycle.ACTIVE)) == 0


def test_known_vehicles_are_admitted_across_tenants(service: Service) -> None:
    vehicles = service.vehicles
    create(vehicles, vin(1), A)
    create(vehicles, vin(2), B)
    change = CredentialsChange(public_key=b"\x04abc", algorithm="SM2", cipher_key=b"k" * 16)
    vehicles.set_credentials(A, vin(1), change, actor="ann")
    first, second = vehicles.admit_many([login(vin(1)), login(vin(2))], auto_register=None)
    assert (first.tenant, second.tenant) == (A, B)
    assert (first.public_key, first.algorithm, first.cipher_key) == (b"\x04abc", "SM2", b"k" * 16)
    assert first.refusal is None
    assert vehicles.get(A, vin(1)).lifecycle is Lifecycle.ACTIVE
    assert vehicles.get(A, vin(1)).revision == 2
    assert service.actions(vin(1))[0] == "vehicle.activate"
    vehicles.admit(login(vin(1)), auto_register=None)
    assert vehicles.get(A, vin(1)).revision == 2


def test_unknown_vehicles_are_refused_or_registered(service: Service) -> None:
    vehicles = service.vehicles
    assert vehicles.admit(login(vin(1)), auto_register=None).refusal == "unknown"
    assert vehicles.count(A) == 0
    answers = vehicles.admit_many([login(vin(1)), login(vin(1))], auto_register=A)
    assert [answer.registered_now for answer in answers] == [True, False]
    assert {answer.tenant for answer in answers} == {A}
    vehicle = vehicles.get(A, vin(1))
    assert (vehicle.lifecycle, vehicle.protocol) == (Lifecycle.ACTIVE, "gbt32960")
    assert service.actions(vin(1)) == ["vehicle.register"]
    assert vehicles.admit(login("no such id!"), auto_register=A).refusal == "invalid"


@pytest.mark.parametrize("lifecycle", [Lifecycle.SUSPENDED, Lifecycle.RETIRED])
def test_suspended_and_retired_vehicles_stay_out(vehicles: Vehicles, lifecycle: Lifecycle) -> None:
    create(vehicles, vin(1), lifecycle=lifecycle)
    answer = vehicles.admit(login(vin(1)), auto_register=B)
    assert (answer.refusal, answer.tenant, answer.public_key) == (lifecycle.value, None, None)
    assert vehicles.last_login(A, vin(1)) is None


def test_a_set_iccid_must_match(vehicles: Vehicles) -> None:
    create(vehicles, vin(1))
    change = CredentialsChange(iccid="89860000000000000001")
    vehicles.set_credentials(A, vin(1), change, actor="ann")
    assert vehicles.admit(login(vin(1)), auto_register=None).refusal == "iccid"
    right = login(vin(1), iccid="89860000000000000001")
    assert vehicles.admit(right, auto_register=None).refusal is None


def test_last_login_is_kept(vehicles: Vehicles) -> None:
    create(vehicles, vin(1))
    assert vehicles.last_login(A, vin(1)) is None
    for address in ("192.0.2.1", "192.0.2.2"):
        vehicles.admit(login(vin(1), address=address, edition="2025", time=5), auto_register=None)
    wanted = login(vin(1), address="192.0.2.2", edition="2025", time=5)
    assert vehicles.last_login(A, vin(1)) == wanted


def test_a_login_without_an_edition_keeps_that_of_the_last_by_its_protocol(
    vehicles: Vehicles,
) -> None:
    create(vehicles, vin(1))

    def admitted(**more: Any) -> str | None:
        return vehicles.admit(login(vin(1), **more), auto_register=None).edition

    assert admitted(protocol="jt808") is None
    assert admitted(protocol="jt808", edition="2011") == "2011"
    for _ in range(2):
        assert admitted(protocol="jt808") == "2011"
        last = vehicles.last_login(A, vin(1))
        assert last is not None
        assert last.edition == "2011"
    admitted(edition="2016")
    assert admitted(protocol="jt808") is None


def test_two_gateways_register_the_same_flood(records: SqlRecords) -> None:
    flood = [login(vin(number)) for number in range(700)]
    services = [Vehicles(records) for _ in range(3)]
    Tenancy(records)
    answers: list[Any] = []

    def work(service: Vehicles) -> None:
        for start in range(0, len(flood), 100):
            chunk = flood[start : start + 100]
            answers.extend(service.admit_many(chunk, auto_register=A))

    threads = [threading.Thread(target=work, args=(service,)) for service in services]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(answers) == 2100
    assert all(answer.refusal is None and answer.tenant == A for answer in answers)
    assert sum(answer.registered_now for answer in answers) == 700
    assert services[0].count(A) == 700


@pytest.mark.parametrize("text", ["\0", "a\0b", "\ud800", "'; DROP TABLE vehicles; --", "x" * 9999])
def test_hostile_text_finds_nothing(vehicles: Vehicles, text: str) -> None:
    create(vehicles, vin(1))
    for call in (vehicles.get, vehicles.credentials, vehicles.model):
        with pytest.raises(Unknown):
            call(A, text)
    for what in (Filter(q=text), Filter(label=text), Filter(model=text), Filter(protocol=text)):
        assert vehicles.find(A, what).items == []
    assert vehicles.many(A, [text]) == {}
    assert vehicles.count(A) == 1


def test_cipher_keys_are_sealed(vehicles: Vehicles, records: SqlRecords) -> None:
    create(vehicles, vin(1))
    key = b"0123456789abcdef"
    change = CredentialsChange(cipher_key=key, cipher="SM4", tls_fingerprint="ab" * 32)
    told = vehicles.set_credentials(A, vin(1), change, actor="ann")
    assert told == Credentials(tls_fingerprint="ab" * 32, has_cipher_key=True, cipher="SM4")
    with records.reading() as db:
        kept = bytes(db.exec_driver_sql("SELECT cipher_key FROM vehicle_credentials").scalar_one())
    assert key not in kept
    assert Vehicles(records).admit(login(vin(1)), auto_register=None).cipher_key is None
    with pytest.raises(Invalid):
        Vehicles(records).set_credentials(A, vin(1), change, actor="ann")
    removed = CredentialsChange(cipher_key=None, tls_fingerprint=None)
    told = vehicles.set_credentials(A, vin(1), removed, actor="ann")
    assert told == Credentials(cipher="SM4")


def test_import_creates_changes_and_reports(service: Service) -> None:
    vehicles = service.vehicles
    vehicles.create_model(A, VehicleModel("m1", "One"), actor="ann")
    create(vehicles, vin(2), labels={"depot": "old", "keep": "this"})
    create(vehicles, vin(3), B)
    text = (
        "\ufeffid,model,label:depot,iccid\r\n"
        f"{vin(1)},m1,Nord,89860000000000000001\r\n"
        f'{vin(2)},,"Ost, 2",\r\n'
        f"{vin(3)},,,\r\n"
        "bad id,,,\r\n"
        f"{vin(4)},none,,\r\n"
        "\r\n"
        ",m1,,\r\n"
        f"{vin(1)},,,\r\n"
        "too,few\r\n"
        f"{vin(5)},,,{'9' * 21}\r\n"
    )
    report = vehicles.import_csv(A, text, actor="ann")
    assert (report.created, report.updated) == (1, 1)
    assert [(error.line, error.field) for error in report.errors] == [
        (4, "id"), (5, "id"), (6, "model"), (8, "id"), (9, "id"), (10, ""), (11, "iccid"),
    ]  # fmt: skip
    assert vehicles.get(A, vin(1)).labels == {"depot": "Nord"}
    assert vehicles.credentials(A, vin(1)).iccid == "89860000000000000001"
    assert vehicles.get(A, vin(2)).labels == {"depot": "Ost, 2", "keep": "this"}
    assert vehicles.count(A) == 2
    assert vehicles.get(B, vin(3)).revision == 1


@pytest.mark.parametrize("text", ["", "vin\nx", "id,id\nx,y", "id,what\nx,y", "id,label:\nx,y"])
def test_import_refuses_a_wrong_header(vehicles: Vehicles, text: str) -> None:
    with pytest.raises(Invalid) as caught:
        vehicles.import_csv(A, text, actor="ann")
    assert caught.value.field == "body"


@pytest.mark.parametrize("body", ['a\n"open', 'a\n"x"y\n', "a\nb\x00c\n"])
def test_import_survives_broken_csv(vehicles: Vehicles, body: str) -> None:
    report = vehicles.import_csv(A, f"id\n{body}", actor="ann")
    assert report.created == 1
    assert [error.line for error in report.errors] == [3]


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(text=st.text(alphabet='id,"\r\n\0ab :', max_size=60))
def test_import_never_fails_otherwise(vehicles: Vehicles, text: str) -> None:
    vehicles.import_csv(A, "id,label:k\n" + text, actor="ann")


def test_models_are_edited_with_a_revision(service: Service) -> None:
    vehicles = service.vehicles
    model = VehicleModel("m1", "One", maker="ACME", datum=Datum.GCJ02)
    assert vehicles.create_model(A, model, actor="ann") == vehicles.model(A, "m1")
    with pytest.raises(Exists):
        vehicles.create_model(A, model, actor="ann")
    vehicles.create_model(B, model, actor="bob")
    renamed = msgspec.structs.replace(model, name="Uno")
    assert vehicles.change_model(A, renamed, actor="ann", if_revision=1).revision == 2
    with pytest.raises(Changed):
        vehicles.change_model(A, renamed, actor="ann", if_revision=1)
    assert [found.name for found in vehicles.models(A)] == ["Uno"]
    assert [found.name for found in vehicles.models(B)] == ["One"]
    create(vehicles, vin(1), model="m1")
    with pytest.raises(Invalid):
        vehicles.remove_model(A, "m1", actor="ann")
    vehicles.remove_model(B, "m1", actor="bob")
    with pytest.raises(Unknown):
        vehicles.model(B, "m1")
    assert service.actions("m1") == ["model.change", "model.create"]


def test_two_who_change_at_once(records: SqlRecords) -> None:
    vehicles = Service(records).vehicles
    create(vehicles, vin(1))
    outcomes: list[str] = []

    def work(number: int) -> None:
        patch = VehicleChange(labels={"n": str(number)})
        try:
            vehicles.change(A, vin(1), patch, actor="ann", if_revision=1)
            outcomes.append(str(number))
        except Changed:
            outcomes.append("lost")

    threads = [threading.Thread(target=work, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert outcomes.count("lost") == 5
    assert vehicles.get(A, vin(1)).labels["n"] in outcomes


def test_vehicles_of_a_suspended_tenant_are_kept_out(service: Service) -> None:
    service.tenancy.tenants.ensure(A)
    service.vehicles.admit(login(vin(1)), auto_register=A)
    service.tenancy.tenants.set_state(A, TenantState.SUSPENDED, actor="test")
    for number in (1, 2):
        answer = service.vehicles.admit(login(vin(number)), auto_register=A)
        assert answer.refusal == "suspended"
    service.tenancy.tenants.set_state(A, TenantState.ACTIVE, actor="test")
    assert service.vehicles.admit(login(vin(2)), auto_register=A).refusal is None
