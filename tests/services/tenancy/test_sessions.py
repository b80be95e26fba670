"""Signing in, sessions, short-lived tokens, and working in several tenants."""

from contextlib import nullcontext
from dataclasses import replace

import pytest

from carcloud.engines.records_sql import SqlRecords
from carcloud.model.ids import DEFAULT_TENANT
from carcloud.model.time import SECOND
from carcloud.services.tenancy import throttle
from carcloud.services.tenancy.api import (
    EVERYTHING,
    INSTALLATION,
    SYSTEM,
    AuditFilter,
    Client,
    Denied,
    Invalid,
    NotSignedIn,
    Tenancy,
    TenantState,
    Throttled,
    Unknown,
)
from tests.services.tenancy.conftest import PASSWORD, A, B, Clock, signed_in

HERE, THERE = Client("192.0.2.1"), Client("192.0.2.2")


def test_bootstrap_tells_the_admin_once(records: SqlRecords) -> None:
    told = Tenancy(records).bootstrap()
    assert told is not None
    assert Tenancy(records).bootstrap() is None
    who = Tenancy(records).sessions.sign_in(*told, hours=1).identity
    assert who.tenant == DEFAULT_TENANT
    assert who.may("people:write")
    assert who.may("tenants:write")


def test_session_lasts_until_it_ends(tenancy: Tenancy, clock: Clock) -> None:
    session = tenancy.sessions.sign_in("ann", PASSWORD, hours=2)
    assert session.expires == clock.now + 7200 * SECOND
    assert tenancy.sessions.identify(session.token) == session.identity
    assert (session.identity.user, session.identity.tenant) == ("ann", A)
    clock.forward(7199)
    tenancy.sessions.identify(session.token)
    clock.forward(1)
    with pytest.raises(NotSignedIn):
        tenancy.sessions.identify(session.token)


def test_sign_out_ends_one_session(tenancy: Tenancy) -> None:
    first = tenancy.sessions.sign_in("ann", PASSWORD, hours=1)
    second = tenancy.sessions.sign_in("ann", PASSWORD, hours=1)
    tenancy.sessions.sign_out(first.token)
    tenancy.sessions.sign_out(first.token)
    with pytest.raises(NotSignedIn):
        tenancy.sessions.identify(first.token)
    assert tenancy.sessions.identify(second.token).user == "ann"


@pytest.mark.parametrize(
    "token", ["", "x", "ccs_", "cck_", "cck__", "cck_0123456789abcdef_x", "ccs_" + "A" * 5000,
              "ccs_\x00", "cck_\x00_\x00", "\ud800"]
)  # fmt: skip
def test_wrong_tokens_are_not_signed_in(tenancy: Tenancy, token: str) -> None:
    with pytest.raises(NotSignedIn):
        tenancy.sessions.identify(token)


def test_secrets_are_not_kept(tenancy: Tenancy, records: SqlRecords) -> None:
    session = tenancy.sessions.sign_in("ann", PASSWORD, hours=1)
    key = tenancy.keys.create(A, "ann", "laptop", by=session.identity)
    assert session.token not in repr(session)
    assert key.secret not in repr(key)
    told = [PASSWORD, session.token, key.secret, str(key.s3_secret)]
    with records.reading() as db:
        for table in ("users", "sessions", "api_keys", "audit", "sign_in_failures"):
            kept = str(db.exec_driver_sql(f"SELECT * FROM {table}").all())  # noqa: S608
            assert not any(secret in kept for secret in told), table
        query = "SELECT password FROM users WHERE name = 'ann'"
        assert db.exec_driver_sql(query).scalar_one().startswith("$argon2id$")


@pytest.mark.parametrize("user", ["ann", "nobody", "", "Ann", "ann\x00", "\ud800", "robot@a"])
def test_wrong_password_or_user_give_the_same_answer(tenancy: Tenancy, user: str) -> None:
    tenancy.people.create_service(A, "robot", "viewer", by=SYSTEM)
    with pytest.raises(NotSignedIn, match="wrong user or password"):
        tenancy.sessions.sign_in(user, PASSWORD + "!", hours=1)


def test_failed_sign_ins_are_in_the_audit(tenancy: Tenancy) -> None:
    for user in ("ann", "nobody"):
        with pytest.raises(NotSignedIn):
            tenancy.sessions.sign_in(user, PASSWORD + "!", hours=1)
    [entry] = tenancy.trail.page(A, AuditFilter(denied=True)).items
    assert (entry.actor, entry.action) == ("ann", "session.begin")
    [entry] = tenancy.trail.page(INSTALLATION, AuditFilter(denied=True)).items
    assert entry.subject == "nobody"


