"""Codes of an authenticator app: RFC 6238, their use in signing in, recovery, turning off."""

import base64
from dataclasses import replace
from urllib.parse import parse_qs, urlsplit

import pytest

from carcloud.model.time import SECOND
from carcloud.services.tenancy import totp
from carcloud.services.tenancy.api import (
    AuditFilter,
    Client,
    Denied,
    Exists,
    Identity,
    Invalid,
    NotSignedIn,
    SecondFactorNeeded,
    Tenancy,
    Throttled,
    Unknown,
)
from carcloud.services.tenancy.throttle import CODE_LIMIT
from tests.services.tenancy.conftest import PASSWORD, A, B, Clock, signed_in

RFC_SECRET = b"12345678901234567890"


@pytest.mark.parametrize(
    ("seconds", "code"),
    [  # RFC 6238 appendix B, the rows of SHA-1
        (59, "94287082"),
        (1111111109, "07081804"),
        (1111111111, "14050471"),
        (1234567890, "89005924"),
        (2000000000, "69279037"),
        (20000000000, "65353130"),
    ],
)
def test_codes_are_those_of_the_rfc(seconds: int, code: str) -> None:
    assert totp.code_at(RFC_SECRET, totp.step_at(seconds * SECOND), digits=8) == code
    assert totp.code_at(RFC_SECRET, totp.step_at(seconds * SECOND)) == code[2:]


@pytest.mark.parametrize(
    ("count", "code"), list(enumerate(["755224", "287082", "359152", "969429", "338314"]))
)
def test_codes_are_those_of_rfc_4226(count: int, code: str) -> None:
    assert totp.code_at(RFC_SECRET, count) == code  # appendix D


def test_a_clock_may_be_one_step_off_and_no_more() -> None:
    now = 1111111111 * SECOND
    here = totp.step_at(now)
    for drift, good in ((-2, False), (-1, True), (0, True), (1, True), (2, False)):
        found = totp.matching_step(RFC_SECRET, totp.code_at(RFC_SECRET, here + drift), now, 0)
        assert found == (here + drift if good else None)
    assert totp.matching_step(RFC_SECRET, totp.code_at(RFC_SECRET, here), now, here) is None


def enrolled(tenancy: Tenancy, clock: Clock, user: str = "ann") -> tuple[bytes, list[str]]:
    """The secret in somebody's app, and the recovery codes."""
    return _turn_on(tenancy, signed_in(tenancy, user), clock)


def _turn_on(tenancy: Tenancy, who: Identity, clock: Clock) -> tuple[bytes, list[str]]:
    secret = _bytes(tenancy.second_factor.begin(who, PASSWORD, issuer="carcloud").secret)
    codes = tenancy.second_factor.confirm(who, _code(secret, clock))
    clock.forward(60)
    return secret, codes


def _bytes(secret: str) -> bytes:
    return base64.b32decode(secret + "=" * (-len(secret) % 8))


def _code(secret: bytes, clock: Clock) -> str:
    return totp.code_at(secret, totp.step_at(clock.now))


def _sign_in(tenancy: Tenancy, code: str | None, address: str = "192.0.2.1") -> Identity:
    client = Client(address)
    return tenancy.sessions.sign_in("ann", PASSWORD, hours=1, client=client, code=code).identity


def test_signing_in_takes_a_code_and_each_only_once(tenancy: Tenancy, clock: Clock) -> None:
    secret, _ = enrolled(tenancy, clock)
    assert tenancy.people.get(A, "ann").second_factor
    with pytest.raises(SecondFactorNeeded):
        _sign_in(tenancy, None)
    code = _code(secret, clock)
    assert _sign_in(tenancy, f"{code[:3]} {code[3:]}").user == "ann"
    with pytest.raises(NotSignedIn):
        _sign_in(tenancy, code)
    clock.forward(30)
    _sign_in(tenancy, _code(secret, clock))
    with pytest.raises(NotSignedIn):
        tenancy.sessions.sign_in("ann", "wrong password", hours=1, code=_code(secret, clock))


