"""Types of an expression, and the code that evaluates it.

An operator has no value where one of its operands has none, and every operand is evaluated. So an
expression has a value exactly where all it reads has one: that is asked once, at the top, and the
rest is plain arithmetic. The code is written from the checked tree; no text of the expression goes
into it, strings and functions are passed in by name.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from types import CodeType
from typing import Any, Protocol

from carcloud.codecs.campaign.expression import (
    RISING,
    Binary,
    Call,
    ExpressionError,
    IsNull,
    Literal,
    Logic,
    Node,
    SignalRef,
    Unary,
    WindowRef,
    children,
    parse,
)
from carcloud.codecs.campaign.functions import FUNCTIONS, Function, Rises, divide

COMPATIBLE_TOLERANCE = 1e-3  # of == and != between numbers in AWS IoT FleetWise

NUMBER, BOOLEAN, STRING = "number", "boolean", "string"
_NUMERIC = frozenset(
    {"int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64", "float", "double"}
)

Values = Sequence[Any]
"""What a condition reads, by slot; None where there is no value."""


@dataclass(frozen=True, slots=True)
class SignalType:
    """What a catalogue says of a signal: a VSS data type, and the values that a string may have."""

    datatype: str
    allowed: tuple[str, ...] = ()


class Catalogue(Protocol):
    """Path to type; None for a path that does not exist."""

    def __call__(self, path: str, /) -> SignalType | None: ...


@dataclass(frozen=True, slots=True)
class Input:
    """One thing that a condition reads: `kind` is "value", "isNull" or a window function."""

    kind: str
    path: str

    @property
    def of_window(self) -> bool:
        """Whether it is a figure of the signal's fixed windows."""
        return self.kind not in ("value", "isNull")


@dataclass(frozen=True, slots=True)
class Bound:
    """A condition that reads its inputs from given slots.

    `evaluate(values)` returns a boolean, a number, or None for undefined; it may raise
    `ArithmeticError` or `ValueError` where a function has no value. `rises` remember edges.
    """

    evaluate: Callable[[Values], Any]
    rises: tuple[Rises, ...] = ()


@dataclass(frozen=True, slots=True)
class Checked:
    """An expression that can be evaluated.

    `every_cycle`: it reads isNull or edges, so that it may change without a changed signal;
    `custom`: it calls any custom function.
    """

    text: str
    inputs: tuple[Input, ...]
    every_cycle: bool
    custom: bool
    _code: str
    _constants: Mapping[str, object] = field(repr=False)
    _rising: int

    @property
    def paths(self) -> tuple[str, ...]:
        """The signals that are read, each once, in the order of the text."""
        return tuple(dict.fromkeys(each.path for each in self.inputs))

    def bind(self, slots: Mapping[Input, int]) -> Bound:
        """Code that reads each input from its slot, with memory of edges of its own."""
        lines = ["def evaluate(v):"]
        lines += [f"    i{at} = v[{slots[each]}]" for at, each in enumerate(self.inputs)]
        lines += [f"    {line}" for line in self._code.splitlines()]
        rises = tuple(Rises() for _ in range(self._rising))
        names: dict[str, Any] = {"__builtins__": {}, "divide": divide, "abs": abs}
        names |= self._constants
        names |= {f"r{at}": each for at, each in enumerate(rises)}
        exec(_compiled("\n".join(lines)), names)  # noqa: S102 - written from the checked tree
        return Bound(names["evaluate"], rises)


def _compiled(source: str) -> CodeType:
    return compile(source, "<condition>", "exec")


def check(
    text: str,
    catalogue: Catalogue,
    *,
    compatible: bool = False,
    functions: Mapping[str, Function] = FUNCTIONS,
) -> Checked:
    """Parse and check an expression; raises `ExpressionError` with position and reason.

    `compatible`: numbers that differ by less than 0.001 are equal, unless `within` says otherwise.
    """
    tree = parse(text)
    writer = _Writer(catalogue, COMPATIBLE_TOLERANCE if compatible else None, functions)
    kind, code, needs = writer.write(tree)
    if kind == STRING:
        raise ExpressionError(tree.at, "a condition is true or false, this is a string")
    body = f"{_undefined(needs)}return {code}"
    return Checked(
        text=text,
        inputs=tuple(writer.inputs),
        every_cycle=writer.rising > 0 or any(each.kind == "isNull" for each in writer.inputs),
        custom=writer.custom,
        _code=body,
        _constants=writer.constants,
        _rising=writer.rising,
    )


