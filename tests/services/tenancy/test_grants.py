"""Roles, grants and their scopes; nobody gives more than they have."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from carcloud.model.actions import ACTIONS, BUILT_IN, actions_of
from carcloud.model.ids import DEFAULT_TENANT
from carcloud.services.tenancy.api import (
    INSTALLATION,
    SYSTEM,
    Changed,
    Denied,
    Exists,
    Identity,
    Invalid,
    Scope,
    Tenancy,
    Unknown,
)
from carcloud.services.tenancy.identity import narrowed, parsed_scope
from carcloud.services.tenancy.types import Allowed
from tests.services.tenancy.conftest import A, B, signed_in

_word = st.text("abc", min_size=1, max_size=3)
_scopes = st.one_of(
    st.just(Scope()),
    st.builds(lambda p: Scope(project=p), _word),
    st.builds(lambda m: Scope(labels=m), st.dictionaries(_word, _word, min_size=1, max_size=3)),
)


@given(_scopes)
def test_scopes_survive_their_text(scope: Scope) -> None:
    assert parsed_scope(scope.text) == scope


@given(
    st.frozensets(_word), st.lists(st.tuples(_scopes, st.frozensets(_word))), st.frozensets(_word),
    st.none() | _word, _word, st.none() | _word, st.none() | st.dictionaries(_word, _word),
)  # fmt: skip
def test_narrowing_never_allows_more(everywhere, parts, kept, project, action, of, labels) -> None:  # type: ignore[no-untyped-def]
    partly = tuple(Allowed(scope, actions) for scope, actions in parts if scope.text)
    who = Identity("u", A, everywhere, partly)
    less = narrowed(who, kept, project)
    if less.may(action, of, labels):
        assert who.may(action, of, labels)
        assert action in kept


def test_built_in_roles_are_what_the_table_says() -> None:
    known = {role.id for role in BUILT_IN}
    for action in ACTIONS:
        assert set(action.roles) <= known, f"{action.name}: see BUILT_IN in model/actions.py"
        assert action.name in (actions_of("owner") or ()) or action.installation
    assert not (actions_of("owner") or frozenset()) & (actions_of("administrator") or frozenset())
    assert actions_of("nothing") is None


def test_labels_limit_what_a_grant_allows(tenancy: Tenancy) -> None:
    tenancy.people.create(A, "nora", None, "operator", Scope(labels={"depot": "north"}), by=SYSTEM)
    [reason] = tenancy.grants.who_can(A, user="nora", action="vehicles:write")
    assert reason.grant.scope.text == "labels:depot=north"
    session = tenancy.keys.create(A, "nora", "k", by=_as(tenancy, "nora"))
    who = tenancy.sessions.identify(session.secret)
    assert who.may("vehicles:write", labels={"depot": "north", "x": "y"})
    assert not who.may("vehicles:write", labels={"depot": "south"})
    assert not who.may("vehicles:write", labels={})
    assert not who.may("vehicles:write")
    assert who.may_somewhere("vehicles:write")
    assert not who.may_somewhere("people:write")
    assert who.scopes("vehicles:write") == (Scope(labels={"depot": "north"}),)


def test_projects_limit_what_a_grant_allows(tenancy: Tenancy) -> None:
    tenancy.tenants.create_project(A, "lab", "Lab", actor="test")
    with pytest.raises(Invalid):
        tenancy.grants.grant(A, "ann", "engineer", Scope(project="nowhere"), by=SYSTEM)
    tenancy.grants.grant(A, "ann", "auditor", Scope(project="lab"), by=SYSTEM)
    who = _as(tenancy, "ann")
    assert who.may("audit:read", project="lab")
    assert who.may("audit:read", labels={"project": "lab"})
    assert not who.may("audit:read", project="main")
    assert not who.may("audit:read")


def test_nobody_gives_more_than_they_have(tenancy: Tenancy) -> None:
    tenancy.grants.create_role(
        A, "hr", "People", frozenset({"people:read", "people:write", "vehicles:read"}), by=SYSTEM
    )
    tenancy.people.create(A, "hans", None, "hr", by=SYSTEM)
    hans = _as(tenancy, "hans")
    for role in ("owner", "operator", "administrator"):
        with pytest.raises((Denied, Invalid)):
            tenancy.grants.grant(A, "ann", role, by=hans)
    with pytest.raises(Denied):
        tenancy.people.create(A, "new", "a long password", "owner", by=hans)
    with pytest.raises(Denied):
        tenancy.people.set_password(A, "olga", "a long password", by=hans)
    with pytest.raises(Denied):
        tenancy.people.remove(A, "olga", by=hans)
    with pytest.raises(Denied):
        tenancy.people.set_disabled(A, "ann", True, by=hans)
    with pytest.raises(Denied):
        tenancy.grants.create_role(A, "all", "All", frozenset({"audit:read"}), by=hans)
    [grant] = tenancy.grants.all(A, "olga")
    with pytest.raises(Denied):
        tenancy.grants.revoke(A, grant.id, by=hans)
    made = tenancy.people.create(A, "ina", None, "hr", by=hans)
    assert made.name == "ina"


def test_an_owner_is_no_administrator(tenancy: Tenancy) -> None:
    olga = signed_in(tenancy, "olga")
    assert not olga.may("tenants:read")
    with pytest.raises(Invalid):
        tenancy.grants.grant(A, "ann", "administrator", by=olga)
    with pytest.raises(Denied):
        tenancy.grants.create_role(A, "x", "X", frozenset({"keys:write"}), by=_as(tenancy, "ann"))
    with pytest.raises(Invalid):
        tenancy.grants.create_role(A, "x", "X", frozenset({"tenants:write"}), by=SYSTEM)
    with pytest.raises(Unknown):
        tenancy.grants.grant(INSTALLATION, "olga", "administrator", by=SYSTEM)


def test_the_last_owner_and_administrator_stay(tenancy: Tenancy) -> None:
    tenancy.bootstrap()  # there are people already: nothing is made
    [grant] = tenancy.grants.all(A, "olga")
    for attempt in (
        lambda: tenancy.grants.revoke(A, grant.id, by=SYSTEM),
        lambda: tenancy.people.remove(A, "olga", by=SYSTEM),
        lambda: tenancy.people.set_disabled(A, "olga", True, by=SYSTEM),
    ):
        with pytest.raises(Invalid, match="last owner"):
            attempt()
    tenancy.tenants.ensure(DEFAULT_TENANT)
    tenancy.people.create(DEFAULT_TENANT, "root", None, "owner", by=SYSTEM)
    tenancy.people.create(DEFAULT_TENANT, "second", None, "owner", by=SYSTEM)
    tenancy.grants.grant(INSTALLATION, "root", "administrator", by=SYSTEM)
    with pytest.raises(Invalid, match="last administrator"):
        tenancy.people.remove(DEFAULT_TENANT, "root", by=SYSTEM)
    tenancy.grants.grant(A, "ann", "owner", by=SYSTEM)
    tenancy.people.remove(A, "olga", by=SYSTEM)


def test_own_roles_change_what_people_may(tenancy: Tenancy) -> None:
    olga = signed_in(tenancy, "olga")
    made = tenancy.grants.create_role(A, "look", "Look", frozenset({"vehicles:read"}), by=olga)
    tenancy.people.create(A, "lee", None, "look", by=olga)
    assert _as(tenancy, "lee").everywhere == {"vehicles:read"}
    wider = frozenset({"vehicles:read", "audit:read"})
    with pytest.raises(Changed):
        tenancy.grants.change_role(A, "look", "Look", wider, by=olga, if_revision=7)
    tenancy.grants.change_role(A, "look", "Look", wider, by=olga, if_revision=made.revision)
    assert _as(tenancy, "lee").everywhere == wider
    assert tenancy.grants.role(A, "look").actions == wider
    with pytest.raises(Exists):
        tenancy.grants.remove_role(A, "look", by=olga)
    with pytest.raises(Exists):
        tenancy.grants.create_role(A, "look", "Look", wider, by=olga)
    with pytest.raises(Exists):
        tenancy.grants.create_role(A, "owner", "Mine", wider, by=olga)
    with pytest.raises(Invalid):
        tenancy.grants.remove_role(A, "owner", by=olga)
    with pytest.raises(Invalid, match="no action"):
        tenancy.grants.create_role(A, "new", "New", frozenset({"cars:drive"}), by=olga)
    tenancy.people.remove(A, "lee", by=olga)
    tenancy.grants.remove_role(A, "look", by=olga)
    with pytest.raises(Unknown):
        tenancy.grants.role(A, "look")


def test_another_tenant_sees_and_changes_nothing(tenancy: Tenancy) -> None:
    bob = signed_in(tenancy, "bob")
    [grant] = tenancy.grants.all(A, "ann")
    tenancy.grants.create_role(A, "look", "Look", frozenset({"vehicles:read"}), by=SYSTEM)
    for attempt in (
        lambda: tenancy.grants.revoke(B, grant.id, by=bob),
        lambda: tenancy.grants.role(B, "look"),
        lambda: tenancy.grants.remove_role(B, "look", by=bob),
        lambda: tenancy.people.get(B, "ann"),
        lambda: tenancy.people.remove(B, "ann", by=bob),
        lambda: tenancy.people.set_password(B, "ann", "a long password", by=bob),
        lambda: tenancy.people.set_disabled(B, "ann", True, by=bob),
    ):
        with pytest.raises(Unknown):
            attempt()
    with pytest.raises(Invalid):
        tenancy.grants.grant(B, "bob", "look", by=bob)
    assert tenancy.grants.who_can(B, user="ann") == []
    assert [user.name for user in tenancy.people.all(B)] == ["bob"]


@pytest.mark.parametrize("labels", [{"": "x"}, {"a": ""}, {"a,b": "c"}, {"a": "b=c"},
                                    {"a": "x" * 400}, {str(n): "x" for n in range(9)}])  # fmt: skip
def test_scopes_that_could_be_misread_are_refused(tenancy: Tenancy, labels: dict[str, str]) -> None:
    with pytest.raises(Invalid):
        tenancy.grants.grant(A, "ann", "viewer", Scope(labels=labels), by=SYSTEM)


def _as(tenancy: Tenancy, user: str) -> Identity:
    """Who that is right now, without a sign-in."""
    from carcloud.services.tenancy.identity import identity

    with tenancy._desk.records.reading() as db:
        return identity(db, user, A, service=False)


@pytest.mark.parametrize("name", ["gateway", "carcloud", "ci@default", "x@a"])
def test_people_cannot_be_called_as_programs_are(tenancy: Tenancy, name: str) -> None:
    with pytest.raises(Invalid, match="programs"):
        tenancy.people.create(A, name, None, "viewer", by=SYSTEM)
    assert tenancy.people.create(A, "ann@example.org", None, "viewer", by=SYSTEM)


def test_a_service_account_is_no_last_owner(tenancy: Tenancy) -> None:
    tenancy.people.create_service(A, "robot", "owner", by=SYSTEM)
    with pytest.raises(Invalid, match="last owner"):
        tenancy.people.remove(A, "olga", by=SYSTEM)
