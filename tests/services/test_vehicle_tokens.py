"""Tokens of vehicles on SQLite and PostgreSQL: made, told once, asked for over MQTT."""

from typing import Any

import pytest
from sqlalchemy import text

from carcloud.engines.records_sql import SqlRecords
from carcloud.model.ids import Tenant
from carcloud.services.tenancy.api import AuditFilter, Tenancy
from carcloud.services.vehicles.api import (
    Admission,
    CredentialsChange,
    Lifecycle,
    Login,
    NewVehicle,
    Proof,
    Unknown,
    VehicleChange,
    Vehicles,
)

A, B = Tenant("a"), Tenant("b")
CAR = "CAR-0001"
PRINT = "ab" * 32


@pytest.fixture
def vehicles(records: SqlRecords) -> Vehicles:
    Tenancy(records)  # its audit takes what is changed
    made = Vehicles(records, secret=bytes(range(32)))
    made.create(A, NewVehicle(CAR), actor="pia")
    return made


def knock(vehicles: Vehicles, **proof: Any) -> Admission:
    login = Login(CAR, "mqtt", "127.0.0.1:9", **proof)
    return vehicles.admit(login, auto_register=B)


def test_a_vehicle_is_let_in_by_its_token_alone(vehicles: Vehicles) -> None:
    assert knock(vehicles).refusal == "credentials"
    assert knock(vehicles, token="").refusal == "credentials"
    made = vehicles.make_token(A, CAR, actor="pia")
    assert made.token.startswith("cvt_")
    assert len(made.token) == 47  # 256 bits
    answer = knock(vehicles, token=made.token)
    assert (answer.refusal, answer.tenant) == (None, A)
    assert vehicles.get(A, CAR).lifecycle == Lifecycle.ACTIVE
    for wrong in (None, made.token[:-1], made.token + "x", made.token.swapcase(), "\udcff" * 9):
        assert knock(vehicles, token=wrong).refusal == "credentials"
    assert knock(vehicles, token=made.token, certificate=PRINT).refusal is None


def test_a_new_token_ends_the_old_one_and_a_revoked_one_opens_nothing(vehicles: Vehicles) -> None:
    old = vehicles.make_token(A, CAR, actor="pia").token
    new = vehicles.make_token(A, CAR, actor="pia").token
    assert knock(vehicles, token=old).refusal == "credentials"
    assert knock(vehicles, token=new).refusal is None
    assert vehicles.revoke_token(A, CAR, actor="pia")
    assert knock(vehicles, token=new).refusal == "credentials"
    assert not vehicles.revoke_token(A, CAR, actor="pia")
    assert vehicles.credentials(A, CAR).token_made is None


def test_a_certificate_on_record_is_a_proof_as_well(vehicles: Vehicles) -> None:
    assert knock(vehicles, certificate=PRINT).refusal == "credentials"
    change = CredentialsChange(tls_fingerprint=PRINT, iccid="89860012345678901234")
    vehicles.set_credentials(A, CAR, change, actor="pia")
    assert knock(vehicles, certificate=PRINT.upper()).refusal is None
    assert knock(vehicles, certificate="cd" * 32).refusal == "credentials"
    assert knock(vehicles, certificate="-").refusal == "credentials"


def test_only_who_has_proved_itself_is_told_that_it_is_suspended(vehicles: Vehicles) -> None:
    token = vehicles.make_token(A, CAR, actor="pia").token
    vehicles.change(A, CAR, VehicleChange(lifecycle=Lifecycle.SUSPENDED), actor="pia")
    assert knock(vehicles).refusal == "credentials"
    assert knock(vehicles, token=token).refusal == "suspended"


def test_an_unknown_vehicle_is_never_registered_by_itself(vehicles: Vehicles) -> None:
    login = Login("CAR-0002", "mqtt", "127.0.0.1:9", token="cvt_anything")
    assert vehicles.admit(login, auto_register=B).refusal == "unknown"
    assert vehicles.admit(Login("CAR-0002", "x", "127.0.0.1:9"), auto_register=B).tenant == B


