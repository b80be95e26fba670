"""Methods of frames that could not be read."""

import msgspec

from carcloud.client.exchange import Call, Listing, get, send, shaped
from carcloud.client.methods import AsyncGroup, Group, call, many
from carcloud.client.types import BulkOutcome, DeadLetter, DeadLetterPage, Outcome, Reason

_ALL = "/v1/dead-letters"
_ONE = "/v1/dead-letters/{letter}"


class How(msgspec.Struct, frozen=True):
    """The body of one reprocessing."""

    force: bool


class Which(msgspec.Struct, frozen=True):
    """The body of many reprocessings."""

    reason: str | None


class _DeadLetters:
    @many
    def list(
        self, *, reason: str | None = None, vehicle: str | None = None, limit: int | None = None
    ) -> Listing[DeadLetter]:
        """Letters, newest first; of a text or kind of reason, of a claimed vehicle."""
        return Listing(get(_ALL, DeadLetterPage, reason=reason, vehicle=vehicle), limit)

    @call
    def reasons(self) -> Call[tuple[Reason, ...]]:
        """The kinds of reasons of all letters that wait, with their counts."""
        return shaped(get(_ALL, DeadLetterPage, limit=1), lambda page: page.reasons)

    @call
    def get(self, letter: str) -> Call[DeadLetter]:
        """One letter."""
        return get(_ONE, DeadLetter, place={"letter": letter})

    @call
    def reprocess(self, letter: str, *, force: bool = False) -> Call[Outcome]:
        """Read one again; `force` takes what the gateway refused for who sent it or when."""
        place = {"letter": letter}
        return send("POST", f"{_ONE}/reprocess", Outcome, place=place, body=How(force))

    @call
    def reprocess_all(self, reason: str | None = None) -> Call[BulkOutcome]:
        """Read all again, or those of one reason."""
        return send("POST", f"{_ALL}/reprocess", BulkOutcome, body=Which(reason))


class DeadLetterGroup(Group, _DeadLetters):
    """`client.dead_letters`"""


class AsyncDeadLetterGroup(AsyncGroup, _DeadLetters):
    """`client.dead_letters`"""
