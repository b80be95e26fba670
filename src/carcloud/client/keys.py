"""Methods of API keys and short-lived tokens."""

from collections.abc import Sequence

import msgspec

from carcloud.client.access_types import Key, KeyMade, Token
from carcloud.client.exchange import Call, nothing, send, whole
from carcloud.client.methods import AsyncGroup, Group, call


class NewKey(msgspec.Struct, frozen=True, omit_defaults=True):
    """The body of a new key."""

    name: str
    user: str | None = None
    actions: Sequence[str] | None = None
    project: str | None = None
    days: float | None = None


class NewToken(msgspec.Struct, frozen=True):
    """The body of a token."""

    minutes: float
    actions: Sequence[str] | None


class _Keys:
    @call
    def list(self, *, mine: bool = False) -> Call[tuple[Key, ...]]:
        """Keys with their last use: of the tenant, or one's own."""
        return whole("/v1/keys", Key, mine=mine)

    @call
    def create(
        self,
        name: str,
        *,
        user: str | None = None,
        actions: Sequence[str] | None = None,
        project: str | None = None,
        days: float | None = None,
    ) -> Call[KeyMade]:
        """A key for oneself or for the service account `user`; its secret is told this once."""
        return send("POST", "/v1/keys", KeyMade, body=NewKey(name, user, actions, project, days))

    @call
    def revoke(self, key: str) -> Call[None]:
        """A key is refused everywhere within a second."""
        return nothing("DELETE", "/v1/keys/{key}", place={"key": key})

    @call
    def token(self, *, minutes: float = 15, actions: Sequence[str] | None = None) -> Call[Token]:
        """A token for minutes, for whom the key itself is not meant."""
        return send("POST", "/v1/tokens", Token, body=NewToken(minutes, actions))


class KeyGroup(Group, _Keys):
    """`client.keys`"""


class AsyncKeyGroup(AsyncGroup, _Keys):
    """`client.keys`"""