def test_the_secret_is_told_once_and_begins_with_the_password(
    tenancy: Tenancy, clock: Clock
) -> None:
    who = signed_in(tenancy, "ann")
    with pytest.raises(Invalid, match="password"):
        tenancy.second_factor.begin(who, "not the password", issuer="carcloud")
    told = tenancy.second_factor.begin(who, PASSWORD, issuer="carcloud")
    address = urlsplit(told.uri)
    assert (address.scheme, address.netloc, address.path) == ("otpauth", "totp", "/carcloud:ann")
    assert parse_qs(address.query)["secret"] == [told.secret]
    with pytest.raises(Invalid):
        tenancy.second_factor.confirm(who, "000000")
    assert not tenancy.second_factor.state(who).on
    assert _sign_in(tenancy, None).user == "ann"  # nothing changed yet
    tenancy.second_factor.confirm(who, _code(_bytes(told.secret), clock))
    with pytest.raises(Exists):
        tenancy.second_factor.begin(who, PASSWORD, issuer="carcloud")
    with pytest.raises(Unknown):
        tenancy.second_factor.confirm(who, "000000")


def test_an_enrolment_that_waits_too_long_is_forgotten(tenancy: Tenancy, clock: Clock) -> None:
    who = signed_in(tenancy, "ann")
    told = tenancy.second_factor.begin(who, PASSWORD, issuer="carcloud")
    clock.forward(901)
    with pytest.raises(Unknown):
        tenancy.second_factor.confirm(who, _code(_bytes(told.secret), clock))


def test_other_sessions_end_when_it_is_turned_on(tenancy: Tenancy, clock: Clock) -> None:
    other = tenancy.sessions.sign_in("ann", PASSWORD, hours=1)
    mine = tenancy.sessions.sign_in("ann", PASSWORD, hours=1)
    told = tenancy.second_factor.begin(mine.identity, PASSWORD, issuer="carcloud")
    tenancy.second_factor.confirm(mine.identity, _code(_bytes(told.secret), clock))
    assert tenancy.sessions.identify(mine.token).user == "ann"
    with pytest.raises(NotSignedIn):
        tenancy.sessions.identify(other.token)


def test_recovery_codes_work_once_each(tenancy: Tenancy, clock: Clock) -> None:
    _, codes = enrolled(tenancy, clock)
    assert len(set(codes)) == 10
    who = _sign_in(tenancy, codes[0])
    with pytest.raises(NotSignedIn):
        _sign_in(tenancy, codes[0])
    assert tenancy.second_factor.state(who).recovery_codes == 9
    fresh = tenancy.second_factor.renew_codes(who, codes[1].upper())
    assert tenancy.second_factor.state(who).recovery_codes == 10
    with pytest.raises(NotSignedIn):
        _sign_in(tenancy, codes[2])
    _sign_in(tenancy, fresh[0])


def test_turning_off_takes_a_code(tenancy: Tenancy, clock: Clock) -> None:
    secret, codes = enrolled(tenancy, clock)
    who = _sign_in(tenancy, codes[0])
    with pytest.raises(Invalid):
        tenancy.second_factor.turn_off(who, "000000")
    tenancy.second_factor.turn_off(who, _code(secret, clock))
    assert _sign_in(tenancy, None).user == "ann"
    with pytest.raises(Unknown):
        tenancy.second_factor.turn_off(who, "000000")
    told = tenancy.trail.page(A, AuditFilter(action="user.second-factor")).items
    assert [one.denied for one in told] == [False, True, False]


def test_keys_tokens_and_programs_may_not_touch_it(tenancy: Tenancy, clock: Clock) -> None:
    who = signed_in(tenancy, "ann")
    for other in (replace(who, session=None, key="0" * 16), replace(who, short_lived=True)):
        with pytest.raises(Denied):
            tenancy.second_factor.begin(other, PASSWORD, issuer="carcloud")
        with pytest.raises(Denied):
            tenancy.second_factor.turn_off(other, "000000")


def test_codes_cannot_be_guessed_from_many_addresses(tenancy: Tenancy, clock: Clock) -> None:
    secret, _ = enrolled(tenancy, clock)
    right = _code(secret, clock)
    wrong = "000000" if right != "000000" else "000001"
    for number in range(CODE_LIMIT):
        with pytest.raises(NotSignedIn):
            _sign_in(tenancy, wrong, f"198.51.100.{number}")
    with pytest.raises(Throttled):
        _sign_in(tenancy, right, "198.51.100.99")
    clock.forward(901)
    _sign_in(tenancy, _code(secret, clock), "198.51.100.99")


