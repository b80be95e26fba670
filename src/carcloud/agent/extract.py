"""Frames to samples: one function per message, written for the signals that somebody wants.

The plain decoder of `codecs.dbc.scalar` is the reference; the values are the same.
"""

import struct
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from carcloud.agent.model import Mapped, VehicleModel
from carcloud.codecs.campaign.engine import Engine, Handler
from carcloud.codecs.campaign.frames import EXTENDED
from carcloud.codecs.dbc.database import Message, Signal
from carcloud.codecs.dbc.j1939 import missing_from

_INTEGERS = frozenset({"int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64"})
_FLOATS = {"float32": struct.Struct("<f"), "float64": struct.Struct("<d")}
_MOST_UNKNOWN = 4096  # ids that are remembered as unwanted


class _Writer:
    """Collects the lines of one function."""

    def __init__(self, message: Message, j1939: bool) -> None:
        self._message = message
        self._j1939 = j1939
        self.names: dict[str, Any] = {
            "__builtins__": {}, "le": "little", "be": "big", "of": int.from_bytes, "len": len,
            "round": round, "str": str,
        }  # fmt: skip
        self.lines = ["def handle(t, p):", "    b = 8 * len(p)", "    u = of(p, le)",
                      "    w = of(p, be)"]  # fmt: skip

    def raw(self, signal: Signal, name: str, indent: str) -> None:
        """Put the raw value of a signal into a variable."""
        mask, length = (1 << signal.length) - 1, signal.length
        if signal.little_endian:
            word = f"u >> {signal.first_bit}" if signal.first_bit else "u"
        else:
            word = f"w >> (b - {signal.first_bit + length})"
        self.lines.append(f"{indent}{name} = ({word}) & {mask}")
        if signal.kind != "int":
            unpack = f"f{len(self.names)}"
            self.names[unpack] = _unpack(signal)
            self.lines.append(f"{indent}{name} = {unpack}({name})")
        elif signal.signed:
            half = 1 << (length - 1)
            self.lines.append(f"{indent}{name} = ({name} ^ {half}) - {half}")

    def signal(self, mapped: Mapped, sink: Callable[[int, Any], None]) -> None:
        """Lines that give the value of one signal to its sink, where the frame has one."""
        signal, indent = mapped.signal, "    "
        chain = self._switches(signal)
        bits = max(each.first_bit + each.length for each in (signal, *chain))
        self.lines.append(f"{indent}if b >= {bits}:")
        indent += "    "
        below = signal
        for switch in chain:
            self.raw(switch, "s", indent)
            tests = [
                f"s == {low}" if low == high else f"{low} <= s <= {high}"
                for low, high in below.ranges
            ]
            self.lines.append(f"{indent}if {' or '.join(tests) or '0'}:")
            indent += "    "
            below = switch
        self.raw(signal, "r", indent)
        limit = missing_from(self._message, signal) if self._j1939 else None
        if limit is not None:
            self.lines.append(f"{indent}if r < {limit}:")
            indent += "    "
        elif signal.kind != "int":
            self.lines.append(f"{indent}if r - r == 0:")  # neither NaN nor infinite
            indent += "    "
        take = f"k{len(self.names)}"
        self.names[take] = sink
        if mapped.labels:
            labels = f"l{len(self.names)}"
            self.names[labels] = _meanings(mapped).get
            self.lines += [f"{indent}x = {labels}(r)", f"{indent}if x is not None:",
                           f"{indent}    {take}(t, x)"]  # fmt: skip
        else:
            self.lines.append(f"{indent}{take}(t, {_value(mapped)})")

    def _switches(self, signal: Signal) -> list[Signal]:
        chain = []
        while signal.parent is not None:
            signal = self._message.signal_by_name[signal.parent]
            chain.append(signal)
        return chain

    def function(self) -> Handler:
        """The function; every part of its text is written here."""
        exec("\n".join(self.lines), self.names)  # noqa: S102
        handle: Handler = self.names["handle"]
        return handle


def _unpack(signal: Signal) -> Callable[[int], float]:
    form, size = _FLOATS[signal.kind], signal.length // 8

    def unpack(raw: int) -> float:
        value: float = form.unpack(raw.to_bytes(size, "little"))[0]
        return value

    return unpack


def _meanings(mapped: Mapped) -> dict[int, Any]:
    if mapped.datatype == "boolean":
        return {raw: bool(meaning) for raw, meaning in mapped.labels.items()}
    if mapped.datatype == "string":
        return {raw: str(meaning) for raw, meaning in mapped.labels.items()}
    kind = round if mapped.datatype in _INTEGERS else float
    return {raw: kind(float(meaning)) for raw, meaning in mapped.labels.items()}


