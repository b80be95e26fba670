"""API keys of people and service accounts."""

import pytest

from carcloud.engines.records_sql import SqlRecords
from carcloud.model.ids import Tenant
from carcloud.services.tenancy.api import (
    SYSTEM,
    Denied,
    Exists,
    Invalid,
    NotSignedIn,
    Scope,
    Tenancy,
    Unknown,
)
from tests.services.tenancy.conftest import PASSWORD, A, B, Clock, signed_in

LOOK = frozenset({"vehicles:read"})


def test_a_key_works_until_it_ends_or_is_revoked(tenancy: Tenancy, clock: Clock) -> None:
    ann, olga = signed_in(tenancy, "ann"), signed_in(tenancy, "olga")
    key = tenancy.keys.create(A, "ann", "laptop", by=ann)
    short = tenancy.keys.create(A, "ann", "short", by=ann, days=1)
    assert tenancy.keys.identify(key.secret).everywhere == ann.everywhere
    clock.forward(86_400)
    with pytest.raises(NotSignedIn):
        tenancy.keys.identify(short.secret)
    assert {one.name for one in tenancy.keys.all(A, "ann")} == {"laptop", "short"}
    with pytest.raises(Unknown):
        tenancy.keys.revoke(B, key.key.id, by=signed_in(tenancy, "bob"))
    tenancy.keys.revoke(A, key.key.id, by=olga)
    for secret in (key.secret, key.secret[:-1], key.secret + "x"):
        with pytest.raises(NotSignedIn):
            tenancy.keys.identify(secret)
    assert tenancy.keys.all(B) == []


def test_a_key_may_no_more_than_its_user(tenancy: Tenancy) -> None:
    ann = signed_in(tenancy, "ann")
    key = tenancy.keys.create(A, "ann", "reader", by=ann, actions=LOOK)
    assert tenancy.keys.identify(key.secret).everywhere == LOOK
    with pytest.raises(Denied):
        tenancy.keys.create(A, "ann", "more", by=ann, actions=frozenset({"audit:read"}))
    with pytest.raises(Invalid):
        tenancy.keys.create(A, "ann", "odd", by=ann, actions=frozenset({"cars:drive"}))
    [grant] = tenancy.grants.all(A, "ann")
    tenancy.grants.revoke(A, grant.id, by=SYSTEM)
    assert tenancy.keys.identify(key.secret).everywhere == frozenset()


def test_a_key_can_be_held_to_a_project(tenancy: Tenancy) -> None:
    ann = signed_in(tenancy, "ann")
    with pytest.raises(Invalid):
        tenancy.keys.create(A, "ann", "k", by=ann, project="nowhere")
    key = tenancy.keys.create(A, "ann", "k", by=ann, project="main")
    who = tenancy.keys.identify(key.secret)
    assert who.everywhere == frozenset()
    assert who.may("vehicles:write", project="main")
    assert not who.may("vehicles:write", project="lab")


def test_service_accounts_have_keys_and_no_password(tenancy: Tenancy) -> None:
    olga = signed_in(tenancy, "olga")
    robot = tenancy.people.create_service(A, "robot", "viewer", note="nightly export", by=olga)
    assert robot.name == "robot@a"
    tenancy.people.create_service(B, "robot", "viewer", by=signed_in(tenancy, "bob"))
    with pytest.raises(Exists):
        tenancy.people.create_service(A, "robot", "viewer", by=olga)
    key = tenancy.keys.create(A, robot.name, "export", by=olga)
    who = tenancy.keys.identify(key.secret)
    assert (who.user, who.service, who.key) == ("robot@a", True, key.key.id)
    with pytest.raises(Invalid):
        tenancy.people.set_password(A, robot.name, PASSWORD, by=olga)
    tenancy.people.set_disabled(A, robot.name, True, by=olga)
    with pytest.raises(NotSignedIn):
        tenancy.keys.identify(key.secret)
    tenancy.people.remove(A, robot.name, by=olga)
    assert tenancy.keys.all(A, robot.name) == []


