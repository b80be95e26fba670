"""The tracing port: spans of a frame's way. The default does nothing and costs nothing."""

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Protocol


class Span(Protocol):
    """A stretch of work that is recorded."""

    @property
    def context(self) -> str:
        """What another process needs to continue the trace; opaque text, ASCII."""

    def part(self, name: str) -> AbstractContextManager[None]:
        """A child span for the time of a `with` block."""

    def fact(self, name: str, value: str | int | float) -> None:
        """Note something on the span."""

    def end(self) -> None:
        """The work is done."""


class Tracer(Protocol):
    """Begins spans; None where the trace is not recorded."""

    def begin(self, name: str, start_us: int) -> Span | None:
        """A new trace that began at `start_us`, for the share of traces that is recorded."""

    def resume(self, name: str, contexts: Sequence[str]) -> Span | None:
        """Go on with work that came as several traces: child of the first, linked to the rest.

        The time since each context was made is recorded as the span `stream wait`.
        """


class NoTracer:
    """Records nothing."""

    def begin(self, _name: str, _start_us: int) -> Span | None:
        """No trace."""
        return None

    def resume(self, _name: str, _contexts: Sequence[str]) -> Span | None:
        """No trace."""
        return None


NO_TRACER = NoTracer()


def part(span: Span | None, name: str) -> AbstractContextManager[None]:
    """A child span, or nothing where there is no span."""
    return nullcontext() if span is None else span.part(name)