def _value(mapped: Mapped) -> str:
    """The expression of the catalogue's value of raw value `r`."""
    signal, code, whole = mapped.signal, "r", mapped.signal.integral
    factor, offset = signal.factor, signal.offset
    if factor != 1 or offset != 0:
        if signal.integral:
            factor, offset = int(factor), int(offset)
        code = f"r * {factor!r} + {offset!r}"
    if mapped.scale != 1 or mapped.offset != 0:
        code = f"({code}) * {mapped.scale!r} + {mapped.offset!r}"
        whole = whole and isinstance(mapped.scale, int) and isinstance(mapped.offset, int)
    if mapped.datatype == "boolean":
        return f"({code}) != 0"
    if mapped.datatype == "string":
        return f"str({code})"
    return f"round({code})" if mapped.datatype in _INTEGERS and not whole else code


def compiled(
    message: Message, wanted: Sequence[tuple[Mapped, Callable[[int, Any], None]]], j1939: bool
) -> Handler:
    """A function (time, payload) that gives each wanted signal of a frame to its sink."""
    writer = _Writer(message, j1939)
    for mapped, sink in wanted:
        writer.signal(mapped, sink)
    return writer.function()


class WholeList:
    """Takes the elements of a list and gives it to its sink once each has come.

    An element that comes again before that begins anew: what is not whole is not a sample.
    """

    __slots__ = ("_left", "_sink", "_size", "_values")

    def __init__(self, size: int, sink: Callable[[int, Any], None]) -> None:
        self._size = size
        self._sink = sink
        self._begin()

    def _begin(self) -> None:
        self._values: list[Any] = [None] * self._size
        self._left = self._size

    def element(self, at: int) -> Callable[[int, Any], None]:
        """The sink of one element."""

        def take(t: int, value: Any) -> None:
            if self._values[at] is not None:
                self._begin()
            self._values[at] = value
            self._left -= 1
            if not self._left:
                whole = self._values
                self._begin()
                self._sink(t, whole)

        return take


class FrameTable(dict[int, Handler | bool]):
    """Handlers of one bus by key, made when the first frame of a key comes."""

    def __init__(self, bus: str, model: VehicleModel | None, engine: Engine) -> None:
        super().__init__()
        self._bus = bus
        self._engine = engine
        self._finder = None if model is None else model.finder(bus)
        self._lists: dict[str, WholeList] = {}
        self._mapped: Mapping[int, list[Mapped]] = {} if model is None else _by_message(model)

    def clear(self) -> None:
        """Forget handlers: what is wanted has changed."""
        super().clear()
        self._lists.clear()

    def resolve(self, key: int) -> Handler | bool:
        """The handler of a key that came for the first time; False where nobody wants it."""
        can_id, extended = key & ~EXTENDED, bool(key & EXTENDED)
        found = self._signals(can_id, extended)
        raws = self._engine.frame_sinks(self._bus, can_id, extended)
        handler: Handler | bool = found or False
        if raws:
            handler = _with_raw(found, raws, key, self._bus)
        if len(self) >= _MOST_UNKNOWN:
            for unwanted in [each for each, handle in self.items() if handle is False]:
                del self[unwanted]
        self[key] = handler
        return handler

    def _signals(self, can_id: int, extended: bool) -> Handler | None:
        if self._finder is None or (found := self._finder.find(can_id, extended)) is None:
            return None
        message, j1939 = found
        paths = set(self._engine.paths)
        wanted = [
            (mapped, self._sink(mapped))
            for mapped in self._mapped.get(id(message), ())
            if mapped.path in paths
        ]
        return compiled(message, wanted, j1939) if wanted else None

    def _sink(self, mapped: Mapped) -> Callable[[int, Any], None]:
        sink = self._engine.sink(mapped.path)
        if mapped.element is None:
            return sink
        if mapped.path not in self._lists:
            self._lists[mapped.path] = WholeList(mapped.size, sink)
        return self._lists[mapped.path].element(mapped.element)


def _by_message(model: VehicleModel) -> dict[int, list[Mapped]]:
    found: dict[int, list[Mapped]] = {}
    for mapped in model.mappings:
        found.setdefault(id(mapped.message), []).append(mapped)
    return found


def _with_raw(
    signals: Handler | None,
    raws: Sequence[Callable[[int, int, str, bytes], None]],
    key: int,
    bus: str,
) -> Handler:
    def handle(t: int, payload: bytes) -> None:
        for take in raws:
            take(t, key, bus, payload)
        if signals is not None:
            signals(t, payload)

    return handle
