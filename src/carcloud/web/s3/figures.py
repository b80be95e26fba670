"""Counters of the S3 interface of one process."""

from collections import Counter
from dataclasses import dataclass, field

from carcloud.model.figures import Histogram, labelled

_BOUNDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0)  # s


@dataclass(slots=True)
class S3Figures:
    """What was asked, how long it took, and who used how much."""

    requests: Counter[tuple[str, str]] = field(default_factory=Counter)  # by operation, status
    seconds: dict[str, Histogram] = field(default_factory=dict)  # to the answer, by operation
    bytes_in: int = 0
    bytes_out: int = 0
    of_tenants: dict[tuple[str, str], list[int]] = field(default_factory=dict)  # and project

    def count(self, operation: str, status: int, seconds: float, taken: int, sent: int) -> None:
        """One request was answered."""
        self.requests[operation, str(status)] += 1
        self.seconds.setdefault(operation, Histogram(_BOUNDS)).observe(seconds)
        self.bytes_in += taken
        self.bytes_out += sent

    def used(self, tenant: str, project: str, sent: int) -> None:
        """A tenant made a request and got bytes."""
        amounts = self.of_tenants.setdefault((tenant, project), [0, 0])
        amounts[0] += 1
        amounts[1] += sent

    def taken(self) -> dict[tuple[str, str], list[int]]:
        """(requests, bytes out) by tenant and project since the last call."""
        found, self.of_tenants = self.of_tenants, {}
        return found

    def counters(self) -> dict[str, float]:
        """As the process reports them."""
        told: dict[str, float] = {
            "s3_bytes_in_total": self.bytes_in,
            "s3_bytes_out_total": self.bytes_out,
        }
        for (operation, status), count in self.requests.items():
            told[labelled("s3_requests_total", operation=operation, status=status)] = count
        for operation, seconds in self.seconds.items():
            told |= seconds.figures("s3_seconds", operation=operation)
        return told
