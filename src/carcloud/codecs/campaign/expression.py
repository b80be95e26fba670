"""The language of conditions: text to a tree, with the position of whatever is wrong.

The language is version 1 of AWS IoT FleetWise, with three additions: a signal may be written as a
plain path, a function by its own name, and a comparison may state its tolerance:

    $variable.`Vehicle.Speed` > 80 && !isNull(Vehicle.Cabin.Door.Row1.DriverSide.IsOpen)
    abs(Vehicle.Chassis.SteeringWheel.Angle) == 90 within 0.5
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import NoReturn

MAX_TEXT = 2048  # characters of an expression
MAX_DEPTH = 32  # of the tree; a chain of one operator && or || counts once
MAX_PATH = 150  # characters of a signal's path
_NESTING = 2 * MAX_DEPTH  # of the text: parentheses alone make no tree

WINDOW_FUNCTIONS = frozenset(
    f"{which}LAST_WINDOW_{what}" for which in ("", "PREV_") for what in ("MIN", "MAX", "AVG")
)
RISING = "MULTI_RISING_EDGE_TRIGGER"


class ExpressionError(ValueError):
    """An expression that cannot be evaluated: `position` is the 0-based character."""

    def __init__(self, position: int, reason: str) -> None:
        super().__init__(f"position {position + 1}: {reason}")
        self.position = position
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Literal:
    """A number, true, false or a string."""

    at: int
    value: float | int | bool | str


@dataclass(frozen=True, slots=True)
class SignalRef:
    """The latest value of a signal."""

    at: int
    path: str


@dataclass(frozen=True, slots=True)
class WindowRef:
    """A figure of a signal's last complete fixed window, or of the one before."""

    at: int
    function: str
    path: str


@dataclass(frozen=True, slots=True)
class IsNull:
    """Whether no new value of a signal has come since this condition was evaluated."""

    at: int
    path: str


@dataclass(frozen=True, slots=True)
class Unary:
    """`!` or `-`."""

    at: int
    operator: str
    operand: "Node"


@dataclass(frozen=True, slots=True)
class Binary:
    """Arithmetic or a comparison; `tolerance` is what `within` states, else None."""

    at: int
    operator: str
    left: "Node"
    right: "Node"
    tolerance: float | None = None


@dataclass(frozen=True, slots=True)
class Logic:
    """Operands joined by `&&` or by `||`; every one is evaluated."""

    at: int
    operator: str
    operands: tuple["Node", ...]


@dataclass(frozen=True, slots=True)
class Call:
    """A custom function with its arguments."""

    at: int
    name: str
    arguments: tuple["Node", ...]


Node = Literal | SignalRef | WindowRef | IsNull | Unary | Binary | Logic | Call


@dataclass(frozen=True, slots=True)
class _Token:
    at: int
    kind: str  # number, variable, name, string, operator, end
    text: str


_TOKEN = re.compile(
    r"(?P<number>(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?)"
    r"|(?P<variable>\$variable\.`[^`]*`)"
    r"|(?P<name>[A-Za-z_][A-Za-z0-9_]*(?:\.[A-Za-z0-9_]+)*)"
    r"|(?P<string>'[^']*'|\"[^\"]*\")"
    r"|(?P<operator>&&|\|\||[<>=!]=|[-+*/<>!(),])"
)
_PATH = re.compile(r"[A-Za-z_][A-Za-z0-9_]*(\.[A-Za-z0-9_]+)*")
_BLANK = re.compile(r"\s*")


def _tokens(text: str) -> list[_Token]:
    found, at = [], 0
    while True:
        blank = _BLANK.match(text, at)
        at = blank.end() if blank else at
        if at >= len(text):
            found.append(_Token(len(text), "end", ""))
            return found
        match = _TOKEN.match(text, at)
        if match is None:
            raise ExpressionError(at, _strange(text, at))
        found.append(_Token(at, match.lastgroup or "", match[0]))
        at = match.end()


def _strange(text: str, at: int) -> str:
    if text[at] in "'\"":
        return "a string that does not end"
    if text.startswith("$variable.", at):
        return "$variable. wants a path between backquotes, as in $variable.`Vehicle.Speed`"
    return f"unexpected character {text[at]!r}"


def parse(text: str) -> Node:
    """The tree of an expression; raises `ExpressionError`."""
    if not text.strip():
        raise ExpressionError(0, "an expression is empty")
    if len(text) > MAX_TEXT:
        raise ExpressionError(MAX_TEXT, f"an expression has at most {MAX_TEXT} characters")
    parser = _Parser(_tokens(text))
    tree = parser.disjunction()
    parser.finish()
    if (deep := _depth(tree)) > MAX_DEPTH:
        raise ExpressionError(tree.at, f"{deep} levels deep; at most {MAX_DEPTH}")
    return tree


def children(node: Node) -> tuple[Node, ...]:
    """The nodes just below."""
    match node:
        case Unary():
            return (node.operand,)
        case Binary():
            return (node.left, node.right)
        case Logic():
            return node.operands
        case Call():
            return node.arguments
        case _:
            return ()


def _depth(tree: Node) -> int:
    deepest, waiting = 0, [(tree, 1)]
    while waiting:
        node, depth = waiting.pop()
        deepest = max(deepest, depth)
        waiting += [(child, depth + 1) for child in children(node)]
    return deepest


