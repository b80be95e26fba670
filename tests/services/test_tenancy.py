"""Tenancy on SQLite and PostgreSQL."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from carcloud.engines.records_sql import SqlRecords
from carcloud.model.ids import DEFAULT_TENANT, InvalidId, Tenant
from carcloud.model.time import SECOND
from carcloud.services.tenancy import throttle
from carcloud.services.tenancy.api import (
    Exists,
    Identity,
    Invalid,
    NotSignedIn,
    Role,
    Tenancy,
    Throttled,
    Unknown,
)
from tests.ports.engines_sql import DATABASES, fresh_url, postgresql_server

PASSWORD = "correct horse battery"
A, B = Tenant("a"), Tenant("b")


class Clock:
    """A clock that moves when told to. us since 1970."""

    def __init__(self) -> None:
        self.now = 1_700_000_000 * SECOND

    def __call__(self) -> int:
        return self.now

    def forward(self, seconds: float) -> None:
        self.now += int(seconds * SECOND)


@pytest.fixture(scope="module")
def postgresql() -> Iterator[Any]:
    with postgresql_server() as server:
        yield server


@pytest.fixture(params=DATABASES)
def records(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[SqlRecords]:
    opened = SqlRecords(fresh_url(request.param, tmp_path, request))
    yield opened
    opened.close()


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def tenancy(records: SqlRecords, clock: Clock) -> Tenancy:
    service = Tenancy(records, clock)
    for tenant in (A, B):
        service.ensure_tenant(tenant)
    service.create_user(A, "ann", PASSWORD, Role.OPERATOR, actor="test")
    return service


def test_bootstrap_tells_the_admin_once(records: SqlRecords) -> None:
    told = Tenancy(records).bootstrap()
    assert told is not None
    assert Tenancy(records).bootstrap() is None
    session = Tenancy(records).sign_in(*told, hours=1)
    assert session.identity.tenant == DEFAULT_TENANT
    assert session.identity.may(Role.ADMIN)


def test_session_lasts_until_it_ends(tenancy: Tenancy, clock: Clock) -> None:
    session = tenancy.sign_in("ann", PASSWORD, hours=2)
    assert session.expires == clock.now + 7200 * SECOND
    assert tenancy.session(session.token) == Identity("ann", A, Role.OPERATOR, session.expires)
    clock.forward(7199)
    tenancy.session(session.token)
    clock.forward(1)
    with pytest.raises(NotSignedIn):
        tenancy.session(session.token)


def test_sign_out_ends_one_session(tenancy: Tenancy) -> None:
    first = tenancy.sign_in("ann", PASSWORD, hours=1)
    second = tenancy.sign_in("ann", PASSWORD, hours=1)
    tenancy.sign_out(first.token)
    tenancy.sign_out(first.token)
    with pytest.raises(NotSignedIn):
        tenancy.session(first.token)
    assert tenancy.session(second.token).user == "ann"


@pytest.mark.parametrize("token", ["", "x", "ccs_", "cct_", "ccs_" + "A" * 5000, "ccs_\x00"])
def test_wrong_tokens_are_not_signed_in(tenancy: Tenancy, token: str) -> None:
    with pytest.raises(NotSignedIn):
        tenancy.session(token)


def test_secrets_are_not_kept(tenancy: Tenancy, records: SqlRecords) -> None:
    session = tenancy.sign_in("ann", PASSWORD, hours=1)
    _, secret = tenancy.create_token(A, "robot", Role.VIEWER, actor="ann")
    assert session.token not in repr(session)
    with records.reading() as db:
        for table in ("users", "sessions", "api_tokens", "audit", "sign_in_failures"):
            kept = str(db.exec_driver_sql(f"SELECT * FROM {table}").all())  # noqa: S608
            assert not any(told in kept for told in (PASSWORD, session.token, secret)), table
        password = db.exec_driver_sql("SELECT password FROM users").scalar_one()
    assert password.startswith("$argon2id$")


@pytest.mark.parametrize("user", ["ann", "nobody", "", "Ann", "ann\x00", "\ud800"])
def test_wrong_password_or_user_give_the_same_answer(tenancy: Tenancy, user: str) -> None:
    with pytest.raises(NotSignedIn, match="wrong user or password"):
        tenancy.sign_in(user, PASSWORD + "!", hours=1)


def test_guessing_is_throttled_for_that_address_only(tenancy: Tenancy, clock: Clock) -> None:
    for _ in range(throttle.PAIR_LIMIT):
        with pytest.raises(NotSignedIn):
            tenancy.sign_in("ann", "a wrong password", hours=1, address="192.0.2.1")
    clock.forward(60)
    with pytest.raises(Throttled) as caught:
        tenancy.sign_in("ann", PASSWORD, hours=1, address="192.0.2.1")
    assert caught.value.retry_after_s == throttle.WINDOW_S - 60
    tenancy.sign_in("ann", PASSWORD, hours=1, address="192.0.2.2")
    clock.forward(throttle.WINDOW_S)
    tenancy.sign_in("ann", PASSWORD, hours=1, address="192.0.2.1")


def test_trying_many_names_is_throttled(
    tenancy: Tenancy, records: SqlRecords, clock: Clock
) -> None:
    with records.transaction() as db:
        for number in range(throttle.ADDRESS_LIMIT):
            throttle.count_attempt(db, f"user{number}", "192.0.2.1", clock.now)
    with pytest.raises(Throttled):
        tenancy.sign_in("ann", PASSWORD, hours=1, address="192.0.2.1")


def test_good_sign_ins_are_never_throttled(tenancy: Tenancy) -> None:
    for _ in range(throttle.PAIR_LIMIT + 2):
        tenancy.sign_in("ann", PASSWORD, hours=1, address="192.0.2.1")


def test_api_tokens_work_until_revoked(tenancy: Tenancy, clock: Clock) -> None:
    robot, secret = tenancy.create_token(A, "robot", Role.VIEWER, actor="ann")
    _, short = tenancy.create_token(A, "short", Role.VIEWER, actor="ann", days=1)
    assert tenancy.session(secret) == Identity("robot", A, Role.VIEWER, None)
    assert not tenancy.session(secret).may(Role.OPERATOR)
    clock.forward(86_400)
    with pytest.raises(NotSignedIn):
        tenancy.session(short)
    with pytest.raises(Unknown):
        tenancy.revoke_token(B, robot.id, actor="bob")
    tenancy.revoke_token(A, robot.id, actor="ann")
    with pytest.raises(NotSignedIn):
        tenancy.session(secret)
    assert [token.name for token in tenancy.tokens(A)] == ["short"]
    assert tenancy.tokens(B) == []
    with pytest.raises(Unknown):
        tenancy.create_token(Tenant("none"), "x", Role.VIEWER, actor="ann")


def test_new_password_and_removal_end_sessions(tenancy: Tenancy) -> None:
    session = tenancy.sign_in("ann", PASSWORD, hours=1)
    tenancy.set_password(A, "ann", PASSWORD + "2", actor="test")
    with pytest.raises(NotSignedIn):
        tenancy.session(session.token)
    session = tenancy.sign_in("ann", PASSWORD + "2", hours=1)
    tenancy.set_role(A, "ann", Role.ADMIN, actor="test")
    assert tenancy.session(session.token).role is Role.ADMIN
    tenancy.remove_user(A, "ann", actor="test")
    with pytest.raises(NotSignedIn):
        tenancy.session(session.token)


def test_another_tenant_cannot_touch_a_user(tenancy: Tenancy) -> None:
    with pytest.raises(Unknown):
        tenancy.set_password(B, "ann", PASSWORD, actor="bob")
    with pytest.raises(Unknown):
        tenancy.set_role(B, "ann", Role.ADMIN, actor="bob")
    with pytest.raises(Unknown):
        tenancy.remove_user(B, "ann", actor="bob")
    assert tenancy.users(B) == []
    assert [user.name for user in tenancy.users(A)] == ["ann"]


def test_wrong_values_name_their_field(tenancy: Tenancy) -> None:
    with pytest.raises(Invalid) as caught:
        tenancy.create_user(A, "Bob Smith", PASSWORD, Role.VIEWER, actor="test")
    assert caught.value.field == "user"
    with pytest.raises(Invalid) as caught:
        tenancy.create_user(A, "bob", "short", Role.VIEWER, actor="test")
    assert caught.value.field == "password"
    with pytest.raises(Exists):
        tenancy.create_user(B, "ann", PASSWORD, Role.VIEWER, actor="test")
    with pytest.raises(Exists):
        tenancy.create_user(Tenant("none"), "bob", PASSWORD, Role.VIEWER, actor="test")
    with pytest.raises(InvalidId):
        tenancy.ensure_tenant("Not A Slug")


def test_changes_are_told_newest_first_in_pages(tenancy: Tenancy) -> None:
    for number in range(5):
        tenancy.create_token(A, f"t{number}", Role.VIEWER, actor="ann")
    page = tenancy.changes(A, limit=4)
    assert [entry.action for entry in page.items] == ["token.create"] * 4
    assert (page.items[0].after or {})["name"] == "t4"
    rest = tenancy.changes(A, before=page.next_before, limit=4)
    assert [entry.action for entry in rest.items] == ["token.create", "user.create"]
    assert rest.next_before is None
    assert rest.items[1].after == {"name": "ann", "role": "operator"}
    assert tenancy.changes(B).items == []
    assert [entry.actor for entry in tenancy.changes(A, subject="ann").items] == ["test"]


def test_tenants_are_made_once(tenancy: Tenancy) -> None:
    tenancy.ensure_tenant("a")
    assert tenancy.tenants() == [A, B]
