"""What OpenID Connect providers publish of themselves: discovery document and keys."""

import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit

from carcloud.ports.openid import ProviderFailed, ProviderWeb

METHODS = "token_endpoint_auth_methods_supported"
_KNOWN_S = 600  # for which it is remembered
_ANEW_S = 30  # at most so often for a key that is not known
_AWAY_S = 10  # for which one that failed is not asked again
_MOST = 200  # providers


class ProviderFacts:
    """What providers publish of themselves, remembered for a while; safe in many threads."""

    def __init__(self, web: ProviderWeb | None) -> None:
        self._web = web
        self._known: dict[str, tuple[float, Mapping[str, Any]]] = {}
        self._keys: dict[str, tuple[float, Mapping[str, Any]]] = {}
        self._away: dict[str, tuple[float, str]] = {}
        self._turn = threading.Lock()

    @property
    def web(self) -> ProviderWeb:
        """The network; raises `ProviderFailed` where the process has none."""
        if self._web is None:
            raise ProviderFailed("this process asks no providers")
        return self._web

    def of(self, issuer: str) -> Mapping[str, Any]:
        """The discovery document; raises `ProviderFailed`."""
        with self._turn:
            at, facts = self._known.get(issuer, (0.0, {}))
        if facts and time.monotonic() - at < _KNOWN_S:
            return facts
        with self._failing(issuer):
            facts = self.web.get(f"{issuer.rstrip('/')}/.well-known/openid-configuration")
            _check(facts, issuer)
        self._keep(self._known, issuer, facts)
        return facts

    def keys(self, issuer: str, *, anew: bool = False) -> Mapping[str, Any]:
        """Its JWK set; `anew`: asked again, unless that was just done."""
        with self._turn:
            at, found = self._keys.get(issuer, (0.0, {}))
        if found and time.monotonic() - at < (_ANEW_S if anew else _KNOWN_S):
            return found
        place = self.of(issuer)["jwks_uri"]
        with self._failing(issuer):
            found = self.web.get(place)
        self._keep(self._keys, issuer, found)
        return found

    @contextmanager
    def _failing(self, issuer: str) -> Iterator[None]:
        """Remembers that a provider failed, and fails at once for a while after that."""
        with self._turn:
            at, why = self._away.get(issuer, (float("-inf"), ""))
        if time.monotonic() - at < _AWAY_S:
            raise ProviderFailed(why)
        try:
            yield
        except ProviderFailed as error:
            self._keep(self._away, issuer, str(error))
            raise

    def _keep(self, where: dict[str, Any], issuer: str, what: Any) -> None:
        with self._turn:
            where[issuer] = (time.monotonic(), what)
            while len(where) > _MOST:
                where.pop(next(iter(where)))


def _check(facts: Mapping[str, Any], issuer: str) -> None:
    """Raises `ProviderFailed` for what cannot be worked with (OpenID Connect Discovery 1.0 §3)."""
    if facts.get("issuer") != issuer:
        raise ProviderFailed(f"{issuer} says that it is {str(facts.get('issuer'))[:100]!r}")
    for name in ("authorization_endpoint", "token_endpoint", "jwks_uri"):
        if not _is_url(facts.get(name), issuer):
            raise ProviderFailed(f"{issuer} tells no good {name}")
    methods = facts.get(METHODS, [])
    if not isinstance(methods, list) or not all(isinstance(one, str) for one in methods):
        raise ProviderFailed(f"{issuer} tells no good {METHODS}")


def _is_url(text: object, issuer: str) -> bool:
    """Whether it is an address that is as safe as that of the issuer."""
    if not isinstance(text, str) or not text.isprintable():
        return False
    parts, ours = urlsplit(text), urlsplit(issuer)
    return bool(parts.hostname) and parts.scheme in ("https", ours.scheme) and not parts.fragment
