"""What a person's SQL may say, and which rows of which tables it can need.

DuckDB itself parses; its syntax tree, as JSON, is judged here. The sandbox of `query` stands
behind this: even SQL that slipped through could open nothing outside the tenant's
tables.
"""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import duckdb

from carcloud.engines.lake_delta.read import Filter
from carcloud.model.time import DAY
from carcloud.ports.errors import QueryRefused

Node = dict[str, Any]
_REFS = frozenset(
    {"BASE_TABLE", "JOIN", "SUBQUERY", "TABLE_FUNCTION", "EXPRESSION_LIST", "EMPTY", "COLUMN_DATA",
     "PIVOT", "CTE"}
)  # fmt: skip
_TABLE_FUNCTIONS = frozenset({"range", "generate_series", "unnest", "json_each", "json_tree"})
_FUNCTIONS_REFUSED = frozenset(
    {"getenv", "current_setting", "getvariable", "nextval", "currval", "write_log", "sleep",
     "json_serialize_sql", "json_serialize_plan", "json_deserialize_sql"}
)  # fmt: skip
_CTE = re.compile(r"(?!duckdb_|sqlite_|pg_|information_schema|pragma_)[^\W\d]\w*")
_FLIPPED = {"GREATERTHAN": "LESSTHAN", "LESSTHAN": "GREATERTHAN", "EQUAL": "EQUAL",
            "GREATERTHANOREQUALTO": "LESSTHANOREQUALTO",
            "LESSTHANOREQUALTO": "GREATERTHANOREQUALTO"}  # fmt: skip
_OFFSET = re.compile(r"\d{4}-\d\d-\d\d[ T]\d\d:\d\d.*[+-](?!00(:?00)?$)\d\d(:?\d\d)?")
_WIDEST = Filter()


@dataclass(frozen=True, slots=True)
class Admitted:
    """A SELECT that may run: its text, and for each table it names the rows it can need.

    `columns`: all words by which it may name a column, in lower case. `whole`: it may need
    columns that it does not name.
    """

    sql: str
    needs: Mapping[str, list[Filter]] = field(default_factory=dict)
    columns: frozenset[str] = frozenset()
    whole: bool = True


def admit(parser: duckdb.DuckDBPyConnection, sql: str, tables: list[str]) -> Admitted:
    """Check `sql`; raises `QueryRefused` unless it is one SELECT on `tables` alone."""
    try:
        statements = parser.extract_statements(sql)
    except duckdb.Error as error:
        raise QueryRefused(str(error)) from error
    if len(statements) != 1:
        raise QueryRefused("one SELECT statement is allowed; write a PIVOT with conditional sums")
    if statements[0].type != duckdb.StatementType.SELECT:
        kind = statements[0].type.name
        raise QueryRefused(f"only a SELECT may run here, this is {kind}")
    tree = _tree(parser, statements[0].query)
    shadowed = {entry["key"].lower() for entry in _ctes(tree)}
    for name in shadowed:
        _judge_cte(name)
    for node in _nodes(tree):
        _judge(node, tables, shadowed)
    _judge_offsets(tree)
    needs: dict[str, list[Filter]] = {}
    for name, wanted in _needs(parser, tree):
        needs.setdefault(name, []).append(_WIDEST if name in shadowed else wanted)
    known = {name: filters for name, filters in needs.items() if name in tables}
    return Admitted(statements[0].query, known, frozenset(_named(tree)), _takes_rows_whole(tree))


def _tree(parser: duckdb.DuckDBPyConnection, sql: str) -> Node:
    row = parser.execute("SELECT json_serialize_sql(?)", [sql]).fetchone()
    tree: Node = json.loads(row[0]) if row else {"error": True}
    if tree["error"]:
        raise QueryRefused(tree.get("error_message") or "only a SELECT may run here")
    if len(tree["statements"]) != 1:
        raise QueryRefused("one SELECT statement is allowed")
    root: Node = tree["statements"][0]["node"]
    return root


def _nodes(node: Any) -> Iterator[Node]:
    if isinstance(node, dict):
        yield node
        for value in node.values():
            yield from _nodes(value)
    elif isinstance(node, list):
        for value in node:
            yield from _nodes(value)


def _named(tree: Node) -> Iterator[str]:
    """The parts of every reference to a column."""
    for node in _nodes(tree):
        for key in ("column_names", "using_columns"):
            yield from (str(name).lower() for name in node.get(key) or ())


_WITHOUT_NAMES = ("STAR", "POSITIONAL_REFERENCE")


