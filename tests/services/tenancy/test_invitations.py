"""Invitations, guests, and what a home tenant can and cannot do to its people elsewhere."""

import pytest

from carcloud.services.tenancy.api import (
    SYSTEM,
    AuditFilter,
    Denied,
    Exists,
    Invalid,
    NewInvitation,
    NotSignedIn,
    Scope,
    Tenancy,
    TenantState,
    Unknown,
)
from tests.services.tenancy.conftest import PASSWORD, A, B, Clock, signed_in


def invited(
    tenancy: Tenancy, role: str = "viewer", by: str = "bob", days: float = 7
) -> NewInvitation:
    """An invitation into tenant B."""
    who = signed_in(tenancy, by)
    return tenancy.invitations.create(who.tenant, role, note="a friend", days=days, by=who)


def guest(tenancy: Tenancy, role: str = "viewer") -> str:
    """`ann` of tenant A as a guest in B; her token of a session there."""
    session = tenancy.sessions.sign_in("ann", PASSWORD, hours=1)
    tenancy.invitations.join(invited(tenancy, role).secret, session.identity)
    return tenancy.sessions.switch(session.identity, B).token


def test_an_invited_person_becomes_a_user_once(tenancy: Tenancy) -> None:
    made = invited(tenancy, "operator")
    offer = tenancy.invitations.offer(made.secret)
    assert (offer.tenant, offer.note, offer.role) == (B, "a friend", "operator")
    with pytest.raises(Exists):
        tenancy.invitations.accept(made.secret, "ann", PASSWORD)  # of another tenant
    with pytest.raises(Invalid):
        tenancy.invitations.accept(made.secret, "nina", "short")
    tenancy.invitations.accept(made.secret, "nina", PASSWORD)
    who = signed_in(tenancy, "nina")
    assert (who.tenant, who.may("vehicles:write"), who.may("people:write")) == (B, True, False)
    with pytest.raises(Unknown):
        tenancy.invitations.accept(made.secret, "nick", PASSWORD)
    assert tenancy.invitations.all(B) == []
    told = tenancy.trail.page(B, AuditFilter(action="invitation.*")).items
    assert [one.action for one in told] == ["invitation.accept", "invitation.create"]
    assert made.secret not in str(told)


def test_an_invitation_ends_is_revoked_and_is_seen_in_its_tenant_only(
    tenancy: Tenancy, clock: Clock
) -> None:
    bob, olga = signed_in(tenancy, "bob"), signed_in(tenancy, "olga")
    late = invited(tenancy, days=1)
    clock.forward(24 * 3600)
    with pytest.raises(Unknown):
        tenancy.invitations.accept(late.secret, "nina", PASSWORD)
    made = invited(tenancy)
    assert [one.id for one in tenancy.invitations.all(B)] == [made.invitation.id]
    assert tenancy.invitations.all(A) == []
    with pytest.raises(Unknown):
        tenancy.invitations.revoke(A, made.invitation.id, by=olga)
    tenancy.invitations.revoke(B, made.invitation.id, by=bob)
    with pytest.raises(Unknown):
        tenancy.invitations.offer(made.secret)
    suspended = invited(tenancy)
    tenancy.tenants.set_state(B, TenantState.SUSPENDED, actor="root")
    with pytest.raises(Unknown):
        tenancy.invitations.offer(suspended.secret)


def test_nobody_gives_more_than_they_have_then_or_later(tenancy: Tenancy) -> None:
    olga, ann = signed_in(tenancy, "olga"), signed_in(tenancy, "ann")
    with pytest.raises(Denied):
        tenancy.invitations.create(A, "owner", note="x", days=1, by=ann)
    with pytest.raises(Invalid):
        tenancy.invitations.create(A, "administrator", note="x", days=1, by=SYSTEM)
    with pytest.raises(Invalid):
        tenancy.invitations.create(A, "viewer", Scope(project="none"), note="x", days=1, by=olga)
    tenancy.people.create(A, "otto", PASSWORD, "owner", by=SYSTEM)
    made = invited(tenancy, "owner", by="otto")
    [grant] = tenancy.grants.all(A, "otto")
    tenancy.grants.revoke(A, grant.id, by=olga)
    with pytest.raises(Unknown):
        tenancy.invitations.accept(made.secret, "nina", PASSWORD)
    viewer = invited(tenancy, "viewer", by="olga")
    tenancy.people.create(A, "oona", PASSWORD, "owner", by=SYSTEM)
    tenancy.people.set_disabled(A, "olga", True, by=SYSTEM)
    with pytest.raises(Unknown):
        tenancy.invitations.accept(viewer.secret, "nina", PASSWORD)


