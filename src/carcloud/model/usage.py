"""Usage: what a tenant took of something, as every service tells metering.

Metering counts an `id` once, however often it is told. So where work can be repeated after a
crash, the id must follow from the work itself (`job-<id>-<attempt>`), never from a clock or a
random number. Many small amounts are added up in the process and told each few seconds: see
`services/metering/counter.py`, whose ids are `<process>:<number>` with numbers that only grow.
"""

import re
from collections.abc import Sequence

import msgspec

from carcloud.model.ids import Tenant
from carcloud.model.meters import METER
from carcloud.model.streams import usage_subject

DEFAULT_PROJECT = "main"

_NUMBERED = re.compile(r"(.+):(\d{1,18})")


class InvalidUsage(ValueError):
    """A usage that cannot be counted: no such meter, a quantity below zero, no id."""


class Usage(msgspec.Struct, frozen=True):
    """A quantity of one meter; the meter's row says what a quantity is counted in."""

    id: str  # unique in the tenant; the same work gives the same id
    tenant: Tenant
    meter: str
    quantity: int
    time_us: int  # when it was used: decides the hour, and so the statement
    subject: str = ""  # what used it: a job, a bucket, ...
    project: str = DEFAULT_PROJECT

    def __post_init__(self) -> None:
        if self.meter not in METER:
            raise InvalidUsage(f"there is no meter {self.meter!r}")
        if not 0 <= self.quantity < 2**62:
            raise InvalidUsage(f"{self.meter}: a quantity of {self.quantity}")
        if not 1 <= len(self.id) <= 120:
            raise InvalidUsage(f"{self.meter}: an id has 1 to 120 characters")

    @property
    def numbered(self) -> tuple[str, int] | None:
        """(process, number) of an id `<process>:<number>`; None for every other id."""
        found = _NUMBERED.fullmatch(self.id)
        return (found[1], int(found[2])) if found else None


class UsageMessage(msgspec.Struct, frozen=True):
    """What `stream.publish` takes, in its order."""

    subject: str
    data: bytes
    message_id: str


def usage_event(*usages: Usage) -> UsageMessage:
    """The message that tells metering of usages of one tenant."""
    first, *rest = usages
    if any(usage.tenant != first.tenant for usage in rest):
        raise InvalidUsage("one message is about one tenant")
    message_id = f"usage-{first.tenant}-{first.id}"
    return UsageMessage(usage_subject(first.tenant), msgspec.json.encode(usages), message_id)


def read_usage(tenant: Tenant, data: bytes) -> Sequence[Usage]:
    """The usages that `usage_event` wrote; raises `InvalidUsage`.

    `tenant` is that of the subject, which decides who pays.
    """
    try:
        usages = msgspec.json.decode(data, type=list[Usage])
    except (msgspec.MsgspecError, ValueError) as error:
        raise InvalidUsage(str(error)) from error
    if any(usage.tenant != tenant for usage in usages):
        raise InvalidUsage(f"a usage of another tenant on the subject of {tenant}")
    return usages
