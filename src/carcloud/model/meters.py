"""The table of meters: what is counted for each tenant, and in what.

A quantity is a whole number of `counted_in`, so that sums are exact to the unit and no float
ever stands between a count and a bill. What a person reads and a price is for is `unit`:
`quantity / per_unit`.
"""

from dataclasses import dataclass
from enum import StrEnum


class Adds(StrEnum):
    """How the quantities of a meter become the total of an hour."""

    EVENTS = "events"  # each quantity happened once: they are added
    TIME = "time"  # a size or a presence times how long it lasted: they are added too


@dataclass(frozen=True, slots=True)
class Meter:
    """One row of the table."""

    name: str
    unit: str  # of prices and pages
    counted_in: str  # of quantities
    per_unit: int  # quantities in a unit
    adds: Adds
    help: str


METERS: tuple[Meter, ...] = (
    Meter("vehicle_hours", "h", "s", 3_600, Adds.TIME, "Time that vehicles are connected"),
    Meter("messages", "message", "message", 1, Adds.EVENTS, "Frames received from vehicles"),
    Meter("message_bytes", "GB", "B", 10**9, Adds.EVENTS, "Bytes of those frames"),
    Meter(
        "lake_bytes_hours", "GB h", "B h", 10**9, Adds.TIME, "Bytes held in the tables of the lake"
    ),
    Meter("query_seconds", "s", "ms", 1_000, Adds.TIME, "Time that SQL queries run"),
    Meter("query_bytes", "GB", "B", 10**9, Adds.EVENTS, "Bytes of lake files that queries read"),
    Meter("api_requests", "request", "request", 1, Adds.EVENTS, "HTTP requests of the API"),
    Meter("api_bytes_out", "GB", "B", 10**9, Adds.EVENTS, "Bytes of the answers of the API"),
    Meter("storage_bytes_hours", "GB h", "B h", 10**9, Adds.TIME, "Bytes held in buckets"),
    Meter("storage_requests", "request", "request", 1, Adds.EVENTS, "Requests to buckets"),
    Meter("storage_bytes_out", "GB", "B", 10**9, Adds.EVENTS, "Bytes read from buckets"),
    Meter("compute_seconds", "core s", "core ms", 1_000, Adds.TIME, "Cores used by jobs"),
    Meter("ota_bytes", "GB", "B", 10**9, Adds.EVENTS, "Bytes of updates sent to vehicles"),
    Meter(
        "recommendation_requests",
        "request",
        "request",
        1,
        Adds.EVENTS,
        "Requests for recommendations",
    ),
)

METER = {meter.name: meter for meter in METERS}
