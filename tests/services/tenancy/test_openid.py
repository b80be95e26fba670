"""Signing in at a real OpenID Connect provider on loopback, and what a hostile one can try.

The provider is `oidc-provider-mock`, which serves Authlib's own server. `Tampering` stands
between it and carcloud where a test needs a token that no honest provider would send.
"""

import base64
import hashlib
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, quote, urlsplit

import httpx
import jwt
import oidc_provider_mock
import pytest
from cryptography.hazmat.primitives.asymmetric import rsa

from carcloud.engines.openid_http import OpenIdHttp
from carcloud.engines.records_sql import SqlRecords
from carcloud.model.time import now_us
from carcloud.services.tenancy import id_tokens, throttle, totp
from carcloud.services.tenancy.api import (
    INSTALLATION,
    SYSTEM,
    AuditFilter,
    Client,
    Denied,
    Exists,
    Identity,
    Invalid,
    NotSignedIn,
    ProviderRules,
    Session,
    SignInBegun,
    SignInRefused,
    Tenancy,
    TenantState,
    Throttled,
    Unknown,
)
from tests.services.tenancy import pkce_provider
from tests.services.tenancy.conftest import PASSWORD, QUICK, A, B, signed_in

CALLBACK = "http://cloud.example/v1/session/openid/callback"
HERE = Client("192.0.2.1")
OTHER_KEY = rsa.generate_private_key(public_exponent=65537, key_size=2048)
Change = Callable[[dict[str, Any]], Mapping[str, Any] | str]


@dataclass
class Tampering:
    """The network of carcloud, which may change what goes and the ID token that comes."""

    real: OpenIdHttp = field(default_factory=lambda: OpenIdHttp(private=True))
    change: Change | None = None
    verifier: str | None = "its own"  # of PKCE; None = sent none
    forms: list[Mapping[str, str]] = field(default_factory=list)

    def get(self, url: str) -> Mapping[str, Any]:
        return self.real.get(url)

    def post(
        self, url: str, form: Mapping[str, str], user: tuple[str, str] | None
    ) -> Mapping[str, Any]:
        if self.verifier != "its own":
            form = {k: v for k, v in form.items() if k != "code_verifier"}
            form |= {} if self.verifier is None else {"code_verifier": self.verifier}
        self.forms.append(form)
        told = dict(self.real.post(url, form, user))
        if self.change is not None:
            claims = jwt.decode(told["id_token"], options={"verify_signature": False})
            changed = self.change(claims)
            if not isinstance(changed, str):
                changed = jwt.encode(dict(changed), OTHER_KEY, "RS256")
            told["id_token"] = changed
        return told


