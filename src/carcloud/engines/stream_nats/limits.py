"""Sizes that the embedded server and its clients agree on, in bytes."""

MAX_MESSAGE = 8 * 1024 * 1024  # largest message, header and data
MAX_PENDING = 256 * 1024 * 1024  # waiting for one slow client before the server drops it

EVENTS_BYTES = 256 * 1024 * 1024  # the newest events that are kept
POSITIONS_BYTES = 8 * 1024 * 1024  # one small message for each reader
USAGE_BYTES = 64 * 1024 * 1024  # usage that metering has not counted yet
SIDE_STREAMS_BYTES = EVENTS_BYTES + POSITIONS_BYTES + USAGE_BYTES