def test_keys_are_made_for_oneself_or_a_service_only(tenancy: Tenancy) -> None:
    olga, bob = signed_in(tenancy, "olga"), signed_in(tenancy, "bob")
    with pytest.raises(Denied):
        tenancy.keys.create(A, "ann", "hers", by=olga)
    tenancy.people.create_service(A, "robot", "viewer", by=olga)
    with pytest.raises(Unknown):
        tenancy.keys.create(B, "robot@a", "stolen", by=bob)
    with pytest.raises(Unknown):
        tenancy.keys.create(Tenant("none"), "bob", "x", by=bob)
    for name in ("", "x" * 101, "a\nb"):
        with pytest.raises(Invalid):
            tenancy.keys.create(A, "olga", name, by=olga)
    for days in (0, -1, 1e6):
        with pytest.raises(Invalid):
            tenancy.keys.create(A, "olga", "x", by=olga, days=days)


def test_limited_people_make_limited_keys(tenancy: Tenancy) -> None:
    north = Scope(labels={"depot": "north"})
    tenancy.people.create(A, "nora", PASSWORD, "operator", north, by=SYSTEM)
    nora = signed_in(tenancy, "nora")
    who = tenancy.keys.identify(tenancy.keys.create(A, "nora", "k", by=nora).secret)
    assert who.scopes("vehicles:write") == (north,)


def test_last_use_is_kept_to_the_minute(tenancy: Tenancy, clock: Clock) -> None:
    key = tenancy.keys.create(A, "ann", "laptop", by=signed_in(tenancy, "ann"))
    assert tenancy.keys.get(A, key.key.id).used is None
    tenancy.keys.identify(key.secret)
    first = tenancy.keys.get(A, key.key.id).used
    assert first == clock.now
    clock.forward(59)
    tenancy.keys.identify(key.secret)
    assert tenancy.keys.get(A, key.key.id).used == first
    clock.forward(2)
    tenancy.keys.identify(key.secret)
    assert tenancy.keys.get(A, key.key.id).used == clock.now


def test_s3_secrets_open_with_the_installation_secret_only(
    tenancy: Tenancy, records: SqlRecords, clock: Clock
) -> None:
    key = tenancy.keys.create(A, "ann", "bucket", by=signed_in(tenancy, "ann"))
    access = tenancy.keys.access(key.key.id)
    assert access is not None
    assert access.secret == key.s3_secret
    assert access.identity == tenancy.keys.identify(key.secret)
    assert Tenancy(records, secret=b"\1" * 32, now=clock).keys.access(key.key.id) is None
    assert tenancy.keys.access("0" * 16) is None
    assert tenancy.keys.access("' OR 1=1") is None


def test_a_bounded_key_makes_no_unbounded_one(tenancy: Tenancy, clock: Clock) -> None:
    ann = signed_in(tenancy, "ann")
    short = tenancy.keys.create(A, "ann", "short", by=ann, actions=LOOK, days=1)
    who = tenancy.keys.identify(short.secret)
    made = tenancy.keys.create(A, "ann", "long", by=who)
    assert made.key.expires == short.key.expires
    assert made.key.actions == LOOK
    token = tenancy.sessions.token(ann, minutes=1).identity
    assert tenancy.keys.create(A, "ann", "t", by=token, days=9).key.expires == token.expires
    endless = tenancy.keys.create(A, "ann", "endless", by=ann)
    assert endless.key.expires is None


def test_a_key_of_a_project_makes_keys_of_that_project(tenancy: Tenancy) -> None:
    ann = signed_in(tenancy, "ann")
    key = tenancy.keys.create(A, "ann", "k", by=ann, project="main")
    who = tenancy.keys.identify(key.secret)
    assert tenancy.keys.create(A, "ann", "m", by=who, actions=LOOK).key.project == "main"
    tenancy.tenants.create_project(A, "lab", "Lab", actor="test")
    with pytest.raises(Denied):
        tenancy.keys.create(A, "ann", "l", by=who, project="lab")