def test_the_token_is_of_its_tenant_and_is_kept_as_a_hash(
    vehicles: Vehicles, records: SqlRecords
) -> None:
    made = vehicles.make_token(A, CAR, actor="pia")
    for foreign in (vehicles.make_token, vehicles.revoke_token):
        with pytest.raises(Unknown):
            foreign(B, CAR, actor="eve")
    assert vehicles.registered(A, CAR).credentials.token_made == made.made
    assert made.token not in repr(made)
    assert made.token not in repr(Login(CAR, "mqtt", "x", token=made.token))
    with records.reading() as db:
        kept = repr([tuple(row) for row in db.execute(text("SELECT * FROM vehicle_credentials"))])
        kept += repr([tuple(row) for row in db.execute(text("SELECT * FROM audit"))])
    assert made.token not in kept
    vehicles.revoke_token(A, CAR, actor="pia")
    told = Tenancy(records).trail.page(A, AuditFilter(action="vehicle.token")).items
    assert [(one.actor, one.after) for one in told] == [
        ("pia", {"token": "revoked"}), ("pia", {"token": "made"})
    ]  # fmt: skip


def test_logins_tell_of_the_one_before_wherever_it_was(vehicles: Vehicles) -> None:
    token = vehicles.make_token(A, CAR, actor="pia").token
    login = Login(CAR, "mqtt", "127.0.0.1:9", token=token)
    first, second = vehicles.admit_many([login, login], auto_register=None)
    third = vehicles.admit(login, auto_register=None)
    assert first.before is None
    assert (second.before, third.before) == (first.time, second.time)
    assert third.time == vehicles.last_login(A, CAR).time  # type: ignore[union-attr]
    assert knock(vehicles, token="cvt_wrong").refusal == "credentials"
    assert vehicles.admit(login, auto_register=None).before == third.time


def test_what_came_in_is_asked_of_again_after_a_change(vehicles: Vehicles) -> None:
    mark, _ = vehicles.changed_after(0)
    assert vehicles.changed_after(mark) == (mark, [])
    token = vehicles.make_token(A, CAR, actor="pia").token
    vehicles.create(A, NewVehicle("CAR-0002"), actor="pia")
    after, changed = vehicles.changed_after(mark)
    assert (after, changed) == (mark + 2, [CAR])  # one that is new is not connected
    by_token = knock(vehicles, token=token).proof
    by_certificate = Proof(CAR, "mqtt", certificate=PRINT)
    assert by_token is not None
    assert token not in repr(by_token)
    asked = [(A, by_token), (B, by_token), (A, by_certificate), (A, Proof("CAR-9", "mqtt"))]
    assert vehicles.outdated([]) == []
    assert vehicles.outdated(asked) == [
        (CAR, "unknown"), (CAR, "credentials"), ("CAR-9", "unknown")
    ]  # fmt: skip
    pinned = CredentialsChange(tls_fingerprint=PRINT)
    vehicles.set_credentials(A, CAR, pinned, actor="pia")
    assert vehicles.outdated([(A, by_token), (A, by_certificate)]) == []
    vehicles.revoke_token(A, CAR, actor="pia")
    assert vehicles.outdated([(A, by_token), (A, by_certificate)]) == [(CAR, "credentials")]
    vehicles.change(A, CAR, VehicleChange(lifecycle=Lifecycle.RETIRED), actor="pia")
    assert vehicles.outdated([(A, by_certificate)]) == [(CAR, "retired")]
    assert vehicles.changed_after(after)[1] == [CAR]


def test_a_vehicle_of_another_protocol_is_asked_for_its_sim_and_certificate(
    vehicles: Vehicles,
) -> None:
    proof = Proof(CAR, "gbt32960", iccid="89860012345678901234", certificate=PRINT)
    assert vehicles.outdated([(A, proof)]) == []
    for change, why in (
        (CredentialsChange(iccid="89860012345678901235"), "iccid"),
        (CredentialsChange(iccid=None, tls_fingerprint="cd" * 32), "credentials"),
    ):
        vehicles.set_credentials(A, CAR, change, actor="pia")
        assert vehicles.outdated([(A, proof)]) == [(CAR, why)]
    vehicles.set_credentials(A, CAR, CredentialsChange(tls_fingerprint=PRINT), actor="pia")
    assert vehicles.outdated([(A, proof)]) == []
    vehicles.make_token(A, CAR, actor="pia")
    assert vehicles.outdated([(A, proof)]) == [(CAR, "credentials")]