def _undefined(needs: frozenset[int]) -> str:
    if not needs:
        return ""
    return f"if {_any_none(needs)}: return None\n"


def _any_none(needs: frozenset[int]) -> str:
    return " or ".join(f"i{at} is None" for at in sorted(needs))


def _calls(node: Node) -> bool:
    return isinstance(node, Call) or any(map(_calls, children(node)))


_WHOLE = {"&&": " & ", "||": " | "}
_Written = tuple[str, str, frozenset[int]]  # type, code, inputs that must have a value
_NONE: frozenset[int] = frozenset()


class _Writer:
    """Walks a tree once: types are checked and code is written."""

    def __init__(
        self, catalogue: Catalogue, tolerance: float | None, functions: Mapping[str, Function]
    ) -> None:
        self._catalogue = catalogue
        self._tolerance = tolerance
        self._functions = functions
        self.inputs: dict[Input, int] = {}
        self.constants: dict[str, object] = {}
        self.rising = 0
        self.custom = False

    def write(self, node: Node) -> _Written:
        """Type and code of a node; raises `ExpressionError`."""
        writers: dict[type, Callable[[Any], _Written]] = {
            Literal: self._literal,
            SignalRef: self._signal,
            WindowRef: self._window,
            IsNull: self._is_null,
            Unary: self._unary,
            Binary: self._binary,
            Logic: self._logic,
            Call: self._call,
        }
        return writers[type(node)](node)

    def _signal(self, node: SignalRef) -> _Written:
        kind = self._type(node.at, node.path)
        at = self._input("value", node.path)
        return kind, f"i{at}", frozenset((at,))

    def _window(self, node: WindowRef) -> _Written:
        if self._type(node.at, node.path) == STRING:
            raise ExpressionError(node.at, f"{node.function} wants a signal with numbers")
        at = self._input(node.function, node.path)
        return NUMBER, f"i{at}", frozenset((at,))

    def _is_null(self, node: IsNull) -> _Written:
        self._known(node.at, node.path)
        return BOOLEAN, f"i{self._input('isNull', node.path)}", _NONE

    def _literal(self, node: Literal) -> _Written:
        if isinstance(node.value, str):
            return STRING, self._constant(node.value), _NONE
        kind = BOOLEAN if isinstance(node.value, bool) else NUMBER
        return kind, f"({node.value!r})", _NONE

    def _constant(self, value: object) -> str:
        name = f"c{len(self.constants)}"
        self.constants[name] = value
        return name

    def _input(self, kind: str, path: str) -> int:
        return self.inputs.setdefault(Input(kind, path), len(self.inputs))

    def _known(self, at: int, path: str) -> SignalType:
        known = self._catalogue(path)
        if known is None:
            raise ExpressionError(at, f"there is no signal {path}")
        return known

    def _type(self, at: int, path: str) -> str:
        datatype = self._known(at, path).datatype
        if datatype in _NUMERIC:
            return NUMBER
        if datatype in (BOOLEAN, STRING):
            return datatype
        raise ExpressionError(at, f"{path} is {datatype}, which a condition cannot read")

    def _unary(self, node: Unary) -> _Written:
        code, needs = self._number(node.operand, f"{node.operator} wants a number or a boolean")
        if node.operator == "!":
            return BOOLEAN, f"(not {code})", needs
        return NUMBER, f"(-{code})", needs

    def _number(self, node: Node, otherwise: str) -> tuple[str, frozenset[int]]:
        kind, code, needs = self.write(node)
        if kind == STRING:
            raise ExpressionError(node.at, f"{otherwise}, this is a string")
        return code, needs

    def _logic(self, node: Logic) -> _Written:
        calls, codes, needs = _calls(node), [], _NONE
        for operand in node.operands:
            kind, code, read = self.write(operand)
            if kind == STRING:
                reason = f"{node.operator} wants numbers or booleans, this is a string"
                raise ExpressionError(operand.at, reason)
            codes.append(f"({code} != 0)" if kind == NUMBER or calls else code)
            needs |= read
        # A function may fail or remember: it is called whatever the other operands are.
        quick = {"&&": " and ", "||": " or "}
        word = (_WHOLE if calls else quick)[node.operator]
        return BOOLEAN, f"({word.join(codes)})", needs

    def _binary(self, node: Binary) -> _Written:
        left, right = self.write(node.left), self.write(node.right)
        needs = left[2] | right[2]
        if (left[0] == STRING) != (right[0] == STRING):
            raise ExpressionError(node.at, f"{node.operator} between a string and a number")
        if left[0] == STRING:
            return self._strings(node, left[1], right[1], needs)
        if node.operator in ("==", "!="):
            return BOOLEAN, self._equal(node, left[1], right[1]), needs
        if node.operator == "/":
            return NUMBER, f"divide({left[1]}, {right[1]})", needs
        kind = BOOLEAN if node.operator in ("<", ">", "<=", ">=") else NUMBER
        return kind, f"({left[1]} {node.operator} {right[1]})", needs

    def _strings(self, node: Binary, left: str, right: str, needs: frozenset[int]) -> _Written:
        if node.operator not in ("==", "!=", "+") or node.tolerance is not None:
            what = "within" if node.tolerance is not None else node.operator
            raise ExpressionError(node.at, f"strings know ==, != and +, not {what}")
        if node.operator != "+":
            self._allowed(node.left, node.right)
            self._allowed(node.right, node.left)
        return (
            STRING if node.operator == "+" else BOOLEAN,
            f"({left} {node.operator} {right})",
            needs,
        )

    def _allowed(self, signal: Node, literal: Node) -> None:
        if not isinstance(signal, SignalRef) or not isinstance(literal, Literal):
            return
        allowed = self._known(signal.at, signal.path).allowed
        if allowed and literal.value not in allowed:
            raise ExpressionError(
                literal.at,
                f"{signal.path} is never {literal.value!r}; it is one of {', '.join(allowed)}",
            )

    def _equal(self, node: Binary, left: str, right: str) -> str:
        tolerance = self._tolerance if node.tolerance is None else node.tolerance
        if tolerance is None:
            return f"({left} {node.operator} {right})"
        near = f"(abs({left} - {right}) < {tolerance!r})"
        return near if node.operator == "==" else f"(not {near})"

    def _call(self, node: Call) -> _Written:
        self.custom = True
        if node.name == RISING:
            return self._rises(node)
        function = self._functions.get(node.name)
        if function is None:
            known = ", ".join((*self._functions, RISING))
            raise ExpressionError(node.at, f"there is no function {node.name!r}; there are {known}")
        if not function.least <= len(node.arguments) <= function.most:
            wanted = f"{function.least}" + ("" if function.least == function.most else " or more")
            raise ExpressionError(node.at, f"{node.name} wants {wanted} arguments")
        codes, needs = [], _NONE
        for argument in node.arguments:
            code, read = self._number(argument, f"{node.name} wants numbers")
            codes.append(code)
            needs |= read
        return NUMBER, f"{self._constant(function.call)}({', '.join(codes)})", needs

    def _rises(self, node: Call) -> _Written:
        pairs = list(zip(node.arguments[::2], node.arguments[1::2], strict=False))
        if not pairs or len(node.arguments) % 2:
            raise ExpressionError(node.at, f"{RISING} wants pairs of a name and a condition")
        name = f"r{self.rising}"
        self.rising += 1
        parts = []
        for label, condition in pairs:
            if not isinstance(label, Literal) or not isinstance(label.value, str):
                raise ExpressionError(label.at, "the name of a condition is a string")
            code, needs = self._number(condition, f"{RISING} wants conditions")
            value = f"(None if {_any_none(needs)} else {code})" if needs else code
            parts.append(f"({self._constant(label.value)}, {value})")
        return BOOLEAN, f"{name}(({', '.join(parts)},))", _NONE