@dataclass
class Site:
    """A tenancy, the provider, and a person's browser."""

    tenancy: Tenancy
    web: Tampering
    issuer: str
    client: tuple[str, str]
    asked: dict[str, str] = field(default_factory=dict)  # of the provider, in the last sign-in

    def provider(self, **rules: Any) -> None:
        """The provider `idp` of tenant A."""
        self.set(A, "idp", ProviderRules(**rules))

    def set(self, tenant: Any, name: str, rules: ProviderRules = ProviderRules()) -> None:
        self.tenancy.providers.set(
            tenant, name, name="Login", issuer=self.issuer, client=self.client[0],
            secret=self.client[1], rules=rules, by=SYSTEM,
        )  # fmt: skip

    def person(self, sub: str, **claims: Any) -> None:
        told = {"email_verified": True, **claims}
        httpx.put(f"{self.issuer}/users/{quote(sub)}", json=told).raise_for_status()

    def went(self, sub: str, provider: str = "idp", **more: Any) -> tuple[str, dict[str, str]]:
        """Go to the provider and sign in: the ticket, and what the browser brings back."""
        begun = self.tenancy.openid.begin(provider, CALLBACK, client=HERE, **more)
        return self._gone(sub, begun)

    def connecting(
        self, sub: str, who: Identity, provider: str = "idp", **more: Any
    ) -> tuple[str, dict[str, str]]:
        """As `went`, to connect somebody's account."""
        given = {"password": PASSWORD, "code": None, "back": "/account", "client": HERE, **more}
        return self._gone(sub, self.tenancy.openid.connect(who, provider, CALLBACK, **given))

    def _gone(self, sub: str, begun: SignInBegun) -> tuple[str, dict[str, str]]:
        self.asked = {k: v[0] for k, v in parse_qs(urlsplit(begun.url).query).items()}
        answer = httpx.post(begun.url, data={"sub": sub})
        assert answer.status_code == 302, answer.text
        back = answer.headers["location"]
        assert back.startswith(CALLBACK)
        return begun.ticket, {k: v[0] for k, v in parse_qs(urlsplit(back).query).items()}

    def finish(self, ticket: str | None, query: Mapping[str, str]) -> Session | None:
        done = self.tenancy.openid.finish(ticket, query, hours=1, client=HERE)
        return done.session

    def proposed(self, ticket: str, query: Mapping[str, str]) -> str:
        """What somebody who wanted to connect comes back with."""
        done = self.tenancy.openid.finish(ticket, query, hours=1, client=HERE)
        assert done.session is None and done.proposal is not None
        return done.proposal

    def connect(self, who: Identity, sub: str, **more: Any) -> None:
        """All of it: there, back, and yes."""
        proposal = self.proposed(*self.connecting(sub, who, **more))
        self.tenancy.connections.confirm(who, proposal)

    def disconnect(self, who: Identity) -> None:
        self.tenancy.connections.end(who, PASSWORD, None, client=HERE)

    def sign_in(self, sub: str, provider: str = "idp", **more: Any) -> Session:
        session = self.finish(*self.went(sub, provider, **more))
        assert session is not None
        return session

    def refused(self, why: str, ticket: str | None, query: Mapping[str, str]) -> None:
        """The sign-in is refused for this reason, and the audit says so."""
        with pytest.raises(SignInRefused) as told:
            self.finish(ticket, query)
        assert told.value.why == why, told.value
        if why not in ("no-ticket", "too-late"):
            entry = self.tenancy.trail.page(A, AuditFilter(denied=True)).items[0]
            assert (entry.action, dict(entry.after or {})["why"]) == ("session.begin", why)


@pytest.fixture(scope="module")
def issuer() -> Iterator[str]:
    with oidc_provider_mock.run_server_in_thread(require_client_registration=True) as server:
        yield f"http://localhost:{server.server_port}"


@pytest.fixture
def site(issuer: str, tmp_path: Path) -> Iterator[Site]:
    records = SqlRecords(f"sqlite:///{tmp_path / 'records.sqlite'}")
    web = Tampering()
    tenancy = Tenancy(records, secret=bytes(32), passwords=QUICK, provider_web=web)
    for tenant, owner in ((A, "olga"), (B, "bob")):
        tenancy.tenants.ensure(tenant)
        tenancy.people.create(tenant, owner, PASSWORD, "owner", by=SYSTEM)
    made = httpx.post(f"{issuer}/oauth2/clients", json={"redirect_uris": [CALLBACK]}).json()
    yield Site(tenancy, web, issuer, (made["client_id"], made["client_secret"]))
    records.close()


def test_a_first_sign_in_makes_a_user_where_that_is_allowed(site: Site) -> None:
    site.provider(creates=True, role="viewer", claim="groups", roles={"drivers": "operator"})
    site.person("s-1", email="Ann@Example.com", groups=["drivers", "others"])
    session = site.sign_in("s-1", back="/vehicles")
    assert (session.identity.user, session.identity.tenant) == ("ann@example.com", A)
    assert session.identity.may("vehicles:write")  # by the claim
    assert site.tenancy.sessions.identify(session.token).user == "ann@example.com"
    [user] = [one for one in site.tenancy.people.all(A) if one.name == "ann@example.com"]
    assert user.external
    assert site.sign_in("s-1").identity.user == "ann@example.com"  # and again, the same one
    site.person("s-2", email="nob@example.com")
    assert not site.sign_in("s-2").identity.may("vehicles:write")  # the role for everybody
    assert len(site.tenancy.people.all(A)) == 3