def _takes_rows_whole(tree: Node) -> bool:
    """Whether columns may come in without their names: `*`, `NATURAL`, `signals` for a row."""
    relations: set[str] = set()
    named: set[str] = set()
    for node in _nodes(tree):
        renamed = "sample" in node and node.get("column_name_alias")
        if (
            node.get("class") in ("STAR", "POSITIONAL_REFERENCE")
            or node.get("ref_type") == "NATURAL"
            or renamed
        ):
            return True
        if "sample" in node and node.get("type") in ("PIVOT", "SHOW_REF"):
            return True
        if "sample" in node:
            relations.update((str(node.get(key) or "").lower()) for key in ("alias", "table_name"))
        if columns := node.get("column_names"):
            named.add(str(columns[-1]).lower())
    return not named.isdisjoint(relations)


def _ctes(tree: Node) -> Iterator[Node]:
    for node in _nodes(tree):
        if "cte_map" in node:
            yield from node["cte_map"]["map"]


def _judge_cte(name: str) -> None:
    """Its name counts in the whole SELECT, so it must not stand for anything else there."""
    if not _CTE.fullmatch(name) or name in _FUNCTIONS_REFUSED | _TABLE_FUNCTIONS:
        raise QueryRefused(f"a WITH may not be called {name}: use a plain name of your own")


def _judge(node: Node, tables: list[str], shadowed: set[str]) -> None:
    """Raise `QueryRefused` for a table reference or a function that is not allowed."""
    kind = node.get("type")
    if "alias" in node and "sample" in node:
        if kind == "BASE_TABLE":
            _judge_table(node, tables, shadowed)
        elif kind == "TABLE_FUNCTION":
            name = str(node["function"].get("function_name", "")).lower()
            if name not in _TABLE_FUNCTIONS:
                raise QueryRefused(f"the table function {name} may not be used here")
        elif kind not in _REFS and not (kind == "SHOW_REF" and node.get("query")):
            raise QueryRefused(f"this form may not be used here. {_listed(tables)}")
    name = str(node.get("function_name", "")).lower()
    if name in _FUNCTIONS_REFUSED:
        raise QueryRefused(f"the function {name} may not be used here")


def _judge_table(node: Node, tables: list[str], shadowed: set[str]) -> None:
    name = node["table_name"].lower()
    qualified = node["catalog_name"] or node["schema_name"].lower() not in ("", "main")
    if qualified or (name not in tables and name not in shadowed):
        parts = (node["catalog_name"], node["schema_name"], node["table_name"])
        hint = ' A column whose name has dots stands in double quotes: "Vehicle.Speed".'
        raise QueryRefused(
            f"there is no table {'.'.join(p for p in parts if p)}. {_listed(tables)}"
            + (hint if qualified else "")
        )


def _judge_offsets(tree: Node) -> None:
    """Refuse a time with an offset where DuckDB would ignore it: compared with a plain time."""
    casts = (n for n in _nodes(tree) if n.get("class") == "CAST")
    zoned = {id(n["child"]) for n in casts if n["cast_type"]["id"] == "TIMESTAMP WITH TIME ZONE"}
    for node in _nodes(tree):
        if node.get("class") == "CONSTANT" and id(node) not in zoned:
            text = node["value"].get("value")
            if isinstance(text, str) and _OFFSET.fullmatch(text.strip()):
                raise QueryRefused(f"times are UTC here; with an offset: TIMESTAMPTZ '{text}'")


def _listed(tables: list[str]) -> str:
    return f"Tables: {', '.join(tables)}." if tables else "There are no tables yet."


def _needs(parser: duckdb.DuckDBPyConnection, tree: Node) -> Iterator[tuple[str, Filter]]:
    """Every use of a table, with what the WHERE beside it lets through."""
    narrowed: dict[int, Filter] = {}
    for node in _nodes(tree):
        if node.get("type") == "SELECT_NODE" and node.get("where_clause"):
            for ref, qualified in _plain_refs(node.get("from_table")):
                name = ref["alias"] or ref["table_name"]
                narrowed[id(ref)] = _Where(parser, name.lower(), qualified).of(node["where_clause"])
    for node in _nodes(tree):
        if node.get("type") == "BASE_TABLE" and "table_name" in node:
            yield node["table_name"].lower(), narrowed.get(id(node), _WIDEST)


def _plain_refs(ref: Node | None, qualified: bool = False) -> Iterator[tuple[Node, bool]]:
    """Tables whose rows the WHERE filters and no sample, outer or as-of join depends on.

    Second value: the column must be written with its table, as it is one of several.
    """
    if ref is None or ref.get("sample"):
        return
    if ref["type"] == "BASE_TABLE" and not ref.get("column_name_alias"):
        yield ref, qualified
    inner = ref.get("join_type") == "INNER" and ref.get("ref_type") in ("REGULAR", "CROSS")
    if ref["type"] == "JOIN" and inner:
        yield from _plain_refs(ref["left"], True)
        yield from _plain_refs(ref["right"], True)