class _Parser:
    """Recursive descent; `_depth` bounds the recursion."""

    def __init__(self, tokens: list[_Token]) -> None:
        self._tokens = tokens
        self._next = 0
        self._nested = 0

    @property
    def _token(self) -> _Token:
        return self._tokens[self._next]

    def _take(self) -> _Token:
        token = self._tokens[self._next]
        self._next += token.kind != "end"
        return token

    def _is(self, *operators: str) -> bool:
        return self._token.kind == "operator" and self._token.text in operators

    def _expect(self, operator: str) -> None:
        if not self._is(operator):
            self._unexpected(f"{operator!r}")
        self._take()

    def _unexpected(self, wanted: str) -> NoReturn:
        token = self._token
        found = repr(token.text) if token.text else "the end"
        raise ExpressionError(token.at, f"expected {wanted}, found {found}")

    def finish(self) -> None:
        """Raises `ExpressionError` unless everything was read."""
        if self._token.kind != "end":
            self._unexpected("an operator or the end")

    def disjunction(self) -> Node:
        """The whole expression, or what stands in parentheses."""
        return self._chain("||", lambda: self._chain("&&", self._equality))

    def _chain(self, operator: str, part: Callable[[], Node]) -> Node:
        operands, at = [part()], self._token.at
        while self._is(operator):
            self._take()
            operands.append(part())
        return operands[0] if len(operands) == 1 else Logic(at, operator, tuple(operands))

    def _equality(self) -> Node:
        left = self._relation()
        while self._is("==", "!="):
            token = self._take()
            right = self._relation()
            left = Binary(token.at, token.text, left, right, self._tolerance())
        return left

    def _tolerance(self) -> float | None:
        if (self._token.kind, self._token.text) != ("name", "within"):
            return None
        self._take()
        token = self._token
        value = self._number() if token.kind == "number" else 0
        if value <= 0:
            raise ExpressionError(token.at, "within wants a number above 0")
        return float(value)

    def _relation(self) -> Node:
        return self._left_to_right(("<", ">", "<=", ">="), self._sum)

    def _sum(self) -> Node:
        return self._left_to_right(("+", "-"), self._product)

    def _product(self) -> Node:
        return self._left_to_right(("*", "/"), self._unary)

    def _left_to_right(self, operators: tuple[str, ...], part: Callable[[], Node]) -> Node:
        left = part()
        while self._is(*operators):
            token = self._take()
            left = Binary(token.at, token.text, left, part())
        return left

    def _unary(self) -> Node:
        if not self._is("!", "-"):
            return self._primary()
        token = self._take()
        self._deeper(token.at)
        operand = self._unary()
        self._nested -= 1
        if token.text == "-" and isinstance(operand, Literal) and _is_number(operand.value):
            return Literal(token.at, -operand.value)  # type: ignore[operator] # a number, asked above
        return Unary(token.at, token.text, operand)

    def _deeper(self, at: int) -> None:
        self._nested += 1
        if self._nested > _NESTING:
            raise ExpressionError(at, f"nested more than {_NESTING} levels deep")

    def _primary(self) -> Node:
        token = self._token
        match token.kind:
            case "number":
                return Literal(token.at, self._number())
            case "string":
                return Literal(token.at, self._take().text[1:-1])
            case "variable":
                return SignalRef(token.at, self._variable())
            case "name":
                return self._named()
        if not self._is("("):
            self._unexpected("a value, a signal or '('")
        self._take()
        self._deeper(token.at)
        inner = self.disjunction()
        self._nested -= 1
        self._expect(")")
        return inner

    def _number(self) -> float | int:
        token = self._take()
        value = float(token.text)
        if value in (float("inf"), float("-inf")):
            raise ExpressionError(token.at, "a number that is too large")
        whole = token.text.isdecimal() and value < 2**63
        return int(token.text) if whole else value

    def _variable(self) -> str:
        token = self._take()
        return _path(token.at, token.text[len("$variable.`") : -1])

    def _named(self) -> Node:
        token = self._take()
        if token.text in ("true", "false"):
            return Literal(token.at, token.text == "true")
        if not self._is("("):
            if "." not in token.text:
                raise ExpressionError(
                    token.at, f"{token.text!r} is no path of a signal (Vehicle.Speed is one)"
                )
            return SignalRef(token.at, _path(token.at, token.text))
        self._deeper(token.at)
        self._take()
        if token.text == "isNull":
            node: Node = IsNull(token.at, self._signal_argument(token.text))
        elif token.text in WINDOW_FUNCTIONS:
            node = WindowRef(token.at, token.text, self._signal_argument(token.text))
        elif token.text == "custom_function":
            node = self._custom(token.at)
        else:
            node = Call(token.at, token.text, self._arguments())
        self._nested -= 1
        self._expect(")")
        return node

    def _signal_argument(self, function: str) -> str:
        token = self._token
        if token.kind == "variable":
            return self._variable()
        if token.kind != "name" or "." not in token.text:
            raise ExpressionError(token.at, f"{function} wants one signal")
        return _path(token.at, self._take().text)

    def _custom(self, at: int) -> Call:
        if self._token.kind != "string":
            self._unexpected("the name of a function between quotes")
        name = self._take().text[1:-1]
        if self._is(","):
            self._take()
            return Call(at, name, self._arguments())
        return Call(at, name, ())

    def _arguments(self) -> tuple[Node, ...]:
        if self._is(")"):
            return ()
        arguments = [self.disjunction()]
        while self._is(","):
            self._take()
            arguments.append(self.disjunction())
        return tuple(arguments)


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _path(at: int, text: str) -> str:
    if len(text) > MAX_PATH or not _PATH.fullmatch(text):
        raise ExpressionError(at, f"{text[:MAX_PATH]!r} is no path of a signal")
    return text
