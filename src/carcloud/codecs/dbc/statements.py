"""Cutting the text of a DBC file into statements, so that a bad one costs nothing but itself."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

from carcloud.codecs.dbc.database import Finding, Level

MAX_BYTES = 64 * 1024 * 1024
MAX_LINE = 1024 * 1024  # characters
MAX_STATEMENT = 4 * 1024 * 1024  # characters
MAX_FINDINGS = 10_000

# Statements that no semicolon ends.
_OPEN = ("VERSION", "NS_", "BS_", "BU_", "BO_", "SG_")
_ONE_LINE = ("VERSION", "BS_", "BO_", "SG_")
KEYWORDS = frozenset(
    (
        *_OPEN,
        "NS_DESC_", "CM_", "BA_DEF_", "BA_", "VAL_", "CAT_DEF_", "CAT_", "FILTER", "BA_DEF_DEF_",
        "EV_", "EV_DATA_", "ENVVAR_DATA_", "SGTYPE_", "SGTYPE_VAL_", "BA_DEF_SGTYPE_",
        "BA_SGTYPE_", "SIG_TYPE_REF_", "VAL_TABLE_", "SIG_GROUP_", "SIG_VALTYPE_",
        "SIGTYPE_VALTYPE_", "BO_TX_BU_", "BA_DEF_REL_", "BA_REL_", "BA_DEF_DEF_REL_",
        "BU_SG_REL_", "BU_EV_REL_", "BU_BO_REL_", "SG_MUL_VAL_",
    )
)  # fmt: skip
_WORD = re.compile(r"\s*([A-Z][A-Z_]*)(?=[\s:;\"]|$)")
_NOTHING = re.compile(r"\s*(?:$|//|;)")
_BLANK = re.compile(r"\s*$")
_MARK = re.compile(r'\\"|"|;|//')
# Lines that begin a statement even where a quote was left open.
_CERTAIN = re.compile(
    r"\s*(?:BO_\s+\d+\s+\w+\s*:|SG_\s+\w+\s[^:\"]*:\s*\d+\|\d+@|VAL_\s+\d+\s+\w+\s+-?\d+\s+\"|"
    r"CM_\s+(?:SG_|BO_|BU_|EV_)\s+\w++[^\"]*\"|BA_(?:DEF_|DEF_DEF_)?\s+(?:\w\w_\s+)?\"\w+\"\s)"
)
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")


@dataclass(frozen=True, slots=True)
class Statement:
    """`text` begins with the keyword and has no final semicolon; `line` counts from 1."""

    keyword: str
    line: int
    text: str


_UNPRINTABLE: Final = re.compile(r"[\x00-\x1f\x7f-\x9f]")  # a terminal would obey them


@dataclass(slots=True)
class Findings:
    """What was found so far; the number is limited."""

    items: list[Finding] = field(default_factory=list)

    def add(self, line: int, code: str, level: Level, text: str, action: str) -> None:
        """Note one finding."""
        if len(self.items) < MAX_FINDINGS:
            shown = _UNPRINTABLE.sub("\ufffd", text[:160])
            self.items.append(Finding(line, code, level, shown, action))
        elif len(self.items) == MAX_FINDINGS:
            self.items.append(
                Finding(line, "many-findings", "error", "more findings", "not listed")
            )


def text_of(data: bytes, findings: Findings) -> str:
    """The text of a file: UTF-8 with or without a mark, else Windows-1252; lines end with LF."""
    if len(data) > MAX_BYTES:
        findings.add(1, "file-size", "error", f"{len(data)} bytes", "the file was not read")
        return ""
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError:
        text = data.decode("cp1252", "replace")
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    first = _CONTROL.search(text)
    if first is not None:
        line = text.count("\n", 0, first.start()) + 1
        findings.add(line, "control-characters", "info", repr(first.group()), "taken as spaces")
        text = _CONTROL.sub(" ", text)
    return text


def statements(text: str, findings: Findings) -> Iterator[Statement]:
    """The statements of a file in its order."""
    cutter = _Cutter(findings)
    for number, line in enumerate(text.split("\n"), 1):
        if len(line) > MAX_LINE:
            findings.add(number, "line-length", "error", line[:60], "the line was not read")
        else:
            yield from cutter.line(number, line)
    yield from cutter.end()


class _Cutter:
    """Where one is in the file: the statement begun, and whether a quote is open."""

    def __init__(self, findings: Findings) -> None:
        self._findings = findings
        self._keyword = ""
        self._first = 0
        self._parts: list[str] = []
        self._size = 0
        self._quoted = False

    def line(self, number: int, line: str) -> Iterator[Statement]:
        if self._quoted and _CERTAIN.match(line):
            self._findings.add(
                self._first, "open-quote", "warning", self._parts[0], "closed before the next line"
            )
            self._mend()
            yield from self._close(ended=True)
        if not self._quoted:
            yield from self._begin(number, line, 0)
        begun, last = 0, _certain_end(line)
        for mark in _MARK.finditer(line):
            sign = mark.group()
            if sign == '"' or (sign == '\\"' and mark.end() == last):
                self._quoted = not self._quoted
            elif sign == "//" and not self._quoted:
                line = line[: mark.start()]
                break
            elif sign == ";" and not self._quoted:
                self._take(line[begun : mark.start()])
                yield from self._close(ended=True)
                begun = mark.end()
                yield from self._begin(number, line, begun)
        self._take(line[begun:])
        if not self._quoted and self._keyword in _ONE_LINE:
            yield from self._close(ended=True)

    def _begin(self, number: int, line: str, at: int) -> Iterator[Statement]:
        """A new statement, if a keyword stands there."""
        word = _WORD.match(line, at)
        if word is None or word.group(1) not in KEYWORDS:
            if not self._keyword and not _NOTHING.match(line, at):
                yield from self._close(ended=True)
                self._keyword, self._first = "?", number
            return
        if self._keyword == "NS_" and _BLANK.match(line, word.end()):
            return  # a name of the list
        yield from self._close(ended=False)
        self._keyword, self._first = word.group(1), number

    def _take(self, piece: str) -> None:
        self._size += len(piece)
        if self._size <= MAX_STATEMENT and self._keyword:
            self._parts.append(piece)

    def _close(self, *, ended: bool) -> Iterator[Statement]:
        keyword, text = self._keyword, "\n".join(self._parts).strip()
        size, first = self._size, self._first
        self._keyword, self._parts, self._size = "", [], 0
        if not keyword or not text:
            return
        if size > MAX_STATEMENT:
            self._findings.add(
                first, "statement-length", "error", text[:60], "the statement was not read"
            )
            return
        if not ended and keyword not in _OPEN and keyword != "?":
            self._findings.add(
                first, "no-semicolon", "warning", text.split("\n")[0],
                "ended before the next statement",
            )  # fmt: skip
        yield Statement(keyword, first, text)

    def _mend(self) -> None:
        """Close the open quote."""
        self._quoted = False
        self._parts = ["\n".join(self._parts).rstrip() + '"']

    def end(self) -> Iterator[Statement]:
        if self._quoted:
            self._findings.add(
                self._first, "open-quote", "warning", self._parts[0], "closed at the file's end"
            )
            self._mend()
            yield from self._close(ended=True)
        yield from self._close(ended=False)


def _certain_end(line: str) -> int:
    """Where a final quote of the line ends, with nothing but a semicolon behind it; else -1.

    Such a quote ends the text even behind a backslash, which then is the last of a path.
    """
    text = line.rstrip()
    text = text[:-1].rstrip() if text.endswith(";") else ""
    return len(text) if text.endswith('"') else -1