def test_a_user_of_another_tenant_becomes_a_guest(tenancy: Tenancy) -> None:
    token = guest(tenancy, "operator")
    who = tenancy.sessions.identify(token)
    assert (who.tenant, who.may("vehicles:write"), who.may("people:read")) == (B, True, False)
    assert {one.name for one in tenancy.people.all(B)} == {"ann", "bob"}
    assert "bob" not in {one.name for one in tenancy.people.all(A)}
    assert tenancy.grants.all(A, "ann") != tenancy.grants.all(B, "ann")
    bob = signed_in(tenancy, "bob")
    for act in (tenancy.people.set_password, tenancy.people.set_disabled):
        with pytest.raises(Unknown):  # B does not own her account
            act(B, "ann", "another password", by=bob)  # type: ignore[arg-type]
    tenancy.people.remove(B, "ann", by=bob)
    with pytest.raises(NotSignedIn):
        tenancy.sessions.identify(token)
    assert signed_in(tenancy, "ann").tenant == A


def test_a_home_tenant_that_sets_the_password_does_not_get_into_others(tenancy: Tenancy) -> None:
    token = guest(tenancy, "owner")
    there = tenancy.sessions.identify(token)
    key = tenancy.keys.create(B, "ann", "k", by=there).secret
    olga = signed_in(tenancy, "olga")
    tenancy.people.set_password(A, "ann", "chosen by olga", by=olga)
    for one in (token, key):
        with pytest.raises(NotSignedIn):
            tenancy.sessions.identify(one)
    taken = tenancy.sessions.sign_in("ann", "chosen by olga", hours=1).identity
    assert [one.id for one in tenancy.sessions.tenants("ann")] == [A]
    with pytest.raises(Unknown):
        tenancy.sessions.switch(taken, B)
    [told] = tenancy.trail.page(B, AuditFilter(action="guest.end")).items
    assert (told.actor, told.subject) == ("carcloud", "ann")
    assert "olga" not in str(told)


def test_changing_ones_own_password_keeps_what_one_may_elsewhere(tenancy: Tenancy) -> None:
    guest(tenancy)
    ann = signed_in(tenancy, "ann")
    tenancy.sessions.change_password(ann, PASSWORD, "my own new one")
    assert [one.id for one in tenancy.sessions.tenants("ann")] == [A, B]


def test_a_guest_is_kept_out_and_removed_by_home_and_others_hear_of_it(tenancy: Tenancy) -> None:
    token = guest(tenancy)
    olga = signed_in(tenancy, "olga")
    tenancy.people.set_disabled(A, "ann", True, by=olga)
    with pytest.raises(NotSignedIn):
        tenancy.sessions.identify(token)
    tenancy.people.remove(A, "ann", by=olga)
    assert tenancy.grants.all(B, "ann") == []
    told = tenancy.trail.page(B, AuditFilter(action="guest.*")).items
    assert [one.action for one in told] == ["guest.end", "guest.disable"]


def test_a_guest_is_no_last_owner(tenancy: Tenancy) -> None:
    guest(tenancy, "owner")
    bob = signed_in(tenancy, "bob")
    [grant] = tenancy.grants.all(B, "bob")
    with pytest.raises(Invalid, match="last owner"):
        tenancy.grants.revoke(B, grant.id, by=bob)


def test_keys_and_tokens_accept_nothing(tenancy: Tenancy) -> None:
    made = invited(tenancy)
    ann = signed_in(tenancy, "ann")
    key = tenancy.keys.create(A, "ann", "k", by=ann).secret
    with pytest.raises(Denied):
        tenancy.invitations.join(made.secret, tenancy.sessions.identify(key))
    token = tenancy.sessions.token(ann, minutes=5)
    with pytest.raises(Denied):
        tenancy.invitations.join(made.secret, token.identity)