def test_asking_for_the_code_is_no_failure_and_forgives_none(
    tenancy: Tenancy, clock: Clock
) -> None:
    secret, _ = enrolled(tenancy, clock)
    for _ in range(20):
        with pytest.raises(SecondFactorNeeded):
            _sign_in(tenancy, None)
    for _ in range(5):
        with pytest.raises(NotSignedIn):
            tenancy.sessions.sign_in("ann", "wrong", hours=1, client=Client("192.0.2.1"))
    with pytest.raises(Throttled):
        _sign_in(tenancy, _code(secret, clock))


def test_an_owner_takes_a_lost_one_away(tenancy: Tenancy, clock: Clock) -> None:
    _, codes = enrolled(tenancy, clock)
    session = tenancy.sessions.sign_in("ann", PASSWORD, hours=1, code=codes[0])
    olga, bob = signed_in(tenancy, "olga"), signed_in(tenancy, "bob")
    with pytest.raises(Unknown):
        tenancy.second_factor.reset(B, "ann", by=bob)
    tenancy.second_factor.reset(A, "ann", by=olga)
    with pytest.raises(NotSignedIn):
        tenancy.sessions.identify(session.token)
    assert _sign_in(tenancy, None).user == "ann"
    tenancy.second_factor.reset(A, "ann", by=olga)
    told = tenancy.trail.page(A, AuditFilter(action="user.second-factor", actor="olga")).items
    assert len(told) == 1
    enrolled(tenancy, clock, "olga")
    with pytest.raises(Denied):
        tenancy.second_factor.reset(A, "olga", by=_sign_in(tenancy, None))


def test_who_lacks_the_second_factor_that_is_asked_may_nothing(
    tenancy: Tenancy, clock: Clock
) -> None:
    open_before = tenancy.sessions.sign_in("ann", PASSWORD, hours=1)
    olga = signed_in(tenancy, "olga")
    key = tenancy.keys.create(A, "ann", "k", by=open_before.identity).secret
    with pytest.raises(Invalid, match="your own"):  # who asks would keep themselves out
        tenancy.tenants.require_second_factor(A, True, by=olga)
    _turn_on(tenancy, olga, clock)
    assert tenancy.tenants.require_second_factor(A, True, by=olga).second_factor

    ann = tenancy.sessions.identify(open_before.token)
    assert ann.unproved and not ann.may_somewhere("vehicles:read")
    assert signed_in(tenancy, "ann").unproved
    token = tenancy.sessions.token(open_before.identity, minutes=5)
    assert tenancy.sessions.identify(token.token).unproved
    by_key = tenancy.sessions.identify(key)
    assert by_key.may("vehicles:read") and not by_key.unproved
    assert not signed_in(tenancy, "bob").unproved  # of another tenant

    _turn_on(tenancy, ann, clock)
    assert tenancy.sessions.identify(open_before.token).may("vehicles:write")
    tenancy.tenants.require_second_factor(A, False, by=olga)
    told = tenancy.trail.page(A, AuditFilter(action="tenant.second-factor")).items
    assert [(one.before, one.after) for one in told] == [
        ({"required": True}, {"required": False}),
        ({"required": False}, {"required": True}),
    ]


def test_a_guest_is_asked_where_the_guest_works(tenancy: Tenancy, clock: Clock) -> None:
    olga = signed_in(tenancy, "olga")
    _turn_on(tenancy, olga, clock)
    invited = tenancy.invitations.create(A, "viewer", note="bob", days=1, by=olga)
    tenancy.invitations.join(invited.secret, signed_in(tenancy, "bob"))
    tenancy.tenants.require_second_factor(A, True, by=olga)
    at_home = tenancy.sessions.sign_in("bob", PASSWORD, hours=1)
    assert at_home.identity.may("people:write")
    away = tenancy.sessions.switch(at_home.identity, A)
    assert away.identity.unproved and not away.identity.may("vehicles:read")
    assert tenancy.sessions.switch(away.identity, B).identity.may("people:write")
