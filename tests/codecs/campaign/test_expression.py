"""The language of conditions: meaning, types, positions of errors, limits."""

import math
import random

import pytest
from tests.codecs.campaign.script import TYPES

from carcloud.codecs.campaign.checking import Input, check
from carcloud.codecs.campaign.expression import MAX_DEPTH, ExpressionError, parse

ERRORS = [
    ("", 0, "empty"),
    ("   ", 0, "empty"),
    ("Vehicle.Speed >", 15, "found the end"),
    ("Vehicle.Speed > 5 5", 18, "an operator or the end"),
    ("Vehicle.Speed > 'fast'", 14, "between a string and a number"),
    ("Vehicle.State == 'Z'", 17, "is never 'Z'; it is one of ON, OFF"),
    ("Vehicle.State < 'ON'", 14, "strings know"),
    ("Vehicle.State == 'ON' within 1", 14, "strings know"),
    ("'a' + 'b'", 4, "this is a string"),
    ("Vehicle.State", 0, "this is a string"),
    ("!Vehicle.State", 1, "this is a string"),
    ("true && Vehicle.State", 8, "this is a string"),
    ("Vehicle.Nope > 1", 0, "there is no signal Vehicle.Nope"),
    ("1 < 2 && $variable.`Vehicle.Nope`", 9, "there is no signal"),
    ("Vehicle.Cells > 1", 0, "float[], which a condition cannot read"),
    ("speed > 1", 0, "is no path of a signal"),
    ("$variable.Vehicle.Speed > 1", 0, "between backquotes"),
    ("$variable.`a b` > 1", 0, "is no path"),
    ("Vehicle.Speed @ 3", 14, "unexpected character '@'"),
    ("Vehicle.State == 'ON", 17, "does not end"),
    ("(Vehicle.Speed > 1", 18, "expected ')'"),
    ("custom_function(abs, 1)", 16, "between quotes"),
    ("custom_function('nope', 1) > 1", 0, "there is no function 'nope'"),
    ("custom_function('pow', 1) > 1", 0, "wants 2 arguments"),
    ("abs('x') > 1", 4, "this is a string"),
    ("isNull(1)", 7, "wants one signal"),
    ("isNull(Vehicle.Nope)", 0, "there is no signal"),
    ("LAST_WINDOW_AVG(Vehicle.State) > 1", 0, "wants a signal with numbers"),
    ("MULTI_RISING_EDGE_TRIGGER('a')", 0, "pairs"),
    ("MULTI_RISING_EDGE_TRIGGER(1, true)", 26, "is a string"),
    ("1 == 2 within 0", 14, "above 0"),
    ("1e999 > 1", 0, "too large"),
    ("(" * 100 + "1" + ")" * 100, 64, "nested"),
    ("!" * 500 + "true", 64, "nested"),
    ("-" * 2000, 64, "nested"),
    ("1" + " + 1" * MAX_DEPTH + " > 0", None, "levels deep"),
    ("1 > " + "0" * 2048, 2048, "at most 2048 characters"),
]


@pytest.mark.parametrize(("text", "position", "reason"), ERRORS, ids=[e[0][:30] for e in ERRORS])
def test_what_cannot_be_evaluated_is_refused_with_position_and_reason(text, position, reason):
    with pytest.raises(ExpressionError) as caught:
        check(text, TYPES.get)
    assert reason in caught.value.reason
    if position is not None:
        assert caught.value.position == position
        assert str(caught.value).startswith(f"position {position + 1}: ")


def evaluate(text, *, compatible=False, **values):
    """The value of an expression where signals have these values."""
    checked = check(text, TYPES.get, compatible=compatible)
    bound = checked.bind({each: at for at, each in enumerate(checked.inputs)})
    return bound.evaluate([values.get(each.path.split(".")[-1]) for each in checked.inputs])


def test_signals_are_written_with_variable_or_as_plain_paths():
    for text in ("$variable.`Vehicle.Speed` > 50", "Vehicle.Speed>50"):
        assert evaluate(text, Speed=51) is True
        assert evaluate(text, Speed=50) is False
    assert parse("$variable.`Vehicle.Speed`") == parse("Vehicle.Speed")


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1 + 2 * 3 == 7", True),
        ("(1 + 2) * 3 == 9", True),
        ("8 - 2 - 1 == 5", True),
        ("8 / 2 / 2 == 2", True),
        ("-2 + 3 == 1", True),
        ("1 < 2 == true", True),
        ("true || false && false", True),
        ("!true || true", True),
        ("true == 1", True),
        ("false == 0", True),
        ("2 && true", True),
        ("0 || 0", False),
        ("1 != 1", False),
        ("'a' + \"b\" == 'ab'", True),
        ("2.5", 2.5),
        ("0", 0),
        ("1 / 0 > 1e300", True),
        ("-1 / 0 < -1e300", True),
        ("custom_function('abs', -3) == 3", True),
        ("min(3, 1, 2) == 1 && max(3, 1, 2) == 3", True),
        ("pow(2, 10) == 1024", True),
        ("log(2, 8) == 3 within 1e-9", True),
        ("ceil(1.2) == 2 && floor(-1.2) == -2", True),
        ("9007199254740993 == 9007199254740992", False),
    ],
)
def test_meaning(text, value):
    got = evaluate(text)
    assert got == value
    assert type(got) is type(value)


def test_zero_by_zero_is_not_a_number():
    assert math.isnan(evaluate("0 / 0"))


