"""Asking an OpenID Connect provider over HTTPS. Calls block, and are bounded in time and size."""

from collections.abc import Mapping
from typing import Any, Protocol


class ProviderFailed(Exception):
    """The provider cannot be reached, may not be asked, or answered with nonsense."""


class ProviderRefused(Exception):
    """The provider understood and refused; the message is its error code."""


class ProviderWeb(Protocol):
    """What signing in at a provider asks over the network."""

    def get(self, url: str) -> Mapping[str, Any]:
        """The JSON object at an address; raises `ProviderFailed`."""

    def post(
        self, url: str, form: Mapping[str, str], user: tuple[str, str] | None
    ) -> Mapping[str, Any]:
        """The JSON object that answers a form, with basic authentication as `user`; raises
        `ProviderFailed`, `ProviderRefused`."""
