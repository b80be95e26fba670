"""Traces of a frame's way over OTLP/HTTP: an option, and the only place that knows OpenTelemetry.

The libraries are loaded only when `tracing.endpoint` is set. A context between processes is the
W3C `traceparent`, a semicolon, and when it was made in microseconds since 1970.
"""

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

from carcloud.config import InvalidSetting, Settings
from carcloud.model.time import now_us
from carcloud.ports.tracing import NO_TRACER, Span, Tracer

if TYPE_CHECKING:
    from opentelemetry.context import Context
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.trace import Span as OtelSpan
    from opentelemetry.trace import SpanContext

_CONTEXT = re.compile(r"00-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2});(\d{1,17})")
_NO_LIBRARY = (
    "tracing.endpoint is set but OpenTelemetry is not installed: pip install 'carcloud[tracing]'"
)


class Tracing:
    """The tracer of a process, and what must be flushed when it ends."""

    def __init__(
        self, tracer: Tracer = NO_TRACER, provider: "TracerProvider | None" = None
    ) -> None:
        self.tracer = tracer
        self._provider = provider

    def close(self) -> None:
        """Send what is not sent yet; blocks a few seconds at most."""
        if self._provider is not None:
            self._provider.force_flush(3_000)
            self._provider.shutdown()


def open_tracing(settings: Settings, role: str, instance: str) -> Tracing:
    """Tracing by the settings `tracing.*`; raises `InvalidSetting` where it cannot be had."""
    endpoint = settings.text("tracing.endpoint")
    share = settings.number("tracing.sample")
    if not endpoint:
        return Tracing()
    if not 0.0 <= share <= 1.0:
        raise InvalidSetting(f"tracing.sample must lie between 0 and 1, not {share:g}")
    try:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor
        from opentelemetry.sdk.trace.sampling import ParentBased, TraceIdRatioBased
    except ImportError as error:
        raise InvalidSetting(_NO_LIBRARY) from error
    resource = Resource.create(
        {"service.name": f"carcloud-{role}", "service.instance.id": instance}
    )
    provider = TracerProvider(ParentBased(TraceIdRatioBased(share)), resource)
    exporter = OTLPSpanExporter(endpoint, timeout=5)
    provider.add_span_processor(BatchSpanProcessor(exporter, schedule_delay_millis=1000))
    return Tracing(OtelTracer(provider), provider)


class OtelTracer:
    """`ports.tracing.Tracer` on an OpenTelemetry provider."""

    def __init__(self, provider: "TracerProvider") -> None:
        self._tracer = provider.get_tracer("carcloud")

    def begin(self, name: str, start_us: int) -> Span | None:
        """A new trace; None when it is not in the sample."""
        span = self._tracer.start_span(name, start_time=start_us * 1000)
        return _Recorded(self, span) if span.is_recording() else None

    def resume(self, name: str, contexts: Sequence[str]) -> Span | None:
        """Child of the first context, linked to the others; each gets its `stream wait`."""
        from opentelemetry.trace import Link

        given = [found for found in map(_parsed, contexts) if found is not None]
        if not given:
            return None
        links = [Link(context) for context, _ in given[1:]]
        span = self._tracer.start_span(name, _within(given[0][0]), links=links)
        for context, made_us in given:
            wait = self._tracer.start_span(
                "stream wait",
                _within(context),
                links=[Link(span.get_span_context())],
                start_time=made_us * 1000,
            )
            wait.end()
        return _Recorded(self, span) if span.is_recording() else None

    def below(self, span: "OtelSpan", name: str) -> "OtelSpan":
        """A child of a span."""
        return self._tracer.start_span(name, _within(span.get_span_context()))


class _Recorded:
    """A span that is recorded."""

    def __init__(self, tracer: OtelTracer, span: "OtelSpan") -> None:
        self._tracer = tracer
        self._span = span

    @property
    def context(self) -> str:
        """W3C traceparent and the present."""
        told = self._span.get_span_context()
        return f"00-{told.trace_id:032x}-{told.span_id:016x}-{told.trace_flags:02x};{now_us()}"

    @contextmanager
    def part(self, name: str) -> Iterator[None]:
        """A child span around a block of work; an error ends it too."""
        child = self._tracer.below(self._span, name)
        try:
            yield
        except BaseException as error:
            child.set_attribute("error.type", type(error).__name__)
            raise
        finally:
            child.end()

    def fact(self, name: str, value: str | int | float) -> None:
        """An attribute."""
        self._span.set_attribute(f"carcloud.{name}", value)

    def end(self) -> None:
        """The work is done."""
        self._span.end()


def _parsed(context: str) -> "tuple[SpanContext, int] | None":
    """(span context, made at us); None for text that no carcloud wrote."""
    from opentelemetry.trace import SpanContext, TraceFlags

    found = _CONTEXT.fullmatch(context)
    if found is None:
        return None
    trace, span, flags, made = found.groups()
    remote = SpanContext(int(trace, 16), int(span, 16), True, TraceFlags(int(flags, 16)))
    return remote, int(made)


def _within(parent: "SpanContext") -> "Context":
    from opentelemetry.trace import NonRecordingSpan, set_span_in_context

    return set_span_in_context(NonRecordingSpan(parent))
