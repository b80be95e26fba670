"""Numbers that a process counts of itself: labelled names and histograms, as in Prometheus."""

from bisect import bisect_left
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field


def labelled(name: str, **labels: str) -> str:
    """`name{label="value"}`, the key of one figure of a family."""
    inner = ",".join(f'{key}="{_escaped(value)}"' for key, value in labels.items())
    return f"{name}{{{inner}}}"


def by_label(name: str, label: str, counts: Mapping[str, float]) -> dict[str, float]:
    """One figure for each value of a label."""
    return {labelled(name, **{label: value}): count for value, count in counts.items()}


@dataclass(slots=True)
class Histogram:
    """Counts of values by upper bound; the last count is of values above all bounds."""

    bounds: tuple[float, ...]
    counts: list[int] = field(init=False)
    total: float = 0.0  # sum of all values

    def __post_init__(self) -> None:
        self.counts = [0] * (len(self.bounds) + 1)

    def observe(self, value: float) -> None:
        """Count one value."""
        self.counts[bisect_left(self.bounds, value)] += 1
        self.total += value

    def observe_ages(self, moments_us: Sequence[int], now_us: int) -> None:
        """Count the ages in seconds of moments that ascend: cheap for many at once."""
        counted = 0
        for index, bound in enumerate(self.bounds):
            young = len(moments_us) - bisect_left(moments_us, now_us - int(bound * 1e6))
            self.counts[index] += young - counted
            counted = young
        self.counts[-1] += len(moments_us) - counted
        self.total += (len(moments_us) * now_us - sum(moments_us)) / 1e6

    def figures(self, name: str, **labels: str) -> dict[str, float]:
        """The samples of the family: `_bucket` cumulative by `le`, `_sum`, `_count`."""
        samples, counted = {}, 0
        for bound, count in zip((*self.bounds, float("inf")), self.counts, strict=True):
            counted += count
            le = "+Inf" if bound == float("inf") else f"{bound:g}"
            samples[labelled(f"{name}_bucket", **labels, le=le)] = float(counted)
        for part, value in (("sum", self.total), ("count", float(counted))):
            key = f"{name}_{part}"
            samples[labelled(key, **labels) if labels else key] = value
        return samples


def _escaped(value: str) -> str:
    return value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