def test_the_code_is_bound_by_pkce_and_the_secret_of_the_client_is_checked(site: Site) -> None:
    site.provider(creates=True, role="viewer")
    site.person("s-3", preferred_username="cleo")
    ticket, query = site.went("s-3")
    assert site.asked["code_challenge_method"] == "S256"
    assert len({site.asked[one] for one in ("state", "nonce", "code_challenge")}) == 3
    site.finish(ticket, query)
    verifier = site.web.forms[-1]["code_verifier"].encode()
    assert len(verifier) >= 43
    hashed = base64.urlsafe_b64encode(hashlib.sha256(verifier).digest()).decode().rstrip("=")
    assert hashed == site.asked["code_challenge"]
    site.client = (site.client[0], "not the secret")
    site.provider(creates=True, role="viewer")
    site.refused("provider-refused", *site.went("s-3"))


def test_a_provider_that_asks_for_pkce_lets_in_who_holds_the_verifier(site: Site) -> None:
    """Its refusals show that it checks: of no verifier, and of the verifier of another sign-in."""
    with pkce_provider.running() as issuer:
        site.tenancy.providers.set(
            A, "strict", name="Strict", issuer=issuer, client="carcloud", secret="",
            rules=ProviderRules(creates=True, role="viewer"), by=SYSTEM,
        )  # fmt: skip
        assert site.sign_in("nina", "strict").identity.user == "nina"
        first = site.web.forms[-1]["code_verifier"]
        for verifier in (None, first):
            site.web.verifier = verifier
            site.refused("provider-refused", *site.went("nina", "strict"))
        site.web.verifier = "its own"
        assert site.sign_in("nina", "strict").identity.user == "nina"
        assert site.web.forms[-1]["code_verifier"] != first


def test_an_answer_works_once_and_for_its_own_sign_in(site: Site) -> None:
    site.provider(creates=True, role="viewer")
    site.person("s-4", preferred_username="dora")
    ticket, query = site.went("s-4")
    other, theirs = site.went("s-4")
    site.refused("no-ticket", None, query)
    site.refused("no-ticket", "bm90IHNlYWxlZCBieSBjYXJjbG91ZCBhdCBhbGwsIHJlYWxseQ==", query)
    for why, answer in (
        ("wrong-state", theirs),
        ("wrong-state", {"code": query["code"]}),
        ("bad-token", {"iss": "https://evil.example"}),
        ("provider-refused", {"error": "access_denied"}),
    ):
        lost, mine = site.went("s-4")
        site.refused(why, lost, answer if why == "wrong-state" else {**mine, **answer})
        site.refused("used", lost, mine)  # a ticket is for one answer, good or bad
    assert site.finish(ticket, query) is not None
    site.refused("used", ticket, query)
    replayed = {**theirs, "code": query["code"]}  # a stolen code in a fresh sign-in
    site.refused("provider-refused", other, replayed)


def _signed_by_another(claims: dict[str, Any]) -> Mapping[str, Any]:
    return claims


def _unsigned(claims: dict[str, Any]) -> str:
    return jwt.encode(claims, None, "none")


def _by_shared_secret(claims: dict[str, Any]) -> str:
    return jwt.encode(claims, "k" * 32, "HS256")


@pytest.mark.parametrize("change", [_signed_by_another, _unsigned, _by_shared_secret])
def test_a_token_that_the_provider_did_not_sign_is_refused(site: Site, change: Change) -> None:
    site.provider(creates=True, role="viewer")
    site.person("s-5", preferred_username="eve")
    site.web.change = change
    site.refused("bad-token", *site.went("s-5"))
    assert "eve" not in {one.name for one in site.tenancy.people.all(A)}


