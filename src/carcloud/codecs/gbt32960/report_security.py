"""What a server does with a protected 2025 report: open its data unit, check its signature.

The reference decoder (`decode`) finds a signature too; `locate` only steps over the items before
it, and is many times faster. Both read the same field tables.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

from carcloud.codecs.gbt32960 import times
from carcloud.codecs.gbt32960.constants import SIGNATURE_MARK, SignatureAlgorithm
from carcloud.codecs.gbt32960.errors import SecurityError
from carcloud.codecs.gbt32960.frame import Frame, build
from carcloud.codecs.gbt32960.layout import Number, Opaque, Records, Row, Text, evaluate
from carcloud.codecs.gbt32960.security import DataUnitCipher, decrypted
from carcloud.codecs.gbt32960.signature import verify
from carcloud.codecs.gbt32960.tables_2025 import BODIES

_TIME_SIZE: Final = 6
_U16: Final = 2
_USUAL: Final = (
    (SignatureAlgorithm.SM2, 32, 32),
    (SignatureAlgorithm.ECC, 32, 32),
    *((SignatureAlgorithm.RSA, size, 0) for size in (128, 256, 384, 512)),
)
"""Algorithm and bytes of R and S, as senders write them."""


class Signed(NamedTuple):
    """Where the signature of a report stands; algorithm 0 where it is cut off."""

    mark: int  # of 0xFF in the data unit
    algorithm: int
    r: bytes
    s: bytes


@dataclass(frozen=True, slots=True)
class SignatureRule:
    """What is asked of the reports of a vehicle (`gateway.gbt32960.verify_signatures`)."""

    required: bool = False  # else a report without signature, or without a key, passes
    covers_mark: bool = False  # reading (b) of S25 7.2.4


def opened(frame: Frame, ciphers: Iterable[DataUnitCipher]) -> Frame:
    """An encrypted report in clear, by the first cipher that gives one; `raw` stays as sent.

    A wrong key shows in the padding or, one time in 256, in a time that is none. Raises
    `SecurityError` when no cipher fits.
    """
    reason = "no key for it"
    for cipher in ciphers:
        try:
            clear = decrypted(frame, cipher)
        except SecurityError as error:
            reason = str(error)
            continue
        if len(clear.data) >= _TIME_SIZE and times.read(clear.data[:_TIME_SIZE]) is not None:
            return clear
        reason = "what comes out is no report"
    raise SecurityError("decryption", reason)


def in_clear(frame: Frame) -> bytes:
    """The wire form of a frame whose data unit has been decrypted."""
    return build(frame.edition, frame.command, frame.flag, frame.unique_id, frame.data)


def signature_fault(
    frame: Frame, public_key: bytes | None, key_algorithm: str | None, rule: SignatureRule
) -> str | None:
    """What is wrong with the signature of a report in clear; None where nothing is."""
    if frame.edition != 2025:
        signs = rule.required and public_key is not None
        return "this vehicle signs its reports, the 2016 edition cannot" if signs else None
    if public_key is None:
        return "no public key is on record for this vehicle" if rule.required else None
    signed = locate(frame.data)
    if signed is None:
        return "the report is not signed" if rule.required else None
    return _wrong(frame.data[: signed.mark + rule.covers_mark], signed, public_key, key_algorithm)


def _wrong(
    covered: bytes, signed: Signed, public_key: bytes, key_algorithm: str | None
) -> str | None:
    if signed.algorithm not in SignatureAlgorithm._value2member_map_:
        return "the signature is cut off or of a reserved algorithm"
    name = SignatureAlgorithm(signed.algorithm).name
    if key_algorithm is not None and name != key_algorithm.upper():
        return f"signed with {name}, the key on record is for {key_algorithm}"
    try:
        good = verify(covered, signed.algorithm, signed.r, signed.s, public_key)
    except ValueError as error:
        return f"the signature cannot be checked: {error}"
    return None if good else "the signature is not this vehicle's"


def locate(data: bytes) -> Signed | None:
    """The signature of a 2025 report in clear; None without one.

    Where an item cannot be stepped over (a type without length, a cut-off body), a signature of
    the usual size at the very end is taken.
    """
    at = _TIME_SIZE
    try:
        while at < len(data):
            kind = data[at]
            if kind == SIGNATURE_MARK:
                return _read(data, at)
            steps = _WAYS.get(kind)
            if steps is None:
                return _at_end(data)
            at = _after(steps, data, at + 1)
    except IndexError:
        return _at_end(data)
    return None if at == len(data) else _at_end(data)


def _read(data: bytes, mark: int) -> Signed:
    """The fields of S25 table 8 after the mark."""
    r_at = mark + 2 + _U16
    s_length_at = r_at + int.from_bytes(data[r_at - _U16 : r_at], "big")
    s_at = s_length_at + _U16
    end = s_at + int.from_bytes(data[s_length_at:s_at], "big")
    if s_at > len(data) or end > len(data):
        return Signed(mark, 0, b"", b"")
    return Signed(mark, data[mark + 1], data[r_at:s_length_at], data[s_at:end])


def _at_end(data: bytes) -> Signed | None:
    for algorithm, r_size, s_size in _USUAL:
        mark = len(data) - (2 + _U16 + r_size + _U16 + s_size)
        if mark < _TIME_SIZE or data[mark] != SIGNATURE_MARK:
            continue
        found = _read(data, mark)
        if (found.algorithm, len(found.r), len(found.s)) == (algorithm, r_size, s_size):
            return found
    return None


class _Fixed(NamedTuple):
    """So many bytes that say nothing about the length."""

    size: int


class _Count(NamedTuple):
    """A number that says how many of something follow."""

    row: Number


class _Many(NamedTuple):
    """`size` bytes, so many times."""

    number: str  # see `layout.Row`
    size: int


class _Each(NamedTuple):
    """Records of no fixed length, so many times."""

    number: str
    steps: "_Steps"


_Steps = tuple[_Fixed | _Count | _Many | _Each, ...]


def _after(steps: _Steps, data: bytes, at: int) -> int:
    """Where what begins at `at` ends; raises `IndexError` when a count is cut off."""
    codes: dict[str, list[int]] = {}
    for step in steps:
        if isinstance(step, _Fixed):
            at += step.size
        elif isinstance(step, _Count):
            row = step.row
            code = data[at] if row.wire == 1 else data[at] << 8 | data[at + 1]
            codes[row.key] = [0 if row.marker(code) else code]
            at += row.wire
        elif isinstance(step, _Many):
            at += evaluate(step.number, codes) * step.size
        else:
            for _ in range(evaluate(step.number, codes)):
                at = _after(step.steps, data, at)
    return at


def _steps(rows: Sequence[Row]) -> _Steps:
    """A table as steps, neighbours of fixed size together."""
    counts = {row.count for row in rows if isinstance(row, (Number, Opaque, Records))}
    steps: list[_Fixed | _Count | _Many | _Each] = []
    for row in rows:
        step = _step(row, counts)
        last = steps[-1] if steps else None
        if isinstance(step, _Fixed) and isinstance(last, _Fixed):
            steps[-1] = _Fixed(last.size + step.size)
        else:
            steps.append(step)
    return tuple(steps)


def _step(row: Row, counts: set[str]) -> _Fixed | _Count | _Many | _Each:
    match row:
        case Number(key=key, wire=wire, count=""):
            return _Count(row) if key in counts else _Fixed(wire)
        case Number(count=count) | Opaque(count=count):
            return _Many(count, row.wire if isinstance(row, Number) else 1)
        case Records(table=table, count=count):
            inner = _steps(table.rows)
            if len(inner) == 1 and isinstance(inner[0], _Fixed):
                return _Many(count, inner[0].size)
            return _Each(count, inner)
        case _:
            return _Fixed(row.size if isinstance(row, Text) else times.SIZE)


_WAYS: Final = {kind: _steps(table.rows) for kind, table in BODIES.items()}