def test_guessing_is_throttled_for_that_address_only(tenancy: Tenancy, clock: Clock) -> None:
    for _ in range(throttle.PAIR_LIMIT):
        with pytest.raises(NotSignedIn):
            tenancy.sessions.sign_in("ann", "a wrong password", hours=1, client=HERE)
    clock.forward(60)
    with pytest.raises(Throttled) as caught:
        tenancy.sessions.sign_in("ann", PASSWORD, hours=1, client=HERE)
    assert caught.value.retry_after_s == throttle.WINDOW_S - 60
    tenancy.sessions.sign_in("ann", PASSWORD, hours=1, client=THERE)
    clock.forward(throttle.WINDOW_S)
    tenancy.sessions.sign_in("ann", PASSWORD, hours=1, client=HERE)


def test_trying_many_names_is_throttled(
    tenancy: Tenancy, records: SqlRecords, clock: Clock
) -> None:
    with records.transaction() as db:
        for number in range(throttle.ADDRESS_LIMIT):
            throttle.count_attempt(db, f"user{number}", HERE.address, clock.now)
    with pytest.raises(Throttled):
        tenancy.sessions.sign_in("ann", PASSWORD, hours=1, client=HERE)


@pytest.mark.parametrize(
    ("first", "second", "same"),
    [
        ("2001:db8:0:1::1", "2001:db8:0:1:ffff::2", True),  # one party has a whole /64
        ("2001:db8:0:1::1", "2001:db8:0:2::1", False),
        ("::ffff:192.0.2.1", "::ffff:192.0.2.2", False),
        ("192.0.2.1", "192.0.2.2", False),
    ],
)
def test_addresses_of_one_party_are_counted_together(
    tenancy: Tenancy, first: str, second: str, same: bool
) -> None:
    for _ in range(throttle.PAIR_LIMIT):
        with pytest.raises(NotSignedIn):
            tenancy.sessions.sign_in("ann", "a wrong password", hours=1, client=Client(first))
    refused = pytest.raises(Throttled) if same else nullcontext()
    with refused:
        tenancy.sessions.sign_in("ann", PASSWORD, hours=1, client=Client(second))


def test_who_was_made_just_now_is_let_in_where_others_guessed(
    tenancy: Tenancy, records: SqlRecords, clock: Clock
) -> None:
    with records.transaction() as db:
        for number in range(throttle.ADDRESS_LIMIT):
            throttle.count_attempt(db, f"user{number}", HERE.address, clock.now)
    made = tenancy.sessions.open_new("ann", hours=1, client=HERE)
    assert tenancy.sessions.identify(made.token).user == "ann"
    with pytest.raises(Throttled):
        tenancy.sessions.sign_in("ann", PASSWORD, hours=1, client=HERE)


def test_good_sign_ins_are_never_throttled(tenancy: Tenancy) -> None:
    for _ in range(throttle.PAIR_LIMIT + 2):
        tenancy.sessions.sign_in("ann", PASSWORD, hours=1, client=HERE)


def test_sessions_are_listed_and_ended(tenancy: Tenancy) -> None:
    first = tenancy.sessions.sign_in(
        "ann", PASSWORD, hours=1, client=Client("192.0.2.1", "Firefox")
    )
    tenancy.sessions.sign_in("olga", PASSWORD, hours=1)
    assert {one.user for one in tenancy.sessions.all(A)} == {"ann", "olga"}
    assert tenancy.sessions.all(B) == []
    [mine] = tenancy.sessions.all(A, "ann")
    assert (mine.address, mine.agent, mine.short_lived) == ("192.0.2.1", "Firefox", False)
    for tenant, user in ((B, None), (A, "olga")):
        with pytest.raises(Unknown):
            tenancy.sessions.end(tenant, mine.id, actor="x", user=user)
    tenancy.sessions.end(A, mine.id, actor="olga")
    with pytest.raises(NotSignedIn):
        tenancy.sessions.identify(first.token)


def test_working_in_another_tenant_needs_a_grant_there(tenancy: Tenancy) -> None:
    session = tenancy.sessions.sign_in("ann", PASSWORD, hours=1)
    with pytest.raises(Unknown):
        tenancy.sessions.switch(session.identity, B)
    assert [one.id for one in tenancy.sessions.tenants("ann")] == [A]
    bob = signed_in(tenancy, "bob")
    with pytest.raises(Unknown):  # bob cannot pull people of another tenant in
        tenancy.grants.grant(B, "ann", "viewer", by=bob)
    with tenancy._desk.records.transaction() as db:  # as an accepted invitation does
        tenancy.grants.grant_in(db, B, "ann", "viewer", EVERYTHING, by=bob)
    assert [one.id for one in tenancy.sessions.tenants("ann")] == [A, B]
    moved = tenancy.sessions.switch(session.identity, B)
    there = moved.identity
    assert there == tenancy.sessions.identify(moved.token)
    assert there.tenant == B
    with pytest.raises(NotSignedIn):  # nothing goes on in the old tenant
        tenancy.sessions.identify(session.token)
    assert there.may("vehicles:read")
    assert not there.may("vehicles:write")
    assert [user.name for user in tenancy.people.all(B)] == ["ann", "bob"]
    tenancy.people.remove(B, "ann", by=bob)
    with pytest.raises(NotSignedIn):
        tenancy.sessions.identify(moved.token)
    assert signed_in(tenancy, "ann").tenant == A


