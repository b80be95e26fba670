"""A frame's way as one trace, received by a real OTLP/HTTP receiver on loopback."""

import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from carcloud.app.tracing import open_tracing
from carcloud.config import InvalidSetting, Settings
from carcloud.model import blocks
from carcloud.model.ids import DEFAULT_TENANT
from carcloud.model.time import now_us
from tests.operation.conftest import running

pytest.importorskip("opentelemetry.proto")
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
)


class Received:
    """Spans by service and name."""

    def __init__(self) -> None:
        self.spans: list[tuple[str, object]] = []

    def take(self, body: bytes) -> None:
        request = ExportTraceServiceRequest.FromString(body)
        for resource in request.resource_spans:
            named = {a.key: a.value.string_value for a in resource.resource.attributes}
            for scope in resource.scope_spans:
                self.spans += [(named["service.name"], span) for span in scope.spans]

    def named(self, name: str) -> list:
        return [span for _, span in self.spans if span.name == name]


@contextmanager
def receiver() -> Iterator[tuple[str, Received]]:
    received = Received()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            received.take(self.rfile.read(int(self.headers["content-length"])))
            self.send_response(200)
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/v1/traces", received
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.mark.soak
def test_a_frame_is_one_trace_from_gateway_to_lake(tmp_path):
    with receiver() as (endpoint, received):
        traced = {"tracing__endpoint": endpoint, "tracing__sample": 1.0}
        with running(tmp_path, **traced) as cloud:
            sent = cloud.simulate().sent
            assert sent
            cloud.until(lambda: cloud.figure("frames_total", "gateway") >= sent)
            cloud.until(lambda: not cloud.figure("connections", "gateway"))
            taken = cloud.figure("frames_total", "gateway")
            cloud.until(lambda: cloud.figure("frames_total", "ingest") >= taken)
            cloud.until(lambda: received.named("ingest tell"))
    services = {name for name, _ in received.spans}
    assert services == {"carcloud-gateway", "carcloud-ingest"}
    roots = {span.span_id: span for span in received.named("gateway block")}
    assert roots and not any(span.parent_span_id for span in roots.values())
    batches = received.named("ingest batch")
    stored = set()
    for batch in batches:
        root = roots[batch.parent_span_id]
        assert batch.trace_id == root.trace_id
        assert batch.start_time_unix_nano >= root.start_time_unix_nano
        assert {link.span_id for link in batch.links} <= roots.keys()
        inside = {span.name for _, span in received.spans if span.parent_span_id == batch.span_id}
        if {"ingest decode", "ingest append frames", "ingest tell"} <= inside:  # not to be repeated
            stored |= {batch.parent_span_id, *(link.span_id for link in batch.links)}
    for wait in received.named("stream wait"):
        assert wait.trace_id == roots[wait.parent_span_id].trace_id
        assert wait.end_time_unix_nano >= wait.start_time_unix_nano
    assert stored == roots.keys()  # every traced block was followed to the lake
    parts = {span.name for _, span in received.spans if span.parent_span_id in roots}
    assert {"gateway pack", "gateway publish", "stream wait", "ingest batch"} <= parts


def test_a_context_survives_the_block():
    with receiver() as (endpoint, _):
        settings = Settings({"tracing.endpoint": endpoint, "tracing.sample": 1.0})
        tracing = open_tracing(settings, "gateway", "g1")
        span = tracing.tracer.begin("gateway block", now_us())
        assert span is not None
        data = blocks.pack(["V"], [1], [None], [b"x"], trace=span.context)
        block = blocks.unpack(DEFAULT_TENANT, "p", data)
        assert block.trace is not None
        assert block.trace.split(";")[0] == span.context.split(";")[0]
        assert block.frames.schema.metadata is None
        for strange in ("", "00-0-0-00;1", block.trace.upper(), "x" * 10_000):
            assert tracing.tracer.resume("ingest batch", [strange]) is None
        tracing.close()


def test_a_share_of_none_records_nothing():
    with receiver() as (endpoint, received):
        settings = Settings({"tracing.endpoint": endpoint, "tracing.sample": 0.0})
        tracing = open_tracing(settings, "gateway", "g1")
        assert all(tracing.tracer.begin("gateway block", now_us()) is None for _ in range(100))
        tracing.close()
        assert received.spans == []


def test_without_the_library_an_endpoint_refuses_to_start(monkeypatch):
    monkeypatch.setitem(sys.modules, "opentelemetry.sdk.trace", None)
    with pytest.raises(InvalidSetting, match=r"pip install 'carcloud\[tracing\]'"):
        open_tracing(Settings({"tracing.endpoint": "http://127.0.0.1:1"}), "web", "w1")
    with pytest.raises(InvalidSetting, match="between 0 and 1"):
        chosen = {"tracing.endpoint": "http://127.0.0.1:1", "tracing.sample": 7.0}
        open_tracing(Settings(chosen), "web", "w1")


def test_without_an_endpoint_the_library_is_not_loaded():
    code = (
        "import sys, carcloud.app.roles as r; from carcloud.config import Settings;"
        "r.open_tracing(Settings(), 'gateway', 'g'); print('opentelemetry' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