def test_an_undefined_operand_makes_the_result_undefined():
    # Fact sheet, acceptance check 6: no short circuit.
    assert evaluate("Vehicle.A > 1 || Vehicle.B > 1", A=2) is None
    assert evaluate("Vehicle.A > 1 || Vehicle.B > 1", A=2, B=0) is True
    assert evaluate("Vehicle.A > 1 && Vehicle.B > 1", A=0) is None
    assert evaluate("isNull(Vehicle.B) || Vehicle.A > 1", A=2) is True


def test_equality_of_numbers_is_exact_or_as_near_as_asked():
    # Acceptance check 7.
    assert evaluate("1 == 1.0009", compatible=True) is True
    assert evaluate("1 == 1.002", compatible=True) is False
    assert evaluate("1 != 1.0009", compatible=True) is False
    assert evaluate("1 == 1.0009") is False
    assert evaluate("Vehicle.A == 50 within 0.5", A=50.4) is True
    assert evaluate("Vehicle.A != 50 within 0.5", A=50.4) is False
    assert evaluate("Vehicle.A == 50 within 0.5", A=50.6, compatible=True) is False


def test_a_function_without_a_value_fails_whatever_stands_beside_it():
    with pytest.raises(ValueError, match="math domain"):
        evaluate("true || pow(-1, 0.5) > 1")
    with pytest.raises(ValueError, match="math domain"):
        evaluate("Vehicle.A > 1 && log(2, -1) > 0", A=0)


def test_what_is_too_large_is_infinite_as_of_any_double():
    for text in (
        "pow(10, 400) > 5",
        "pow(-10, 401) < 5",
        "pow(-10, 400) > 5",
        "pow(0, -1) > 1",
        "pow(-0.0, -1) < 1",
        "pow(0, -2) > 1",
        "ceil(1 / 0) > 5",
        "floor(-1 / 0) < 5",
        "pow(10, 400) == 1 / 0",
    ):
        assert evaluate(text) is True, text


def test_several_edges_are_seen_each_for_itself():
    checked = check("MULTI_RISING_EDGE_TRIGGER('a', Vehicle.A > 1, 'b', Vehicle.B > 1)", TYPES.get)
    bound = checked.bind({Input("value", "Vehicle.A"): 0, Input("value", "Vehicle.B"): 1})
    assert checked.every_cycle
    (rises,) = bound.rises
    seen = []
    for values in ([2, None], [0, None], [2, 0], [2, 2], [2, 2], [0, 0], [2, 2]):
        seen.append((bound.evaluate(values), rises.fired))
    assert seen == [
        (False, []), (False, []), (True, ["a"]), (True, ["b"]), (False, []), (False, []),
        (True, ["a", "b"]),
    ]  # fmt: skip


def test_both_sides_of_an_or_are_evaluated_where_edges_are_remembered():
    checked = check("Vehicle.B > 1 || MULTI_RISING_EDGE_TRIGGER('a', Vehicle.A > 1)", TYPES.get)
    bound = checked.bind({Input("value", "Vehicle.B"): 0, Input("value", "Vehicle.A"): 1})
    got = [bound.evaluate(values) for values in ([2, 0], [0, 2], [0, 2])]
    assert got == [True, True, False]


def test_a_string_of_the_text_never_becomes_code():
    assert evaluate("'\\' + \"__import__('os')\" == Vehicle.State + ''", State="x") is False


class Plain:
    """A tree evaluated one node at a time: the reference of the code that is written."""

    @staticmethod
    def value(tree, values):
        kind = type(tree).__name__
        if kind == "Literal":
            return tree.value
        if kind == "SignalRef":
            return values[tree.path]
        if kind == "Unary":
            inner = Plain.value(tree.operand, values)
            if inner is None:
                return None
            return -inner if tree.operator == "-" else inner == 0
        operands = tree.operands if kind == "Logic" else (tree.left, tree.right)
        parts = [Plain.value(each, values) for each in operands]
        if None in parts:
            return None
        if kind == "Logic":
            return (all if tree.operator == "&&" else any)(part != 0 for part in parts)
        left, right = parts
        return {
            "+": lambda: left + right, "-": lambda: left - right, "*": lambda: left * right,
            "<": lambda: left < right, ">": lambda: left > right, "<=": lambda: left <= right,
            ">=": lambda: left >= right, "==": lambda: left == right, "!=": lambda: left != right,
        }[tree.operator]()  # fmt: skip


def _random_text(source, depth):
    if depth == 0 or source.random() < 0.2:
        return source.choice(
            ["Vehicle.A", "Vehicle.B", "Vehicle.IsMoving", "1", "2.5", "true", "0"]
        )
    operator = source.choice(
        ["+", "-", "*", "<", ">", "<=", ">=", "==", "!=", "&&", "||", "!", "-"]
    )
    if operator == "!":
        return f"!({_random_text(source, depth - 1)})"
    left, right = _random_text(source, depth - 1), _random_text(source, depth - 1)
    return f"({left}) {operator} ({right})"


def test_the_written_code_agrees_with_a_plain_walk_of_the_tree():
    seed = random.randrange(2**32)
    source = random.Random(seed)
    for _ in range(300):
        text = _random_text(source, 5)
        if len(text) > 2048:
            continue
        values = {name: source.choice([None, 0, 1, 2.5, -3]) for name in ("A", "B")}
        values["IsMoving"] = source.choice([None, True, False])
        named = {f"Vehicle.{name}": value for name, value in values.items()}
        want, got = Plain.value(parse(text), named), evaluate(text, **values)
        assert got == want, f"seed {seed}: {text} with {values}"