def test_short_lived_tokens_may_less_and_end(tenancy: Tenancy, clock: Clock) -> None:
    ann = signed_in(tenancy, "ann")
    token = tenancy.sessions.token(ann, minutes=5, actions=frozenset({"vehicles:read"}))
    who = tenancy.sessions.identify(token.token)
    assert who.everywhere == {"vehicles:read"}
    with pytest.raises(Denied):
        tenancy.sessions.token(who, minutes=5, actions=frozenset({"vehicles:write"}))
    with pytest.raises(Denied):
        tenancy.sessions.switch(who, A)
    again = tenancy.sessions.token(who, minutes=60)
    assert again.expires == token.expires
    for minutes in (0, -1, 1e9):
        with pytest.raises(Invalid):
            tenancy.sessions.token(ann, minutes=minutes)
    clock.forward(300)
    with pytest.raises(NotSignedIn):
        tenancy.sessions.identify(token.token)


def test_a_suspended_tenant_lets_nobody_in(tenancy: Tenancy) -> None:
    session = tenancy.sessions.sign_in("ann", PASSWORD, hours=1)
    key = tenancy.keys.create(A, "ann", "laptop", by=session.identity)
    tenancy.tenants.set_state(A, TenantState.SUSPENDED, actor="test")
    for token in (session.token, key.secret):
        with pytest.raises(NotSignedIn):
            tenancy.sessions.identify(token)
    assert tenancy.keys.access(key.key.id) is None
    with pytest.raises(NotSignedIn):
        tenancy.sessions.sign_in("ann", PASSWORD, hours=1)
    tenancy.tenants.set_state(A, TenantState.ACTIVE, actor="test")
    assert tenancy.sessions.identify(key.secret).user == "ann"
    assert signed_in(tenancy, "ann").may("vehicles:write")
    with pytest.raises(Invalid):
        tenancy.tenants.set_state(DEFAULT_TENANT, TenantState.SUSPENDED, actor="test")


def test_rights_follow_from_the_next_request_on(tenancy: Tenancy) -> None:
    session = tenancy.sessions.sign_in("ann", PASSWORD, hours=1)
    [grant] = tenancy.grants.all(A, "ann")
    tenancy.grants.grant(A, "ann", "owner", by=SYSTEM)
    assert tenancy.sessions.identify(session.token).may("people:write")
    tenancy.grants.revoke(A, grant.id, by=SYSTEM)
    now = tenancy.sessions.identify(session.token)
    assert now == replace(session.identity, everywhere=now.everywhere)


def test_a_token_is_bound_as_what_it_was_made_from(tenancy: Tenancy) -> None:
    olga = signed_in(tenancy, "olga")
    key = tenancy.keys.create(A, "olga", "k", by=olga, project="main")
    who = tenancy.keys.identify(key.secret)
    token = tenancy.sessions.token(who, minutes=5)
    bound = tenancy.sessions.identify(token.token)
    assert bound.everywhere == frozenset()
    assert bound.may("people:write", project="main")
    further = tenancy.sessions.token(bound, minutes=5, actions=frozenset({"vehicles:read"}))
    tenancy.keys.revoke(A, key.key.id, by=olga)
    for made in (token, further):
        with pytest.raises(NotSignedIn):
            tenancy.sessions.identify(made.token)


def test_signing_out_ends_the_tokens_of_the_session(tenancy: Tenancy) -> None:
    session = tenancy.sessions.sign_in("ann", PASSWORD, hours=1)
    token = tenancy.sessions.token(session.identity, minutes=5)
    tenancy.sessions.sign_out(session.token)
    with pytest.raises(NotSignedIn):
        tenancy.sessions.identify(token.token)


def test_a_good_sign_in_forgives_only_itself(tenancy: Tenancy) -> None:
    for number in range(throttle.ADDRESS_LIMIT):
        with pytest.raises(NotSignedIn):
            tenancy.sessions.sign_in(f"nobody{number}", PASSWORD, hours=1, client=HERE)
        if number < throttle.ADDRESS_LIMIT - 1:
            tenancy.sessions.sign_in("ann", PASSWORD, hours=1, client=HERE)
    with pytest.raises(Throttled):
        tenancy.sessions.sign_in("nobody", PASSWORD, hours=1, client=HERE)