@pytest.mark.parametrize(
    "changed",
    [
        {"nonce": "another"},
        {"nonce": None},
        {"aud": "another-client"},
        {"aud": ["another-client"]},
        {"azp": "another-client"},
        {"iss": "https://evil.example"},
        {"exp": 1_000_000_000},
        {"exp": None},
        {"iat": 32_503_680_000},
        {"sub": ""},
        {"sub": 7},
    ],
    ids=str,
)
def test_a_token_with_wrong_claims_is_refused(
    site: Site, changed: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Signed by a key that the provider publishes, as this test has it publish one more."""
    site.provider(creates=True, role="viewer")
    site.person("s-6", preferred_username="fred")
    public = json.loads(jwt.algorithms.RSAAlgorithm.to_jwk(OTHER_KEY.public_key()))
    real = site.web.real.get

    def get(url: str) -> Mapping[str, Any]:
        told = real(url)
        return {"keys": [{**public, "alg": "RS256", "kid": "more"}]} if "keys" in told else told

    monkeypatch.setattr(site.web, "get", get)

    def change(claims: dict[str, Any]) -> str:
        kept = {k: v for k, v in {**claims, **changed}.items() if v is not None}
        return jwt.encode(kept, OTHER_KEY, "RS256", headers={"kid": "more"})

    site.web.change = change
    site.refused("bad-token", *site.went("s-6"))
    changed.clear()
    assert site.finish(*site.went("s-6")) is not None  # so it was the claim


@pytest.mark.parametrize(
    ("header", "key"),
    [
        ({}, {"n": 5}),
        ({}, {"n": None, "e": {}}),
        ({}, {"n": "!", "e": "AQAB"}),
        ({}, {"kty": "EC", "crv": [], "alg": None}),
        ({"alg": "ES256"}, {"kty": "EC", "crv": "P-256", "x": "AA", "y": "AA", "alg": "ES256"}),
        ({"alg": "EdDSA"}, {"kty": "OKP", "crv": "Ed25519", "x": 1, "alg": "EdDSA"}),
        ({"alg": ["RS256"]}, {}),
        ({"kid": {"a": 1}}, {}),
        ({"crit": 7}, {}),
    ],
    ids=str,
)
def test_keys_and_headers_that_are_nonsense_are_refused(
    header: dict[str, Any], key: dict[str, Any]
) -> None:
    good = json.loads(jwt.algorithms.RSAAlgorithm.to_jwk(OTHER_KEY.public_key()))
    keys = {"keys": [{k: v for k, v in {**good, "alg": "RS256", **key}.items() if v is not None}]}
    parts = ({"alg": "RS256", "typ": "JWT", **header}, {"sub": "s"})
    encoded = [base64.urlsafe_b64encode(json.dumps(one).encode()).rstrip(b"=") for one in parts]
    _refused_token(b".".join([*encoded, b"AAAA"]).decode(), keys)


@pytest.mark.parametrize(
    "token",
    ["", ".", "..", "a.b.c", "\ud800", "é.é.é", "e30.e30.e30", "e30.e30", "bnVsbA.e30.",
     base64.urlsafe_b64encode(b"[" * 9000).decode() + "..", "W10.W10.AAAA"],
    ids=lambda token: ascii(token[:20]),
)  # fmt: skip
def test_tokens_that_are_none_are_refused(token: str) -> None:
    for keys in ({"keys": []}, {"keys": "x"}, {}, {"keys": [7, None, {}]}):
        _refused_token(token, keys)


@pytest.mark.parametrize("claim", ["exp", "iat", "nbf"])
@pytest.mark.parametrize("value", [float("inf"), float("nan"), "x", [], {}])
def test_times_that_are_none_are_refused(claim: str, value: object) -> None:
    public = json.loads(jwt.algorithms.RSAAlgorithm.to_jwk(OTHER_KEY.public_key()))
    claims = {"iss": "i", "sub": "s", "aud": "c", "exp": 4e9, "iat": 1, "nonce": "n", claim: value}
    _refused_token(jwt.api_jws.encode(json.dumps(claims).encode(), OTHER_KEY, "RS256"),
                   {"keys": [public]})  # fmt: skip


@pytest.mark.parametrize("nonce", ["\ud800", "é", 7, None, ["n"]], ids=ascii)
def test_nonces_that_are_none_are_refused(nonce: object) -> None:
    public = json.loads(jwt.algorithms.RSAAlgorithm.to_jwk(OTHER_KEY.public_key()))
    claims = {"iss": "i", "sub": "s", "aud": "c", "exp": 4e9, "iat": 1, "nonce": nonce}
    with pytest.raises(SignInRefused, match="another sign-in"):
        id_tokens.checked(jwt.encode(claims, OTHER_KEY, "RS256"), {"keys": [public]},
                          issuer="i", client="c", nonce="n")  # fmt: skip


def _refused_token(token: str, keys: Mapping[str, Any]) -> None:
    with pytest.raises((SignInRefused, id_tokens.UnknownKey)):
        id_tokens.checked(token, keys, issuer="i", client="c", nonce="n")


def test_a_secret_is_sent_to_no_provider_that_it_was_not_given_for(site: Site) -> None:
    site.provider()

    def change(secret: str | None = None, **more: str) -> None:
        now = {"name": "Login", "issuer": site.issuer, "client": site.client[0], **more}
        rules = ProviderRules()
        site.tenancy.providers.set(A, "idp", secret=secret, rules=rules, by=SYSTEM, **now)

    for changed in ({"issuer": "https://evil.example"}, {"client": "another"}):
        with pytest.raises(Invalid) as told:
            change(**changed)
        assert told.value.field == "client_secret"
    change(name="Other")  # the secret is kept
    assert site.tenancy.providers.all(A)[0].confidential
    change(secret="of the other", issuer="https://other.example")
    change(secret="", client="another")  # a public client
    change(issuer="https://third.example", client="another")  # which has nothing to lose
    assert not site.tenancy.providers.all(A)[0].confidential


def test_nobody_is_taken_for_a_user_because_of_an_address_or_name(site: Site) -> None:
    site.provider(creates=True, role="viewer")
    site.tenancy.people.create(A, "gina@example.com", PASSWORD, "owner", by=SYSTEM)
    site.person("s-7", email="gina@example.com")
    site.refused("name-taken", *site.went("s-7"))
    site.provider()
    site.refused("not-known", *site.went("s-7"))
    gina = signed_in(site.tenancy, "gina@example.com")
    site.connect(gina, "s-7")  # her own doing
    assert site.sign_in("s-7").identity.user == "gina@example.com"
    site.refused("identity-taken", *site.connecting("s-7", signed_in(site.tenancy, "olga")))
    site.disconnect(gina)
    site.refused("not-known", *site.went("s-7"))


def test_a_person_whose_tenant_is_suspended_is_sent_back_with_the_reason(site: Site) -> None:
    site.provider(creates=True, role="viewer")
    site.person("s-20", email="hana@example.com")
    site.sign_in("s-20")
    site.tenancy.tenants.set_state(A, TenantState.SUSPENDED, actor="root")
    site.refused("not-possible", *site.went("s-20"))


def test_connecting_takes_what_signing_in_takes(site: Site) -> None:
    """A session that somebody else got hold of is no way to keep the account."""
    site.provider()
    site.person("s-15")
    olga = signed_in(site.tenancy, "olga")
    with pytest.raises(Invalid) as told:
        site.connecting("s-15", olga, password="a wrong password")
    assert told.value.field == "password"
    token = site.tenancy.sessions.token(olga, minutes=5).identity
    with pytest.raises(Denied):
        site.connecting("s-15", token)
    secret = site.tenancy.second_factor.begin(olga, PASSWORD, issuer="x").secret
    now = totp.step_at(now_us())
    codes = [totp.code_at(base64.b32decode(secret.replace(" ", "")), now + n) for n in (0, 1)]
    site.tenancy.second_factor.confirm(olga, codes[0])
    for code in (None, "000000", codes[0]):  # the last one was used before
        with pytest.raises(Invalid) as told:
            site.connecting("s-15", olga, code=code)
        assert told.value.field == "code"
    refused = site.tenancy.trail.page(A, AuditFilter(action="user.connect", denied=True)).items
    assert len(refused) == 3  # the password, and two codes
    site.connect(olga, "s-15", code=codes[1])
    assert site.sign_in("s-15").identity.user == "olga"


def test_a_connected_account_is_not_connected_elsewhere(site: Site) -> None:
    site.provider()
    olga = signed_in(site.tenancy, "olga")
    trips = [site.connecting(sub, olga) for sub in ("s-16", "s-17", "s-19")]
    first, second = (site.proposed(*trip) for trip in trips[:2])
    site.tenancy.connections.confirm(olga, first)
    site.refused("not-possible", *trips[2])  # begun before, and too late
    with pytest.raises(Exists):
        site.tenancy.connections.confirm(olga, second)
    with pytest.raises(Exists):
        site.connecting("s-17", olga)
    assert site.sign_in("s-16").identity.user == "olga"


def test_only_the_session_that_began_connects_the_account(site: Site) -> None:
    """Whatever an attacker slips into a browser: nobody's identity joins another's account."""
    site.provider()
    site.tenancy.people.create(A, "pia", PASSWORD, "viewer", by=SYSTEM)
    olga, other, pia = (signed_in(site.tenancy, name) for name in ("olga", "olga", "pia"))
    proposal = site.proposed(*site.connecting("s-21", olga))
    told = site.tenancy.connections.state(olga, proposal)
    assert told.proposal is not None and told.proposal.provider == "idp"
    assert (told.connected, told.password, [one.id for one in told.offered]) == (
        False, True, ["idp"],
    )  # fmt: skip
    token = site.tenancy.sessions.token(olga, minutes=5).identity
    with pytest.raises(Denied):
        site.tenancy.connections.confirm(token, proposal)
    ticket, _ = site.connecting("s-21", olga)
    for who, given in ((pia, proposal), (other, proposal), (olga, ticket), (olga, None)):
        assert site.tenancy.connections.state(who, given).proposal is None
        with pytest.raises(Unknown):
            site.tenancy.connections.confirm(who, given)
    refused = site.tenancy.trail.page(A, AuditFilter(action="user.connect", denied=True)).items
    assert [one.actor for one in refused] == ["olga", "olga", "olga", "pia"]
    site.refused("not-known", *site.went("s-21"))
    site.tenancy.connections.confirm(olga, proposal)
    assert site.sign_in("s-21").identity.user == "olga"
    made = site.tenancy.trail.page(A, AuditFilter(action="user.connect", denied=False)).items[0]
    assert (made.actor, dict(made.after or {})["provider"]) == ("olga", "idp")
    told = site.tenancy.connections.state(olga, proposal)
    assert (told.connected, told.subject, told.proposal) == (True, "s-21", None)
    assert told.provider is not None and told.provider.id == "idp"


def test_an_account_is_disconnected_with_the_password_and_other_sessions_end(site: Site) -> None:
    site.provider()
    olga = signed_in(site.tenancy, "olga")
    proposal = site.proposed(*site.connecting("s-22", olga))
    site.tenancy.connections.confirm(olga, proposal)
    there = site.sign_in("s-22")
    with pytest.raises(Invalid) as told:
        site.tenancy.connections.end(olga, "a wrong password", None, client=HERE)
    assert told.value.field == "password"
    assert site.sign_in("s-22").identity.user == "olga"
    site.disconnect(olga)
    with pytest.raises(NotSignedIn):
        site.tenancy.sessions.identify(there.token)
    site.refused("not-known", *site.went("s-22"))
    with pytest.raises(Exists):  # it would not take the password again
        site.tenancy.connections.confirm(olga, proposal)
    told_of = AuditFilter(action="user.disconnect")
    assert [one.denied for one in site.tenancy.trail.page(A, told_of).items] == [False, True]


def test_who_gets_a_password_from_an_owner_signs_in_with_it_only(site: Site) -> None:
    site.provider(creates=True, role="viewer")
    site.person("s-18", preferred_username="lena")
    site.sign_in("s-18")
    site.tenancy.people.set_password(A, "lena", PASSWORD, by=SYSTEM)
    assert not site.tenancy.people.get(A, "lena").external
    site.refused("name-taken", *site.went("s-18"))
    site.disconnect(signed_in(site.tenancy, "lena"))  # nothing is left to do
    entry = site.tenancy.trail.page(A, AuditFilter(action="user.password")).items[0]
    assert dict(entry.before or {}) == {"external": True}


def test_one_address_leaves_and_comes_back_so_often_only(site: Site) -> None:
    site.provider()
    begin = site.tenancy.openid.begin
    ticket = begin("idp", CALLBACK, client=HERE).ticket
    with site.tenancy._desk.records.transaction() as db:
        for _ in range(throttle.PROVIDER_LIMIT - 1):
            throttle.count_provider(db, HERE.address, now_us())
    with pytest.raises(Throttled):
        begin("idp", CALLBACK, client=HERE)
    with pytest.raises(Throttled):
        site.finish(ticket, {})
    with pytest.raises(Throttled):
        site.connecting("s-1", signed_in(site.tenancy, "olga"))
    begin("idp", CALLBACK, client=Client("192.0.2.2"))


def test_an_invited_person_signs_in_at_the_provider(site: Site) -> None:
    olga = signed_in(site.tenancy, "olga")
    site.provider()
    site.person("s-8")
    made = site.tenancy.invitations.create(A, "operator", note="hal", days=1, by=olga)
    session = site.sign_in("s-8", invitation=made.secret, name="hal")
    assert session.identity.may("vehicles:write")
    assert site.sign_in("s-8").identity.user == "hal"
    with pytest.raises(Invalid):
        site.disconnect(session.identity)  # no other way in
    assert site.sign_in("s-8").identity.user == "hal"


def test_domains_and_verified_addresses(site: Site) -> None:
    site.provider(creates=True, role="viewer", domains=("example.com",))
    for sub, claims in (
        ("s-9", {"email": "ida@evil.example"}),
        ("s-10", {"email": "ida@example.com", "email_verified": False}),
        ("s-11", {"email": "ida@example.com.evil.example"}),
        ("s-12", {"preferred_username": "ida@example.com"}),
    ):
        site.person(sub, **claims)
        site.refused("wrong-domain", *site.went(sub))
    site.person("s-13", email="ida@EXAMPLE.com")
    assert site.sign_in("s-13").identity.user == "ida@example.com"


def test_a_provider_of_one_tenant_lets_nobody_into_another(site: Site) -> None:
    site.provider(creates=True, role="viewer")
    site.person("s-14", preferred_username="jill")
    site.sign_in("s-14")
    site.set(B, "theirs")
    with pytest.raises(SignInRefused, match="may not sign in"):
        site.finish(*site.went("s-14", "theirs"))
    bob = signed_in(site.tenancy, "bob")
    site.refused("kept-out", *site.connecting("s-14", bob))
    with pytest.raises(Exists):
        site.set(B, "idp")
    assert [one.id for one in site.tenancy.providers.all(B)] == ["theirs"]
    site.set(INSTALLATION, "all")
    assert site.sign_in("s-14", "all").identity.user == "jill"
    assert [one.id for one in site.tenancy.providers.shown()] == ["all"]
    with pytest.raises(Denied):
        site.tenancy.providers.remove(INSTALLATION, "all", by=bob)
    site.tenancy.people.set_disabled(A, "jill", True, by=SYSTEM)
    site.refused("kept-out", *site.went("s-14"))


@pytest.mark.parametrize(
    "back", ["//evil.example", "https://evil.example", "/\\evil.example", "", "x", "/a\nb", "/ b"]
)
def test_nobody_is_led_elsewhere(site: Site, back: str) -> None:
    site.provider()
    with pytest.raises(Invalid):
        site.tenancy.openid.begin("idp", CALLBACK, back=back, client=HERE)


def test_what_a_provider_may_be(site: Site) -> None:
    for wrong in (
        {"creates": True}, {"roles": {"a": "viewer"}}, {"domains": ("Example.com",)},
        {"creates": True, "role": "administrator"}, {"creates": True, "role": "nobody"},
    ):  # fmt: skip
        with pytest.raises(Invalid):
            site.provider(**wrong)
    with pytest.raises(Invalid):
        site.set(INSTALLATION, "all", ProviderRules(creates=True, role="viewer"))
    olga = signed_in(site.tenancy, "olga")
    with pytest.raises(Denied):
        site.tenancy.providers.set(
            INSTALLATION, "all", name="x", issuer=site.issuer, client="c", secret=None,
            rules=ProviderRules(), by=olga,
        )  # fmt: skip
    site.provider()
    told = site.tenancy.trail.page(A, AuditFilter(action="login-provider.set")).items
    assert site.client[1] not in str(told)
