"""Every figure is in the table of metrics, every metric is really told, every limit has one."""

import math
import re
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from carcloud.config import SETTINGS
from carcloud.model.figures import Histogram, by_label
from carcloud.services.telemetry.api import METRICS
from carcloud.services.telemetry.metrics import family
from tests.operation.conftest import Running

KNOWN = {metric.name: metric for metric in METRICS}
NOT_LIMITS = (
    r"gateway\.(gbt32960\.(?!reissue)|auto_register|tenant|processes)",  # no bounds
    r"gateway\.(jt808|mqtt)\.(host|port|tls_)",
    r"ingest\.(?!commit|dedup)",
    r"stream\.(port|url|user|password_file|replicas)",
)


def plain(name: str) -> str:
    """A parsed family's name as the table has it: the parser drops `_total`."""
    short = name.removeprefix("carcloud_")
    return short if short in KNOWN else f"{short}_total"


def test_what_is_told_and_what_is_documented_are_the_same(cloud: Running):
    assert cloud.simulate(vehicles=5, reports=15).acknowledged >= 15
    cloud.client.get("/v1/vehicles")
    cloud.client.post("/v1/query", json={"sql": "SELECT 1 AS one"})
    wanted = {m.name for m in METRICS if not m.labels} | {"http_requests_total", "http_seconds"}

    def told() -> dict:
        text = cloud.client.get("/metrics").text
        return {plain(one.name): one for one in text_string_to_metric_families(text)}

    def value(name: str) -> float:
        """Not a number where no process that is known has told it."""
        samples = (sample for one in told().values() for sample in one.samples)
        return next((sample.value for sample in samples if sample.name == name), math.nan)

    cloud.until(lambda: value("carcloud_queries_total") >= 1)
    cloud.until(lambda: value("carcloud_commit_frames_sum") >= 10)
    cloud.until(lambda: value("carcloud_lag_frames") < 20)
    found: dict[str, Any] = {}
    cloud.until(lambda: found.update(told()) or wanted <= found.keys())
    assert found.keys() <= KNOWN.keys(), "add them to services/telemetry/metrics.py"
    for name, one in found.items():
        metric = KNOWN[name]
        assert one.type == metric.kind, name
        assert one.documentation == metric.help
        labels = set().union(*(sample.labels for sample in one.samples))
        assert labels - {"role", "instance", "le"} == set(metric.labels), name
        roles = {sample.labels["role"] for sample in one.samples if "role" in sample.labels}
        assert roles <= (set(metric.roles) or {"gateway", "ingest", "web", "jobs"}), name
    cloud.until(lambda: value("carcloud_ack_seconds_count") >= 10)
    cloud.until(lambda: value("carcloud_stream_up") == 1)


def test_every_metric_is_documented():
    text = (Path(__file__).parents[2] / "docs" / "operations.md").read_text()
    assert not [name for name in KNOWN if f"`carcloud_{name}`" not in text], "run ./dev docs"


def test_every_limit_has_a_metric():
    limits = {
        setting.name
        for setting in SETTINGS
        if re.match(r"(gateway|ingest|query|disk|stream)\.", setting.name)
        and not any(re.match(pattern, setting.name) for pattern in NOT_LIMITS)
    }
    watched = {name for metric in METRICS for name in metric.settings}
    assert not limits - watched, "name them in services/telemetry/metrics.py"
    assert watched <= {setting.name for setting in SETTINGS}


def test_histograms_count_values_and_ages_alike():
    ages, values = Histogram((0.01, 0.1, 1.0)), Histogram((0.01, 0.1, 1.0))
    now, moments = 10_000_000, [1_000_000, 9_000_000, 9_900_001, 9_990_000, 9_999_999]
    ages.observe_ages(moments, now)
    for moment in moments:
        values.observe((now - moment) / 1e6)
    assert ages.counts == values.counts == [2, 1, 1, 1]
    assert ages.total == pytest.approx(values.total)
    told = ages.figures("x", route="r")
    assert told['x_bucket{route="r",le="0.1"}'] == 3
    assert told['x_bucket{route="r",le="+Inf"}'] == told['x_count{route="r"}'] == 5
    assert family('ack_seconds_bucket{le="1"}') == "ack_seconds"
    assert by_label("a", "b", {'say "hi"': 1}) == {'a{b="say \\"hi\\""}': 1}
