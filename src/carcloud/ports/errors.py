"""Errors that an engine raises through its port, whatever library stands behind it."""


class EngineError(Exception):
    """An engine failed; `engine` names the role (stream, lake, records, blobs)."""

    engine = "engine"


class Unavailable(EngineError):
    """The engine cannot be reached or did not answer in time. Trying again may work."""


class Full(EngineError):
    """The engine has no room (disk or a configured limit). Trying again may work later."""


class Refused(EngineError):
    """The engine never takes this as it is. Trying again does not help."""


class NotFound(EngineError):
    """The named thing does not exist."""


class Conflict(EngineError):
    """Somebody else changed the thing first, or it exists already."""


class QueryRefused(Exception):
    """The SQL is not one read-only SELECT on the tenant's tables; `reason` is for the person."""


class QueryCancelled(Exception):
    """Somebody cancelled the query, or nobody waits for its answer any more."""


class QueryLimit(Exception):
    """The SQL ran into its limit of time or memory; the message says which, and the setting."""
