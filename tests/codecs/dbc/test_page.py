"""What docs/can.md says: its examples print what stands below them, its codes are all codes."""

import contextlib
import io
import re
from pathlib import Path

ROOT = Path(__file__).parents[3]
PAGE = (ROOT / "docs/can.md").read_text()
SOURCES = ROOT / "src/carcloud/codecs/dbc"
EXAMPLE = re.compile(r"```python\n(.*?)```\n\n```text\n(.*?)```", re.DOTALL)


def test_examples_print_what_the_page_shows() -> None:
    names: dict[str, object] = {}
    examples = [one for one in EXAMPLE.findall(PAGE) if "carcloud.codecs" in one[0]]
    assert len(examples) == 2
    for code, printed in examples:
        out = io.StringIO()
        with contextlib.redirect_stdout(out):
            exec(code, names)  # noqa: S102
        assert out.getvalue() == printed


def test_every_code_is_in_the_table() -> None:
    told = {
        code
        for row in re.findall(r"^\| (`[^|]+) \| (?:info|warning|error)", PAGE, re.MULTILINE)
        for code in re.findall(r"`([a-z-]+)`", row)
    }
    text = "\n".join(file.read_text() for file in SOURCES.glob("*.py"))
    given = set(
        re.findall(r'"([a-z]+(?:-[a-z]+)+|overlap|scale|limits|limit|unreadable)"', text)
    ) - {"utf-8-sig", "no-any-return"}
    assert told == given
