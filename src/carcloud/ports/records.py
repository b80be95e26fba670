"""The records port: small, related, transactional data, in SQLAlchemy Core's language."""

from contextlib import AbstractContextManager
from typing import Protocol

from sqlalchemy import Connection, MetaData


class Turn(Protocol):
    """The right to do a piece of work alone."""

    def held(self) -> bool:
        """Whether it is still ours: a database that was away may have given it to another."""

    def end(self) -> None:
        """Give it back."""


class Records(Protocol):
    """Calls block; they are short. Methods raise `Unavailable`, `Full` or `Conflict`."""

    def create(self, metadata: MetaData) -> None:
        """Make the tables that do not exist yet."""

    def transaction(self) -> AbstractContextManager[Connection]:
        """A connection whose changes are kept, all or none, when the block ends well.

        A unique or foreign-key violation leaves the block as `Conflict`.
        """

    def reading(self) -> AbstractContextManager[Connection]:
        """A connection for SELECTs that sees one state and never waits for a writer."""

    def version_at_hand(self) -> int | None:
        """A number that grows with every change of a versioned table (`info={"versioned": True}`),
        by this process or another; None = it takes `version`, which may wait.

        What this process has changed is always in it; what another has, 50 ms later at most.
        """

    def version(self) -> int:
        """The number as it is now."""

    def turn(self, name: str) -> Turn | None:
        """The turn at work that one process of the installation does; None while another has it.

        It ends with `Turn.end`, and with the process or its machine.
        """

    def scrub(self) -> None:
        """Nothing that was deleted is left in the files of an embedded database when this
        returns; a database server is asked to give the room of deleted rows free."""

    def close(self) -> None:
        """Give all connections back."""
