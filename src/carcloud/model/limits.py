"""The table of quotas: how much of each thing a tenant may take, unless it has a value of its own.

`services/tenancy/limits.py` knows the tenants' own values. Whoever gives the thing away asks
there, and refuses with `OverLimit`.
"""

from dataclasses import dataclass
from enum import StrEnum

REQUESTS = "requests_per_second"
UNLIMITED = 2**63 - 1  # a value that nothing reaches; pages and the API say "no limit"


class Bound(StrEnum):
    """What a limit bounds."""

    AMOUNT = "amount"  # what exists: it stays until somebody removes something
    RUNNING = "running"  # what is going on at the same time
    RATE = "rate"  # in a second
    DAY = "day"  # in a UTC day


@dataclass(frozen=True, slots=True)
class Limit:
    """One row of the table."""

    name: str
    unit: str
    default: int
    bound: Bound
    help: str


LIMITS: tuple[Limit, ...] = (
    Limit("vehicles", "vehicle", 1_000_000, Bound.AMOUNT, "Vehicles that are not retired"),
    Limit("connections", "connection", 100_000, Bound.RUNNING, "Open connections of vehicles"),
    Limit(
        "frames_per_second", "frame/s", 200_000, Bound.RATE, "Frames from vehicles each second"
    ),
    Limit(
        "stored_bytes", "B", 10 * 10**12, Bound.AMOUNT, "Bytes in the lake and in buckets together"
    ),
    Limit("buckets", "bucket", 1_000, Bound.AMOUNT, "Buckets of object storage"),
    Limit("tables", "table", 100, Bound.AMOUNT, "Tables of the lake that jobs made"),
    Limit("query_seconds", "s/day", 36_000, Bound.DAY, "Time of SQL queries in a UTC day"),
    Limit("queries", "query", 3, Bound.RUNNING, "SQL queries that run at the same time; more wait"),
    Limit(
        "vehicle_message_bytes", "B", 1_000_000, Bound.AMOUNT,
        "Bytes of messages and documents that wait for one vehicle",
    ),
    Limit("jobs", "job", 20, Bound.RUNNING, "Jobs that run at the same time; more wait"),
    Limit("commands", "command", 10_000, Bound.RUNNING, "Commands to vehicles that have not ended"),
    Limit("campaigns", "campaign", 200, Bound.AMOUNT, "Campaigns that have not ended"),
    Limit("jobs_queued", "job", 10_000, Bound.RUNNING, "Jobs that wait or run"),
    Limit(
        "requests_per_second", "request/s", 2_000, Bound.RATE, "HTTP requests each second"
    ),
)  # fmt: skip

LIMIT = {limit.name: limit for limit in LIMITS}


class OverLimit(Exception):
    """A tenant wants more than it may have. `how` says what would help.

    HTTP answers 403 for amounts and 429 for all other bounds, as a problem with the code `quota`.
    """

    def __init__(
        self,
        limit: str,
        value: int,
        used: int,
        how: str = "",
        *,
        retry_after_s: int | None = None,
    ) -> None:
        """`retry_after_s` = seconds after which trying again makes sense, where time helps."""
        row = LIMIT[limit]
        self.limit = limit
        self.value = value
        self.used = used
        self.how = how or how_to_raise(limit)
        self.retry_after_s = retry_after_s
        super().__init__(
            f"the limit {limit} is {value} {row.unit}, and {used} are used. {self.how}"
        )

    @property
    def bound(self) -> Bound:
        """What the limit bounds."""
        return LIMIT[self.limit].bound


def how_to_raise(limit: str) -> str:
    """What to do when a limit is in the way."""
    if LIMIT[limit].bound is Bound.AMOUNT:
        first = "Remove some"
    elif LIMIT[limit].bound is Bound.DAY:
        first = "Wait for the next UTC day"
    else:
        first = "Wait"
    return (
        f"{first}, or ask the administrator of this installation for more: "
        f"carcloud quotas set TENANT {limit} VALUE"
    )


def check(limit: str, value: int, used: int, more: int = 1) -> None:
    """Raise `OverLimit` when `more` on top of `used` is above `value`."""
    if used + more > value:
        raise OverLimit(limit, value, used)