@dataclass(frozen=True, slots=True)
class _Where:
    """Reads the conjuncts that bound time, date or vehicle of one table."""

    parser: duckdb.DuckDBPyConnection
    table: str  # its alias, lower case
    qualified: bool

    def of(self, node: Node) -> Filter:
        """What a condition lets through at most."""
        kind = node["type"]
        if kind == "CONJUNCTION_AND":
            wanted = _WIDEST
            for child in node["children"]:
                wanted = _both(wanted, self.of(child))
            return wanted
        if kind.startswith("COMPARE_") and node["class"] == "COMPARISON":
            return self._comparison(kind.removeprefix("COMPARE_"), node["left"], node["right"])
        if kind == "COMPARE_BETWEEN":
            low = self._comparison("GREATERTHANOREQUALTO", node["input"], node["lower"])
            return _both(low, self._comparison("LESSTHANOREQUALTO", node["input"], node["upper"]))
        if kind == "COMPARE_IN":
            return self._among(node["children"][0], node["children"][1:])
        return _WIDEST

    def _comparison(self, operator: str, left: Node, right: Node) -> Filter:
        if operator not in _FLIPPED:
            return _WIDEST
        column, value = self._column(left), right
        if column is None:
            column, value, operator = self._column(right), left, _FLIPPED[operator]
        if column == "vehicle" and operator == "EQUAL":
            return self._among_values([value])
        if column == "time":
            return _span(operator, self._evaluate(value, "TIMESTAMPTZ"), 0)
        if column == "date":
            return _span(operator, self._evaluate(value, "DATE"), DAY - 1)
        return _WIDEST

    def _among(self, left: Node, values: list[Node]) -> Filter:
        column = self._column(left)
        if column == "vehicle":
            return self._among_values(values)
        if column == "date":
            days = [self._evaluate(value, "DATE") for value in values]
            known = [day for day in days if day is not None]
            if known and len(known) == len(days):
                return Filter((min(known), max(known) + DAY - 1))
        return _WIDEST

    def _among_values(self, values: list[Node]) -> Filter:
        found = [value["value"].get("value") for value in values if value["class"] == "CONSTANT"]
        texts = [text for text in found if isinstance(text, str)]
        return Filter(vehicles=frozenset(texts)) if len(texts) == len(values) else _WIDEST

    def _column(self, node: Node) -> str | None:
        """The key column a node is: `time`, `s.time`, `time::DATE` (which is `date`)."""
        if node["class"] == "CAST" and node["cast_type"]["id"] == "DATE":
            return "date" if self._column(node["child"]) in ("time", "date") else None
        if node["class"] != "COLUMN_REF":
            return None
        *table, name = (part.lower() for part in node["column_names"])
        if table != [self.table] and (table or self.qualified):
            return None
        return name if name in ("time", "date", "vehicle") else None

    def _evaluate(self, node: Node, kind: str) -> int | None:
        """A constant expression as us since 1970, by DuckDB; None where it is not constant."""
        if any(n.get("class") in ("COLUMN_REF", "SUBQUERY", "WINDOW") for n in _nodes(node)):
            return None
        template = "SELECT json_serialize_sql('SELECT 1')"
        row = self.parser.execute(template).fetchone()
        tree = json.loads(row[0]) if row else {}
        tree["statements"][0]["node"]["select_list"] = [node]
        try:
            text = self.parser.execute("SELECT json_deserialize_sql(?)", [json.dumps(tree)])
            inner = (text.fetchone() or [""])[0]
            found = self.parser.execute(
                f"SELECT epoch_us(CAST(CAST(v AS {kind}) AS TIMESTAMPTZ)) FROM ({inner}) AS t(v)"  # noqa: S608
            ).fetchone()
        except duckdb.Error:
            return None  # the query itself will say what is wrong with it
        return found[0] if found else None


def _span(operator: str, value: int | None, width: int) -> Filter:
    """A comparison with a moment, or with a day that is `width` us long after its start."""
    if value is None:
        return _WIDEST
    first, last = _WIDEST.span
    if operator == "EQUAL":
        return Filter((value, value + width))
    return Filter((value, last) if operator.startswith("GREATER") else (first, value + width))


def _both(a: Filter, b: Filter) -> Filter:
    vehicles = a.vehicles if b.vehicles is None else b.vehicles
    if a.vehicles is not None and b.vehicles is not None:
        vehicles = a.vehicles & b.vehicles
    return Filter((max(a.span[0], b.span[0]), min(a.span[1], b.span[1])), vehicles)
